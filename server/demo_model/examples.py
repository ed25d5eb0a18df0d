"""From clips to batches: token sequences, frame labels, padding, and variation that costs nothing.

Every visit of a clip looks different: another vocal tract length (Jaitly and Hinton 2013, on the mel axis), masked
bands and moments (SpecAugment, Park et al. 2019), level, timestamps or none, a text prompt or none.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from demo_model import grammar
from demo_model.network import CHARACTERS
from demo_model.speech import FRAMES_PER_SECOND, Clip, Word
from demo_model.tokenizer import MAX_TIMESTAMP, Tokens

STEPS_PER_SECOND = 50
"""Encoder frames in a second."""
IGNORED = -100
_CHARACTER_CLASS = {character: index + 1 for index, character in enumerate(CHARACTERS)}
_LOOK_AFTER = 0.3
"""Where to look when the text is over, in seconds after the last word: who looks back says a word again."""
_TALKS = 0.25
"""Share of clips after which others follow without an end: windows of long segments hold several sentences and
voices. A talk takes some three clips, so that nearly half of all clips are in one."""
_TALK_FRAMES = (300, 1000)
"""Mel frames of a talk: what a window of the server holds."""
_LONG_TALKS, _LONGEST_TALK = 0.15, 2800
"""Share of talks that are longer, and mel frames of the longest."""
_GAPS = (0.05, 0.5)
"""Seconds between two sentences of a talk: longer pauses end a window of the server."""
_LATE = 0.2
"""Share of clips that begin in the middle of a sentence, as the second window of a long sentence does."""
_LEAST_LEFT = 2
"""Words that a late beginning leaves."""
_TRAP = (158, 161)
"""CTranslate2 takes an encoder output as long as the number of mel bins for features: train around it too."""


@dataclass(frozen=True)
class Span:
    """Where a token of the batch should look: row, position in the sequence, first and last encoder frame."""

    row: int
    position: int
    first: int
    last: int


@dataclass
class Batch:
    """Tensors of one step."""

    features: Tensor
    tokens: Tensor
    targets: Tensor
    frame_words: Tensor
    spans: list[Span]
    lengths: Tensor
    characters: list[list[int]]


@cache
def word_classes() -> dict[str, int]:
    """Return the frame class of every word; 0 is silence."""
    return {word: index + 1 for index, word in enumerate(grammar.vocabulary())}


def frame_labels(clip: Clip) -> Tensor:
    """Return the word class of every encoder frame, ``IGNORED`` where it is unknown."""
    labels = torch.full(((clip.features.shape[1] + 1) // 2,), IGNORED)
    if not clip.text and not clip.truncated:
        labels[:] = 0
    elif clip.words:
        labels[: int(clip.words[0].start * STEPS_PER_SECOND)] = 0
        for word in clip.words:
            first = int(word.start * STEPS_PER_SECOND)
            last = max(first + 1, int(word.end * STEPS_PER_SECOND))
            labels[first:last] = word_classes().get(word.text, IGNORED)
        if not clip.truncated:
            labels[int(clip.words[-1].end * STEPS_PER_SECOND) + 2 :] = 0
    return labels


@cache
def _mel_warp(percent: int, mels: int = 80) -> Tensor:
    """Return the matrix that reads mel features at ``percent`` of every frequency."""
    top = 2595 * math.log10(1 + 8000 / 700)
    centres = [700 * (10 ** (top * (index + 1) / (mels + 1) / 2595) - 1) for index in range(mels)]
    matrix = torch.zeros(mels, mels)
    for row, hertz in enumerate(centres):
        mel = 2595 * math.log10(1 + hertz * percent / 100 / 700)
        place = min(max(mel / top * (mels + 1) - 1, 0.0), mels - 1.0)
        low = min(int(place), mels - 2)
        matrix[row, low] += 1 - (place - low)
        matrix[row, low + 1] += place - low
    return matrix


def varied(features: Tensor, rng: random.Random) -> Tensor:
    """Return the features of another vocal tract, with masks and another level."""
    percent = rng.randint(86, 115) if rng.random() < 0.6 else 100
    features = _mel_warp(percent, features.shape[0]) @ features
    mean = features.mean()
    for _ in range(2):
        size = rng.randint(0, 10)
        first = rng.randint(0, features.shape[0] - size)
        features[first : first + size] = mean
    if features.shape[1] > 60:
        size = rng.randint(0, 8)
        first = rng.randint(0, features.shape[1] - size)
        features[:, first : first + size] = mean
    return features + rng.uniform(-0.25, 0.15)


@dataclass
class Sequenced:
    """One row: decoder input, target, and the word time of every position that has one."""

    tokens: list[int]
    targets: list[int]
    times: list[tuple[float, float] | None]


def sequence(clip: Clip, tokens: Tokens, rng: random.Random, *, timestamps: bool | None = None) -> Sequenced:
    """Build the decoder sequence of a clip; nearly half with timestamps, an eighth with a prompt before it."""
    if timestamps is None:
        timestamps = rng.random() < 0.45
    timestamps = timestamps and clip.end <= MAX_TIMESTAMP
    prompt: list[int] = []
    if rng.random() < 0.12:
        previous = grammar.sentence(rng).split()
        prompt = [tokens.special("startofprev"), *(token for word in previous for token in tokens.word(word))]
    spelled = [tokens.word(word) for word in clip.text.split()]
    text = [token for word in spelled for token in word]
    times: list[tuple[float, float] | None] = [None] * len(text)
    if clip.words:
        times = [(word.start, word.end) for word, ids in zip(clip.words, spelled, strict=True) for _ in ids]
    end, start_token = tokens.special("endoftext"), tokens.special("startoftranscript")
    english, silent = tokens.special("en"), tokens.special("nospeech")
    inputs = [*prompt, start_token, english, tokens.special("transcribe")]
    targets = [IGNORED] * len(prompt) + [english if clip.text else silent, IGNORED]
    looks: list[tuple[float, float] | None] = [None] * (len(prompt) + 2)
    after = (clip.words[-1].end, clip.words[-1].end + _LOOK_AFTER) if clip.words else None
    if not timestamps:
        plain = tokens.special("notimestamps")
        return Sequenced([*inputs, plain, *text], [*targets, IGNORED, *text, end], [*looks, None, *times, after])
    if text:
        body = [tokens.timestamp(clip.start), *text, tokens.timestamp(clip.end)]
        times = [None, *times, None]
    else:
        body, times = [tokens.timestamp(0.0)], [None]
    return Sequenced([*inputs, *body], [*targets, *body, end], [*looks, *times, after])


def padded_length(longest: int) -> int:
    """Return an even number of frames that holds ``longest`` and is no trap."""
    if _TRAP[0] < longest <= _TRAP[1]:
        longest = _TRAP[1] + 1
    return longest + longest % 2


def collate(clips: Sequence[Clip], tokens: Tokens, rng: random.Random, *, frames: int = 0, vary: bool = True) -> Batch:
    """Pad clips to a batch of at least ``frames`` mel frames; padding has the feature value 0, as the server pads."""
    lengths = [clip.features.shape[1] for clip in clips]
    size = padded_length(max(frames, max(lengths) + (rng.randint(0, 60) if vary and not frames else 0)))
    features = torch.zeros(len(clips), clips[0].features.shape[0], size)
    frame_words = torch.full((len(clips), size // 2), IGNORED)
    for row, clip in enumerate(clips):
        mel = torch.from_numpy(clip.features.astype(np.float32))
        features[row, :, : lengths[row]] = varied(mel, rng) if vary else mel
        labels = frame_labels(clip)[: size // 2]
        frame_words[row, : len(labels)] = labels
    rows = [sequence(clip, tokens, rng) for clip in clips]
    width = max(len(row.tokens) for row in rows)
    inputs = torch.full((len(clips), width), tokens.special("endoftext"))
    targets = torch.full((len(clips), width), IGNORED)
    spans = []
    for index, sequenced in enumerate(rows):
        inputs[index, : len(sequenced.tokens)] = torch.tensor(sequenced.tokens)
        targets[index, : len(sequenced.targets)] = torch.tensor(sequenced.targets)
        for position, time in enumerate(sequenced.times):
            if time is not None:
                first = min(int(time[0] * STEPS_PER_SECOND), size // 2 - 1)
                last = max(first + 1, min(math.ceil(time[1] * STEPS_PER_SECOND), size // 2))
                spans.append(Span(index, position, first, last))
    characters = [[_CHARACTER_CLASS[character] for character in clip.text] for clip in clips]
    steps = torch.tensor([max(1, length // 2) for length in lengths])
    return Batch(features, inputs, targets, frame_words, spans, steps, characters)


def late(clip: Clip, first: int, early: float = 0.0) -> Clip:
    """Return the clip from its word ``first`` on, cut in the middle between two words or ``early`` seconds before."""
    words = clip.words or ()
    between = (words[first - 1].end + words[first].start) / 2
    frame = max(0, round((between - early) * FRAMES_PER_SECOND))
    left = tuple(word.moved(-frame / FRAMES_PER_SECOND) for word in words[first:])
    return replace(
        clip,
        features=clip.features[:, frame:],
        text=" ".join(word.text for word in left),
        words=left,
        start=max(0.0, left[0].start),
        end=left[-1].end,
    )


def trimmed(clip: Clip, lead: float = math.inf, tail: float = math.inf) -> Clip:
    """Return the clip with at most ``lead`` seconds before its first word and ``tail`` behind its last."""
    words = clip.words or ()
    first = round(max(0.0, words[0].start - lead) * FRAMES_PER_SECOND)
    last = round(min(clip.features.shape[1] / FRAMES_PER_SECOND, words[-1].end + tail) * FRAMES_PER_SECOND)
    moved = -first / FRAMES_PER_SECOND
    return replace(
        clip,
        features=clip.features[:, first:last],
        words=tuple(word.moved(moved) for word in words),
        start=max(0.0, clip.start + moved),
        end=clip.end + moved,
    )


def run_together(clips: Sequence[Clip], gaps: Sequence[float]) -> Clip:
    """Return one clip in which others follow each other, as when several people talk.

    Args:
        clips: Clips with words; only the last may be cut.
        gaps: Longest pauses between them in seconds, one less than clips.
    """
    halves = [gap / 2 for gap in gaps]
    edges = zip(clips, [math.inf, *halves], [*halves, math.inf], strict=True)
    parts = [trimmed(clip, lead, tail) for clip, lead, tail in edges]
    words: list[Word] = []
    position = 0
    for part in parts:
        words += [word.moved(position / FRAMES_PER_SECOND) for word in part.words or ()]
        position += part.features.shape[1]
    return replace(
        clips[-1],
        features=np.concatenate([part.features for part in parts], axis=1),
        text=" ".join(part.text for part in parts),
        words=tuple(words),
        start=words[0].start,
        end=words[-1].end,
    )


class Pool:
    """Clips in memory; deals them out in rounds so that every clip comes once before any comes twice."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._clips: list[Clip] = []
        self._waiting: list[int] = []

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._clips)

    def add(self, clips: Iterator[Clip]) -> None:
        """Take in new clips; they come before the old ones come again."""
        before = len(self._clips)
        self._clips.extend(clip for clip in clips if clip.features.shape[1] >= 10)
        self._waiting.extend(range(before, len(self._clips)))
        self._rng.shuffle(self._waiting)

    def deal(self, clips: int, frames: int) -> list[list[Clip]]:
        """Return batches of similar length, at most ``frames`` mel frames each, in random order."""
        if len(self._waiting) < clips:
            more = list(range(len(self._clips)))
            self._rng.shuffle(more)
            self._waiting = more + self._waiting
        chosen = self._with_talks([self._clips[self._waiting.pop()] for _ in range(min(clips, len(self._waiting)))])
        chosen.sort(key=lambda clip: clip.features.shape[1] + self._rng.uniform(-25, 25))
        batches: list[list[Clip]] = []
        batch: list[Clip] = []
        for clip in chosen:
            if (batch and (len(batch) + 1) * max(80, clip.features.shape[1]) > frames) or len(batch) >= 64:
                batches.append(batch)
                batch = []
            batch.append(clip)
        batches.append(batch)
        self._rng.shuffle(batches)
        return batches

    def _perhaps_late(self, clip: Clip) -> Clip:
        words = clip.words or ()
        if len(words) <= _LEAST_LEFT or self._rng.random() >= _LATE:
            return clip
        return late(clip, self._rng.randint(1, len(words) - _LEAST_LEFT), self._rng.uniform(-0.02, 0.05))

    def _with_talks(self, clips: list[Clip]) -> list[Clip]:
        """Return clips of which some begin late and some are run together, up to a window's length."""
        dealt: list[Clip] = []
        talk: list[Clip] = []
        room = 0
        for clip in clips:
            if not clip.words:
                dealt.append(clip)
            elif talk:
                talk.append(clip)
                room -= clip.features.shape[1]
                if room < 0 or clip.truncated:
                    fits = talk[:-1] if room < 0 else talk
                    gaps = [self._rng.uniform(*_GAPS) for _ in fits[1:]]
                    dealt += [run_together(fits, gaps), *talk[len(fits) :]]
                    talk = []
            elif self._rng.random() < _TALKS and not clip.truncated:
                size = _LONGEST_TALK if self._rng.random() < _LONG_TALKS else self._rng.randint(*_TALK_FRAMES)
                talk, room = [self._perhaps_late(clip)], size - clip.features.shape[1]
            else:
                dealt.append(self._perhaps_late(clip))
        return dealt + talk
