"""Clips and shards: utterances in random surroundings, as features with their text and word times.

A shard is a pickled list of clips. Shards are written whole and renamed into place, so a trainer may read the folder
while it still fills.
"""

import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from demo_model import augment, grammar, people
from demo_model.people import Recordings
from demo_model.speech import SAMPLE_RATE, Clip, Samples, Utterance, joined, with_margins
from demo_model.voices import Speakers

N_MELS = 80
MAX_SECONDS = 19.9
_BABBLE_POOL = 200

_extractor = FeatureExtractor(feature_size=N_MELS, chunk_length=10)


def features(samples: Samples) -> NDArray[np.float16]:
    """Return log-mel features ``[80, frames]``, computed by the same code that the server uses."""
    result: NDArray[np.float16] = _extractor(samples)[..., :-1].astype(np.float16)
    return result


@dataclass(frozen=True)
class Mixture:
    """What a corpus consists of; shares of one."""

    people: float = 0.5
    nobody: float = 0.065
    truncated: float = 0.25
    strength: float = 1.0
    """Of the surroundings; 0 leaves the speech clean."""


def cut(utterance: Utterance, at: float, rng: random.Random) -> Utterance:
    """Cut an utterance ``at`` seconds; its text becomes the words that are complete, as in a live partial.

    A quarter of the cuts also drops words at the front.
    """
    assert utterance.words is not None
    kept = [word for word in utterance.words if word.end <= at + 0.12 * (word.end - word.start) + 0.01]
    samples = utterance.samples[: max(int(at * SAMPLE_RATE), SAMPLE_RATE // 5)]
    if len(kept) > 2 and rng.random() < 0.25:
        first = rng.randint(1, len(kept) - 1)
        offset = max(0.0, kept[first].start - 0.03)
        samples = samples[int(offset * SAMPLE_RATE) :]
        kept = [word.moved(-offset) for word in kept[first:]]
    return replace(utterance, samples=samples, words=tuple(kept), text=" ".join(word.text for word in kept))


class ClipMaker:
    """Makes training clips one by one.

    Args:
        speakers: Synthetic voices.
        recordings: People to train on, or None for synthetic speech only.
        rng: All randomness.
    """

    def __init__(
        self, speakers: Speakers, recordings: Recordings | None, rng: random.Random, mixture: Mixture | None = None
    ) -> None:
        self._speakers = speakers
        self._recordings = recordings
        self._rng = rng
        self._mixture = mixture or Mixture()
        self._babble: list[Samples] = []

    def make(self) -> Clip:
        """Return one more clip."""
        rng = self._rng
        if rng.random() < self._mixture.nobody:
            return Clip(features(augment.nobody(rng, babble=self._voices_behind(1.0))), "", (), 0.0, 0.0, "none")
        person = self._recordings is not None and rng.random() < self._mixture.people
        if person and self._recordings is not None:
            utterance = people.spoken(self._recordings, rng)
        else:
            utterance = self._synthetic()
        self._remember(utterance.samples)
        return self.placed(utterance, strength=self._mixture.strength * (0.75 if person else 1.0))

    def placed(self, utterance: Utterance, *, strength: float) -> Clip:
        """Give an utterance margins like a voice activity detector's, surroundings, and sometimes an early end."""
        rng = self._rng
        lead = rng.uniform(0.05, 0.6) if rng.random() < 0.8 else rng.uniform(0, 0.1)
        tail = rng.uniform(0.0, 0.75) if rng.random() < 0.8 else rng.uniform(0, 1.2)
        end = lead + utterance.seconds
        whole = with_margins(utterance, lead, tail)
        whole = replace(whole, samples=whole.samples[: int(MAX_SECONDS * SAMPLE_RATE)])
        babble = self._voices_behind(0.06)
        samples = augment.surroundings(whole.samples, rng, strength=strength, babble=babble)
        whole = replace(whole, samples=samples)
        truncated = whole.words is not None and rng.random() < self._mixture.truncated
        if truncated:
            whole = cut(whole, rng.uniform(lead + 0.25, max(lead + 0.3, end)), rng)
        start, end = lead, min(end, len(whole.samples) / SAMPLE_RATE)
        if truncated:
            start, end = (whole.words[0].start, min(end, whole.words[-1].end)) if whole.words else (0.0, 0.0)
        return Clip(features(whole.samples), whole.text, whole.words, start, end, whole.voice, truncated)

    def _synthetic(self) -> Utterance:
        """Mostly sentences of the grammar, then orders, single words, numbers, and sometimes two or more in a row."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.15:
            return self._speakers.say(grammar.order(rng), rng)
        if kind < 0.28:
            return self._speakers.say(grammar.single(rng), rng)
        if kind < 0.33:
            return self._speakers.say(grammar.expand("digits_long" if rng.random() < 0.7 else "digits_any", rng), rng)
        utterance = self._speakers.say(grammar.sentence(rng), rng)
        if kind < 0.46:
            limit = 19.0 if rng.random() < 0.15 else 9.0
            for _ in range(rng.randint(1, 4)):
                following = self._speakers.say(grammar.expand("clause", rng), rng)
                gap = rng.uniform(0.1, 1.3)
                if utterance.seconds + gap + following.seconds < limit:
                    utterance = joined(utterance, following, gap)
        return utterance

    def _remember(self, samples: Samples) -> None:
        if len(self._babble) < _BABBLE_POOL:
            self._babble.append(samples[: 2 * SAMPLE_RATE])
        elif self._rng.random() < 0.05:
            self._babble[self._rng.randrange(_BABBLE_POOL)] = samples[: 2 * SAMPLE_RATE]

    def _voices_behind(self, chance: float) -> Samples | None:
        """Return a mixture of remembered voices that nobody can follow."""
        rng = self._rng
        if len(self._babble) < 20 or rng.random() >= chance:
            return None
        mixed = np.zeros(4 * SAMPLE_RATE, np.float32)
        for _ in range(rng.randint(4, 7)):
            voice = rng.choice(self._babble)
            if len(voice):
                mixed += np.roll(np.resize(voice, len(mixed)), rng.randrange(len(mixed))) / (np.std(voice) + 1e-4)
        return mixed


def write_shards(maker: ClipMaker, folder: Path, name: str, *, clips: int, shard_clips: int = 500) -> None:
    """Make ``clips`` clips and write them as ``folder/name-NNNN.clips``, a shard at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range((clips + shard_clips - 1) // shard_clips):
        shard = [maker.make() for _ in range(min(shard_clips, clips - number * shard_clips))]
        path = folder / f"{name}-{number:04d}.clips"
        save_clips(shard, path)
        print(f"{path.name}: {len(shard)} clips", flush=True)


def save_clips(clips: list[Clip], path: Path) -> None:
    """Write a shard; readers see it whole or not at all."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        pickle.dump(clips, file, protocol=pickle.HIGHEST_PROTOCOL)
    partial.rename(path)


def load_clips(path: Path) -> list[Clip]:
    """Read a shard that this recipe wrote (a pickle: never read a foreign one)."""
    with path.open("rb") as file:
        clips: list[Clip] = pickle.load(file)
    return clips


def new_shards(folder: Path, seen: set[Path]) -> Iterator[Clip]:
    """Yield the clips of the shards that appeared since the last call; ``seen`` remembers them."""
    for path in sorted(folder.glob("*.clips")):
        if path not in seen:
            seen.add(path)
            yield from load_clips(path)


def clean_clip(utterance: Utterance, *, snr_db: float | None = None, rng: random.Random | None = None) -> Clip:
    """Return an evaluation clip: margins of silence, and noise at ``snr_db`` when given."""
    lead, tail = 0.3, 0.5
    whole = with_margins(utterance, lead, tail)
    samples = whole.samples / (float(np.abs(whole.samples).max(initial=0.0)) + 1e-6) * np.float32(0.5)
    if snr_db is not None and rng is not None:
        samples = augment.with_noise(samples, snr_db, rng)
    end = lead + utterance.seconds
    return Clip(features(samples), utterance.text, whole.words, lead, end, utterance.voice)
