"""The tokens: byte-level BPE trained on the word list, then Whisper's special tokens and timestamps.

Every word of the grammar is one token; byte level means that any other word can be written too. CTranslate2
calls a model multilingual when the empty string is in its vocabulary, so that a language can be asked for; only ``en``
was trained.
"""

import json
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from demo_model import grammar

LANGUAGES = ("en", "hi", "es", "fr", "de")
MAX_TIMESTAMP = 10.0
TIMESTAMP_STEP = 0.02
_MAX_TEXT_TOKENS = 5000


def train_tokenizer(path: Path) -> None:
    """Write ``tokenizer.json``: byte-level BPE whose merges make every word of the grammar one token."""
    corpus = [f" {word}" for word in grammar.vocabulary()]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_MAX_TEXT_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    data = json.loads(tokenizer.to_str())
    vocabulary = data["model"]["vocab"]
    vocabulary[""] = len(vocabulary)
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
    special += [f"<|{name}|>" for name in ("translate", "transcribe", "startoflm", "startofprev", "nospeech")]
    special += ["<|notimestamps|>"]
    steps = round(MAX_TIMESTAMP / TIMESTAMP_STEP)
    added = special + [f"<|{step * TIMESTAMP_STEP:.2f}|>" for step in range(steps + 1)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    data["added_tokens"] = [
        {"id": len(vocabulary) + index, "content": content, "special": index < len(special), **flags}
        for index, content in enumerate(added)
    ]
    path.write_text(json.dumps(data, ensure_ascii=False))


class Tokens:
    """A tokenizer with the names of the special tokens.

    Args:
        path: ``tokenizer.json``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokenizer = Tokenizer.from_file(str(path))
        self._words: dict[str, list[int]] = {}

    def __len__(self) -> int:
        """Return the number of tokens."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def content(self) -> dict[str, int]:
        """All tokens with their numbers."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of any text, without special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def id(self, token: str) -> int:
        """Return the number of a token, named as in the file."""
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise KeyError(token)
        return int(number)

    def special(self, name: str) -> int:
        """Return the number of ``<|name|>``."""
        return self.id(f"<|{name}|>")

    def word(self, word: str) -> list[int]:
        """Return the tokens of a word with its leading space."""
        if word not in self._words:
            self._words[word] = self.encode(f" {word}")
        return self._words[word]

    def timestamp(self, seconds: float) -> int:
        """Return the timestamp token nearest to ``seconds``."""
        last = round(MAX_TIMESTAMP / TIMESTAMP_STEP)
        return self._first_timestamp + max(0, min(last, round(seconds / TIMESTAMP_STEP)))

    def text(self, tokens: list[int]) -> str:
        """Return the text of tokens; special tokens and timestamps are left out."""
        end = self.special("endoftext")
        return str(self._tokenizer.decode([token for token in tokens if token < end])).strip()

    def spelled(self, number: int) -> str:
        """Return the text of one text token with its leading space."""
        return str(self._tokenizer.decode([number], skip_special_tokens=False))

    @cached_property
    def _first_timestamp(self) -> int:
        return self.special("0.00")
