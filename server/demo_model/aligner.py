"""Forced alignment with a model that already listens: when was each word of a known transcript said?

Uses the supervised cross-attention head of a CTranslate2 directory that this recipe exported.
"""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from demo_model.corpus import features
from demo_model.speech import SAMPLE_RATE, Utterance, Word, trimmed

SECONDS_PER_STEP = 0.02
"""One encoder frame."""


class CrossAttentionAligner:
    """Callable that returns the word times of utterances with known text; rising and inside the recording."""

    def __init__(self, model: Path) -> None:
        self._model = ctranslate2.models.Whisper(str(model), device="cpu", intra_threads=1)
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        names = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>")
        self._prompt = [self._tokenizer.token_to_id(name) for name in names]

    def __call__(self, utterances: Sequence[Utterance]) -> list[tuple[Word, ...]]:
        """Align one by one; exact lengths matter more than speed here."""
        return [self._align(utterance) for utterance in utterances]

    def _align(self, utterance: Utterance) -> tuple[Word, ...]:
        mel = features(utterance.samples).astype(np.float32)
        words = utterance.text.split()
        spelled = [self._tokenizer.encode(f" {word}", add_special_tokens=False).ids for word in words]
        tokens = [token for word in spelled for token in word]
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None]))
        result = self._model.align(view, self._prompt, [tokens], [mel.shape[1]])[0]
        first_step: dict[int, int] = {}
        for token, step in result.alignments:
            first_step.setdefault(token, step)
        head, tail = (position / SAMPLE_RATE for position in trimmed(utterance.samples, 0.02))
        starts: list[float] = []
        position = 0
        for word in spelled:
            heard = first_step.get(position, 0) * SECONDS_PER_STEP
            starts.append(max(heard, starts[-1] + 0.02 if starts else head))
            position += len(word)
        tail = max(tail, starts[-1] + 0.05)
        return tuple(Word(*item) for item in zip(words, starts, [*starts[1:], tail], strict=True))
