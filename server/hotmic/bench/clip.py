"""Recordings with what was said in them, and how far a text is from that."""

import json
import unicodedata
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from hotmic.errors import ConfigError
from hotmic.values import SAMPLE_RATE, Samples


@dataclass(frozen=True)
class Clip:
    """One recording."""

    name: str
    samples: Samples
    text: str = ""
    """What was said; empty where nobody wrote it down."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


def read_clip(path: Path, text: str = "") -> Clip:
    """Read a WAV file: mono, 16 bit, 16 kHz.

    Raises:
        ConfigError: It is something else.
    """
    try:
        with wave.open(str(path)) as file:
            shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            pcm = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ConfigError(f"{path} cannot be read as a WAV file.") from error
    if shape != (1, 2, SAMPLE_RATE):
        raise ConfigError(f"{path} is not mono, 16 bit, {SAMPLE_RATE} Hz.")
    return Clip(path.stem, np.frombuffer(pcm, dtype="<i2").astype(np.int16), text)


def bundled_clips() -> list[Clip]:
    """Return the recordings that come with hotmic."""
    folder = Path(str(files("hotmic") / "models" / "clips"))
    listed = json.loads((folder / "clips.json").read_text("utf-8"))
    return [read_clip(folder / f"{name}.wav", entry["text"]) for name, entry in listed.items()]


def cut_windows(clips: Sequence[Clip], seconds: float, count: int) -> list[Samples]:
    """Return windows of one length cut from the clips laid end to end, over and over."""
    size = round(seconds * SAMPLE_RATE)
    joined = np.concatenate([clip.samples for clip in clips])
    endless = np.tile(joined, size * count // len(joined) + 1)
    return [endless[place * size : (place + 1) * size] for place in range(count)]


def fold(text: str) -> list[str]:
    """Return the words of a text without case and punctuation.

    >>> fold("Nine-thirty, please!")
    ['nine', 'thirty', 'please']
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LMN" or c == "'" else " " for c in folded).split()


def word_errors(reference: str, heard: str) -> tuple[int, int]:
    """Return how many words must be put in, taken out or exchanged, and how many the reference has.

    >>> word_errors("set a timer", "set the timer now")
    (2, 3)
    """
    wanted, said = fold(reference), fold(heard)
    row = list(range(len(said) + 1))
    for place, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(said, start=1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other)),
            )
    return row[-1], len(wanted)


def error_rate(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Return the word error rate over pairs of reference and text; ``None`` where the references hold no word."""
    counts = [word_errors(reference, heard) for reference, heard in pairs]
    words = sum(count for _, count in counts)
    return sum(errors for errors, _ in counts) / words if words else None
