"""Evaluation of CTranslate2 directories on people and voices that were never trained on.

Decodes as the server does: features of about the clip's length (0.2 s of padding, not 30 s), no timestamps,
temperature 0.
"""

import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from demo_model import augment, grammar, people
from demo_model.aligner import SECONDS_PER_STEP
from demo_model.corpus import ClipMaker, Mixture, clean_clip, features, load_clips, save_clips
from demo_model.errorrate import ErrorRate
from demo_model.examples import padded_length
from demo_model.people import Recordings
from demo_model.speech import Clip, Utterance, joined
from demo_model.tokenizer import Tokens
from demo_model.voices import Speakers

_STOCK_FRAMES = 3000
_MARGIN = 20
"""Frames of padding after every clip. Speech that is cut off at the very edge of the features is continued by guessing
(67 % WER instead of 11 % on cut-off clips): 10 frames or more after it are what the model needs."""


def build_sets(speakers: Speakers, held: Recordings | None, folder: Path, *, seed: int = 99) -> None:
    """Write the evaluation sets into ``folder``: held-out voices, and held-out people when there are recordings."""
    rng = random.Random(seed)
    said = [held_out_sentence(speakers, rng) for _ in range(150)]
    sets = {
        "synthetic": [clean_clip(utterance) for utterance in said],
        "synthetic at 10 dB SNR": [clean_clip(utterance, rng=rng, snr_db=10) for utterance in said],
        "synthetic, three in a row": [clean_clip(_three(speakers, rng)) for _ in range(40)],
        "synthetic, cut off": _cut_off(speakers, rng, 100),
        "nobody": [Clip(features(augment.nobody(rng)), "", (), 0.0, 0.0, "none") for _ in range(200)],
    }
    if held is not None:
        takes = [take for speaker in sorted(held.digits) for take in held.digits[speaker]]
        sets |= {
            "coffee orders": [clean_clip(utterance) for utterance in held.orders],
            "single digits": [clean_clip(utterance) for utterance in takes],
            "digit strings": [clean_clip(people.digit_string(held, rng, rng.randint(3, 7))) for _ in range(100)],
            "command words": [clean_clip(utterance) for utterance in held.commands],
            "keywords": [clean_clip(utterance) for utterance in held.keywords],
        }
    folder.mkdir(parents=True, exist_ok=True)
    for name, clips in sets.items():
        save_clips(clips, folder / f"{name}.clips")


def check_set(folder: Path) -> list[Clip]:
    """Return a small mixture of the evaluation sets for a look during training."""
    names = {"synthetic": 60, "coffee orders": 48, "digit strings": 40, "command words": 40, "keywords": 25}
    clips: list[Clip] = []
    for name, count in names.items():
        path = folder / f"{name}.clips"
        clips += load_clips(path)[:count] if path.is_file() else []
    return clips


def held_out_sentence(speakers: Speakers, rng: random.Random) -> Utterance:
    """Return a sentence of the grammar as one of the speakers says it."""
    text = grammar.order(rng) if rng.random() < 0.2 else grammar.expand("clause", rng)
    return speakers.say(text, rng)


def _three(speakers: Speakers, rng: random.Random) -> Utterance:
    result = held_out_sentence(speakers, rng)
    for _ in range(2):
        result = joined(result, held_out_sentence(speakers, rng), rng.uniform(0.3, 1.0))
    return result


def _cut_off(speakers: Speakers, rng: random.Random, count: int) -> list[Clip]:
    maker = ClipMaker(speakers, None, rng, Mixture(truncated=1.0))
    clips: list[Clip] = []
    while len(clips) < count:
        clip = maker.placed(held_out_sentence(speakers, rng), strength=0.0)
        if clip.truncated:
            clips.append(clip)
    return clips


class Listener:
    """A CTranslate2 directory that transcribes features."""

    def __init__(self, model: Path) -> None:
        self._tokens = Tokens(model / "tokenizer.json")
        self._model = ctranslate2.models.Whisper(str(model), device="cpu", intra_threads=1, inter_threads=1)
        names = ("startoftranscript", "en", "transcribe", "notimestamps")
        self._prompt = [self._tokens.special(name) for name in names]

    def transcribe(self, mel: NDArray[np.float16], *, beam: int = 1, frames: int = 0) -> str:
        """Return the text; ``frames`` pads with the value 0 as stock faster-whisper does."""
        view = _view(mel, max(frames, padded_length(mel.shape[1] + _MARGIN)))
        result = self._model.generate(view, [self._prompt], beam_size=beam, max_length=200)[0]
        return self._tokens.text(result.sequences_ids[0])

    def word_starts(self, clip: Clip) -> list[float]:
        """Return where the words of the clip's text start, by the alignment head."""
        spelled = [self._tokens.word(word) for word in clip.text.split()]
        tokens = [token for word in spelled for token in word]
        view = _view(clip.features, padded_length(clip.features.shape[1]))
        result = self._model.align(view, self._prompt[:3], [tokens], [clip.features.shape[1]])[0]
        first: dict[int, int] = {}
        for token, step in result.alignments:
            first.setdefault(token, step)
        starts, position = [], 0
        for word in spelled:
            starts.append(first.get(position, 0) * SECONDS_PER_STEP)
            position += len(word)
        return starts


def _view(mel: NDArray[np.float16], frames: int) -> Any:
    padded = np.zeros((1, mel.shape[0], frames), np.float32)
    padded[0, :, : mel.shape[1]] = mel
    return ctranslate2.StorageView.from_array(padded)


@dataclass(frozen=True)
class Measure:
    """One row of the table for one model."""

    name: str
    value: float
    unit: str
    note: str = ""


def measure(model: Path, folder: Path) -> list[Measure]:
    """Measure a model on all evaluation sets in ``folder``."""
    listener = Listener(model)
    rows: list[Measure] = []
    for path in sorted(folder.glob("*.clips")):
        clips = load_clips(path)
        if path.stem == "nobody":
            spoke = sum(bool(listener.transcribe(clip.features)) for clip in clips)
            rows.append(Measure("nobody speaks, but text", spoke, f"of {len(clips)}"))
            continue
        for beam in (1, 5):
            rate = _error_rate(listener, clips, beam=beam)
            label = f"{path.stem}, {'greedy' if beam == 1 else f'beam {beam}'}"
            rows.append(Measure(label, round(rate.percent, 1), "% WER", f"{rate.exact} of {rate.clips} exact"))
        if path.stem == "coffee orders":
            rate = _error_rate(listener, clips, frames=_STOCK_FRAMES)
            rows.append(Measure(f"{path.stem}, padded to 30 s", round(rate.percent, 1), "% WER"))
    rows.append(_start_error(listener, load_clips(folder / "synthetic.clips")))
    rows.append(_cost(listener))
    return rows


def _error_rate(listener: Listener, clips: Sequence[Clip], *, beam: int = 1, frames: int = 0) -> ErrorRate:
    rate = ErrorRate()
    for clip in clips:
        rate.add(clip.text, listener.transcribe(clip.features, beam=beam, frames=frames))
    return rate


def _start_error(listener: Listener, clips: Sequence[Clip]) -> Measure:
    """Compare word starts with the synthesiser's, on clips that were understood."""
    errors: list[float] = []
    for clip in clips:
        if clip.words and listener.transcribe(clip.features) == clip.text:
            found = listener.word_starts(clip)
            errors += [abs(word.start - start) for word, start in zip(clip.words, found, strict=True)]
    value = round(1000 * statistics.median(errors)) if errors else 0
    return Measure("word start error, median", value, "ms", f"{len(errors)} words")


def _cost(listener: Listener) -> Measure:
    """CPU time of a clip of 5 s with ten words, one thread, greedy."""
    mel = features(np.random.default_rng(0).standard_normal(80_000).astype(np.float32) * np.float32(0.01))
    spent = []
    for _ in range(12):
        began = time.process_time()
        listener.transcribe(mel)
        spent.append(time.process_time() - began)
    return Measure("CPU for 5 s of audio", round(1000 * statistics.median(spent), 1), "ms")


def table(columns: dict[str, list[Measure]]) -> str:
    """Return a Markdown table, a column for each model."""
    lines = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for rows in zip(*columns.values(), strict=True):
        cells = [f"{row.value:g} {row.unit}" + (f" ({row.note})" if row.note else "") for row in rows]
        lines.append(f"| {rows[0].name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_report(columns: dict[str, list[Measure]], path: Path) -> None:
    """Write the figures as JSON."""
    data = {name: [vars(row) for row in rows] for name, rows in columns.items()}
    path.write_text(json.dumps(data, indent=2) + "\n")
