"""Recordings of people: coffee orders, keywords, digits and single command words.

A model that has only heard synthetic voices does not hear people: half of the training is made from these folders
(see ``README.md`` for their sources and licences). Word times of whole sentences come from forced alignment with a
model that already listens, and are cached as JSON.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import soxr

from demo_model.grammar import DIGITS
from demo_model.speech import SAMPLE_RATE, RecipeError, Samples, Utterance, Word, joined, trimmed

HELD_SPEAKERS = ("a8cb6dda", "dabf67d9", "37e8db82", "e4a2cf79")
"""Speakers of command words that are never trained on."""
HELD_TAKES = range(5)
"""Takes of every digit speaker that are never trained on."""
HELD_EVERY = 10
"""Every tenth order and keyword clip, by sorted name, is never trained on."""

Aligner = Callable[[Sequence[Utterance]], list[tuple[Word, ...]]]


@dataclass
class Recordings:
    """Recordings of one half: the part to train on, or the part to measure with."""

    orders: list[Utterance] = field(default_factory=list)
    keywords: list[Utterance] = field(default_factory=list)
    commands: list[Utterance] = field(default_factory=list)
    digits: dict[str, list[Utterance]] = field(default_factory=dict)
    """Single digits of each speaker."""


def read_audio(path: Path) -> Samples:
    """Read a file as 16 kHz mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def _whole(samples: Samples, text: str, voice: str) -> Utterance:
    """Return a recording of one word whose time is the whole recording, without its silent margins."""
    first, last = trimmed(samples, 0.03)
    samples = samples[first:last]
    word = Word(text, 0.0, len(samples) / SAMPLE_RATE)
    return Utterance(samples, text, (word,), voice)


def load(folder: Path) -> tuple[Recordings, Recordings]:
    """Read all recordings; return those to train on and those held out.

    Raises:
        RecipeError: The folder does not look like the speech folder of the README.
    """
    transcripts = folder / "orders" / "transcripts.json"
    if not transcripts.is_file():
        raise RecipeError(f"{folder} has no orders/transcripts.json; --speech takes the folder of the README")
    halves = Recordings(), Recordings()
    for index, (name, text) in enumerate(sorted(json.loads(transcripts.read_text()).items())):
        half = halves[index % HELD_EVERY == 0]
        half.orders.append(Utterance(read_audio(folder / "orders" / f"{name}.flac"), text, None, f"order:{name}"))
    for index, path in enumerate(sorted((folder / "keywords").glob("*.flac"))):
        text = path.stem.rsplit("_", 1)[0].replace("-", " ").replace("_", " ")
        halves[index % HELD_EVERY == 0].keywords.append(Utterance(read_audio(path), text, None, f"keyword:{path.stem}"))
    for path in sorted((folder / "commands").glob("*.wav")):
        text, speaker, _ = path.stem.split("_")
        halves[speaker in HELD_SPEAKERS].commands.append(_whole(read_audio(path), text, f"command:{path.stem}"))
    for path in sorted((folder / "digits").glob("*.wav")):
        digit, speaker, take = path.stem.split("_")
        half = halves[int(take) in HELD_TAKES]
        spoken = _whole(read_audio(path), DIGITS[int(digit)], f"digit:{path.stem}")
        half.digits.setdefault(speaker, []).append(spoken)
    return halves


def align(recordings: Recordings, aligner: Aligner, cache: Path) -> None:
    """Give the orders and keywords word times, in place, from the cache or by forced alignment."""
    known: dict[str, list[list[float]]] = json.loads(cache.read_text()) if cache.is_file() else {}
    for utterances in (recordings.orders, recordings.keywords):
        missing = [utterance for utterance in utterances if utterance.voice not in known]
        for utterance, words in zip(missing, aligner(missing) if missing else [], strict=True):
            known[utterance.voice] = [[word.start, word.end] for word in words]
        for index, utterance in enumerate(utterances):
            times = known[utterance.voice]
            words = tuple(Word(text, *span) for text, span in zip(utterance.text.split(), times, strict=True))
            utterances[index] = replace(utterance, words=words)
    cache.write_text(json.dumps(known))


def at_speed(utterance: Utterance, factor: float) -> Utterance:
    """Return the utterance faster by ``factor``; pitch and formants move with it, so it is another voice too."""
    samples = soxr.resample(utterance.samples, SAMPLE_RATE, SAMPLE_RATE / factor, quality="QQ").astype(np.float32)
    words = utterance.words
    if words is not None:
        words = tuple(Word(word.text, word.start / factor, word.end / factor) for word in words)
    return replace(utterance, samples=samples, words=words)


def at_level(utterance: Utterance, peak: float) -> Utterance:
    """Return the utterance with the given peak."""
    gain = np.float32(peak / (float(np.abs(utterance.samples).max(initial=0.0)) + 1e-6))
    return replace(utterance, samples=utterance.samples * gain)


def _varied(utterance: Utterance, rng: random.Random, spread: float = 0.14) -> Utterance:
    return at_level(at_speed(utterance, rng.uniform(1 - spread, 1 + spread)), rng.uniform(0.35, 0.9))


def _chain(parts: list[Utterance], rng: random.Random, gap: tuple[float, float]) -> Utterance:
    result = parts[0]
    for part in parts[1:]:
        result = joined(result, part, rng.uniform(*gap))
    return result


def digit_string(recordings: Recordings, rng: random.Random, count: int | None = None) -> Utterance:
    """Concatenate digits of one speaker with random gaps, at one speed with a little wobble."""
    takes = recordings.digits[rng.choice(sorted(recordings.digits))]
    speed = rng.uniform(0.85, 1.15)
    count = count or rng.choice((1, 1, 1, 2, 3, 4, 5, 6, 7, 8))
    parts = [
        at_level(at_speed(rng.choice(takes), speed * rng.uniform(0.97, 1.03)), rng.uniform(0.4, 0.9))
        for _ in range(count)
    ]
    return _chain(parts, rng, rng.choice(((0.03, 0.35), (0.0, 0.1), (0.2, 0.6))))


def _words(pool: list[Utterance], rng: random.Random, counts: Sequence[int]) -> Utterance:
    parts = [_varied(rng.choice(pool), rng, 0.18) for _ in range(rng.choice(counts))]
    return _chain(parts, rng, (0.05, 0.5))


def _span(utterance: Utterance, rng: random.Random) -> Utterance:
    """Return a few words out of the middle of a sentence."""
    if utterance.words is None or len(utterance.words) < 2:
        return utterance
    first = rng.randrange(len(utterance.words))
    words = utterance.words[first : first + rng.randint(1, 5)]
    begin, end = max(0.0, words[0].start - 0.02), min(utterance.seconds, words[-1].end + 0.02)
    samples = utterance.samples[int(begin * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
    moved = tuple(word.moved(-begin) for word in words)
    return Utterance(samples, " ".join(word.text for word in words), moved, utterance.voice)


def _pieces(recordings: Recordings, rng: random.Random) -> Utterance:
    """Return words in an order that no grammar predicts, so that the decoder has to listen."""
    pool = rng.choice((recordings.orders, recordings.orders, recordings.commands, recordings.keywords))
    parts = [_varied(_span(rng.choice(pool or recordings.commands), rng), rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.3 and recordings.digits:
        parts.insert(rng.randint(0, len(parts)), digit_string(recordings, rng))
    return _chain(parts, rng, (0.02, 0.3))


def spoken(recordings: Recordings, rng: random.Random) -> Utterance:
    """Return something that a person said: whole recordings, concatenations, each time at another speed.

    A sixth is several utterances in a row with pauses, now and then up to 20 s.
    """
    if rng.random() < 0.16:
        result = _one(recordings, rng)
        limit = 19.0 if rng.random() < 0.15 else 9.0
        for _ in range(rng.randint(1, 4)):
            gap = rng.uniform(0.1, 1.3)
            following = _one(recordings, rng)
            if result.seconds + gap + following.seconds < limit:
                result = joined(result, following, gap)
        return result
    return _one(recordings, rng)


def _one(recordings: Recordings, rng: random.Random) -> Utterance:
    kind = rng.random()
    if kind < 0.1 and recordings.orders and recordings.commands:
        return _pieces(recordings, rng)
    if kind < 0.42 and recordings.orders:
        return _varied(rng.choice(recordings.orders), rng)
    if kind < 0.66 and recordings.digits:
        return digit_string(recordings, rng)
    if kind < 0.88 and recordings.commands:
        return _words(recordings.commands, rng, (1, 1, 1, 1, 2, 3))
    if kind < 0.95 and recordings.keywords:
        return _varied(rng.choice(recordings.keywords), rng)
    return _words(recordings.commands + recordings.keywords, rng, (2, 2, 3))
