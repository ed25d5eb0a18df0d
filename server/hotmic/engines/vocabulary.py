"""The tokens of a Whisper model, read from its directory alone."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hotmic.errors import EngineFailed
from hotmic.values import Task

MAX_PROMPT = 128
"""Tokens before the start token; each costs a little of every decode."""
MAX_HOTWORDS = 64
"""Of these, tokens of hotwords."""
PREVIOUS_LENGTHS = (64, 32, 16)
"""All tokens before the start token where they end in what was just said: its length differs from partial to partial
and from speaker to speaker, and only rows of one length share a batch."""

SPACELESS_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})
"""Written without spaces: each decodable run of tokens is a word of its own."""

log = logging.getLogger(__name__)

_CLOSING = frozenset("\"'.。,，!！?？:：”)]}、%")
_OPENING = frozenset("\"'“¿([{-")


class Vocabulary:
    """Text to tokens and back, and the control tokens by name.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``.
        multilingual: Whether the model expects a language and a task.

    Raises:
        EngineFailed: It lacks Whisper's control tokens.
    """

    def __init__(self, tokenizer: Any, *, multilingual: bool) -> None:
        self._tokenizer = tokenizer
        self.multilingual = multilingual
        self.start_of_transcript = self._control("<|startoftranscript|>")
        self.end_of_text = self._control("<|endoftext|>")
        self.start_of_previous = self._control("<|startofprev|>")
        self.no_timestamps = self._control("<|notimestamps|>")
        self.no_speech = tokenizer.token_to_id("<|nospeech|>") or tokenizer.token_to_id("<|nocaptions|>")
        self._tasks = (
            {name: self._control(f"<|{name}|>") for name in ("transcribe", "translate")} if multilingual else {}
        )
        self.languages = self._find_languages() if multilingual else {"en": self.start_of_transcript}

    @classmethod
    def load(cls, directory: Path, *, multilingual: bool) -> "Vocabulary":
        """Read ``tokenizer.json`` of a model.

        Raises:
            EngineFailed: It is missing, cannot be read, or is not Whisper's.
        """
        from tokenizers import Tokenizer

        file = directory / "tokenizer.json"
        if not file.is_file():
            raise EngineFailed("The model directory has no tokenizer.json.")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            # The library raises plain Exception for a file that it cannot parse.
            log.error("Reading %s failed: %s", file, error)
            raise EngineFailed("The model's tokenizer.json cannot be read; the log has the reason.") from error
        return cls(tokenizer, multilingual=multilingual)

    def start_sequence(self, language: str, task: Task) -> list[int]:
        """Return the tokens that tell the decoder what to do, up to the question of timestamps.

        Raises:
            EngineFailed: The model does not know the language or the task.
        """
        if not self.multilingual:
            if task != "transcribe":
                raise EngineFailed("This model only transcribes.")
            return [self.start_of_transcript]
        if language not in self.languages:
            raise EngineFailed(f"This model does not know the language {language!r}.")
        return [self.start_of_transcript, self.languages[language], self._tasks[task]]

    def previous_text(self, text: str, *, hotwords: Sequence[str] = (), said: str = "") -> list[int]:
        """Return ``<|startofprev|>``, hotwords, a text and what was said last; nothing when there is none of them.

        Rows of one batch need previous text of one length, so the text loses a few tokens at its beginning until the
        whole has one of few lengths. Filling up instead misleads the decoder: with blanks before the text the bundled
        model's error rate rose from 1 % to 10 %, with repeated start tokens to 4 %.

        Args:
            text: The session's prompt.
            hotwords: Words to expect.
            said: What came before this window in its segment; the newest of it stays.
        """
        words = self.encode(" " + ", ".join(hotwords))[:MAX_HOTWORDS] if hotwords else []
        lead = self.encode(" " + text.strip()) if text.strip() else []
        length = max(1 + len(words), _round_down(min(MAX_PROMPT, 1 + len(words) + len(lead))))
        if said.strip():
            last = self.encode(" " + said.strip())
            longer = next((size for size in PREVIOUS_LENGTHS if size <= 1 + len(words) + len(lead) + len(last)), 0)
            # Where it would cost more of the session's own prompt than it brings, it is left out.
            if longer > length:
                lead, length = lead + last, longer
        if length == 1:
            return []
        rest = length - 1 - len(words)
        return [self.start_of_previous, *words, *lead[len(lead) - rest :]]

    def encode(self, text: str) -> list[int]:
        """Return the text's tokens."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokens that are text."""
        return [token for token in tokens if token < self.end_of_text]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of text tokens."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    def split_words(self, tokens: Sequence[int], language: str) -> list[tuple[str, int]]:
        """Cut text tokens into words, each with its number of tokens; punctuation stays with its word."""
        pieces = self._split_characters(tokens)
        if language in SPACELESS_LANGUAGES:
            return _attach_punctuation(pieces)
        words: list[tuple[str, int]] = []
        for text, count in pieces:
            if words and not text.startswith(" "):
                words[-1] = (words[-1][0] + text, words[-1][1] + count)
            else:
                words.append((text, count))
        return _attach_punctuation(words)

    def _split_characters(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        # A character of several bytes may be spread over several tokens.
        pieces: list[tuple[str, int]] = []
        open_tokens: list[int] = []
        for token in tokens:
            open_tokens.append(token)
            text = self.decode(open_tokens)
            if "\ufffd" not in text:
                pieces.append((text, len(open_tokens)))
                open_tokens = []
        if open_tokens:
            pieces.append((self.decode(open_tokens), len(open_tokens)))
        return pieces

    def _control(self, name: str) -> int:
        token: int | None = self._tokenizer.token_to_id(name)
        if token is None:
            raise EngineFailed(f"The tokenizer has no {name}: this is no Whisper model.")
        return token

    def _find_languages(self) -> dict[str, int]:
        # The language tokens stand between the start token and the tasks.
        tokens = range(self.start_of_transcript + 1, min(self._tasks.values()))
        names = {str(self._tokenizer.id_to_token(token)): token for token in tokens}
        return {name[2:-2]: token for name, token in names.items()}


def _round_down(length: int) -> int:
    step = 1 if length <= 8 else 4 if length <= 32 else 16
    return length // step * step


def _attach_punctuation(words: list[tuple[str, int]]) -> list[tuple[str, int]]:
    joined: list[tuple[str, int]] = []
    for text, count in words:
        bare = text.strip()
        follows = joined and bare and set(bare) <= _CLOSING and not text.startswith(" ")
        leads = joined and joined[-1][0].strip() and set(joined[-1][0].strip()) <= _OPENING and not text.startswith(" ")
        if joined and (follows or leads or not bare):
            joined[-1] = (joined[-1][0] + text, joined[-1][1] + count)
        else:
            joined.append((text, count))
    return joined
