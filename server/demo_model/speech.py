"""Values that the recipe passes around: words in time, utterances, clips."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
"""Mel frames in a second; the encoder halves them."""

Samples = NDArray[np.float32]


class RecipeError(Exception):
    """The recipe cannot go on; the message says what to install or to change."""


class Word(NamedTuple):
    """A word and where it sounds, in seconds."""

    text: str
    start: float
    end: float

    def moved(self, seconds: float) -> "Word":
        """Return the word shifted in time."""
        return Word(self.text, self.start + seconds, self.end + seconds)


@dataclass(frozen=True)
class Utterance:
    """Speech without surroundings: 16 kHz samples in [-1, 1], the text, and the words where their times are known."""

    samples: Samples
    text: str
    words: tuple[Word, ...] | None
    voice: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Clip:
    """A training or evaluation example.

    Attributes:
        features: Log-mel features, float16, ``[80, frames]``.
        text: What a listener should write down; empty when nobody speaks.
        words: Word times in seconds, or None when they are unknown.
        start: Where the first word starts.
        end: Where the last word ends.
        voice: Name of the voice, ``none`` when nobody speaks.
        truncated: Whether the clip was cut while somebody was speaking.
    """

    features: NDArray[np.float16]
    text: str
    words: tuple[Word, ...] | None
    start: float
    end: float
    voice: str
    truncated: bool = False


def listed(text: str, separator: str | None = None) -> tuple[str, ...]:
    """Split a compact list: at ``separator``, or at white space."""
    return tuple(part.strip() for part in text.split(separator))


def silence(seconds: float) -> Samples:
    """Return digital silence."""
    return np.zeros(max(0, round(seconds * SAMPLE_RATE)), np.float32)


def trimmed(samples: Samples, threshold: float = 0.01) -> tuple[int, int]:
    """Return the sample range that holds sound louder than ``threshold`` of the peak, with a small margin."""
    level = np.abs(samples)
    loud = np.nonzero(level > threshold * max(float(level.max(initial=0.0)), 1e-3))[0]
    if len(loud) == 0:
        return 0, len(samples)
    return max(0, int(loud[0]) - SAMPLE_RATE // 50), min(len(samples), int(loud[-1]) + SAMPLE_RATE // 30)


def joined(first: Utterance, second: Utterance, gap: float) -> Utterance:
    """Say one utterance after another with ``gap`` seconds between them."""
    offset = first.seconds + round(gap * SAMPLE_RATE) / SAMPLE_RATE
    words = None
    if first.words is not None and second.words is not None:
        words = first.words + tuple(word.moved(offset) for word in second.words)
    samples = np.concatenate([first.samples, silence(gap), second.samples])
    return Utterance(samples, f"{first.text} {second.text}".strip(), words, first.voice)


def with_margins(utterance: Utterance, lead: float, tail: float) -> Utterance:
    """Put silence around the utterance."""
    samples = np.concatenate([silence(lead), utterance.samples, silence(tail)])
    words = None if utterance.words is None else tuple(word.moved(lead) for word in utterance.words)
    return replace(utterance, samples=samples, words=words)
