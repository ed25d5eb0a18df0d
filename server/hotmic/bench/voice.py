"""What the speakers of a benchmark say, and when exactly they say it.

Times count seconds of a stream's own audio: its chunk ``n`` holds the audio up to ``(n + 1) * chunk`` and is due then.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hotmic.bench.clip import Clip, bundled_clips, read_clip
from hotmic.errors import ConfigError
from hotmic.values import SAMPLE_RATE, Samples

SPACE_S = 0.4
"""Silence after the endpoint delay, so that every clip is an utterance of its own."""
REFERENCES = ("references.json", "clips.json")

_FRAME = SAMPLE_RATE // 100
_QUIET_DB, _LOUD_DB, _NOISE_DB = -30.0, -15.0, 6.0
_NOISE = 8.0
"""Amplitude of the noise in pauses: a microphone is never digitally silent."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Utterance:
    """One clip as a stream says it."""

    text: str
    """The reference; empty where nobody wrote it down."""
    speech: tuple[Span, ...]
    """Where sound is, in seconds of the stream."""

    @property
    def start(self) -> float:
        """Where its speech begins."""
        return self.speech[0][0]

    @property
    def end(self) -> float:
        """Where its speech ends."""
        return self.speech[-1][1]


@dataclass(frozen=True)
class Turn:
    """A clip and the pause after it; positions in samples of the stream."""

    clip: Clip
    start: int
    stop: int


class Voice:
    """One speaker: clips in a row, with pauses.

    Args:
        clips: What may be said; ``first`` says where this speaker begins.
        seconds: How long it speaks at least; the last turn is finished.
        duty: Share of the time in which it has its turn. At 1 it pauses only as long as an endpoint takes.
        endpoint_delay: Silence that ends a segment, in seconds.
        first: Number of the first clip.

    Raises:
        ConfigError: There is no sound in one of the clips.
    """

    def __init__(
        self, clips: Sequence[Clip], *, seconds: float, duty: float, endpoint_delay: float, first: int
    ) -> None:
        self._turns: list[Turn] = []
        self._noise = _noise()
        place, utterances = 0, []
        for clip in itertools.islice(itertools.cycle(clips), first % len(clips), None):
            if place >= seconds * SAMPLE_RATE:
                break
            length = (clip.seconds + endpoint_delay + SPACE_S) / duty
            turn = Turn(clip, place, place + round(length * SAMPLE_RATE))
            begin = place / SAMPLE_RATE
            speech = tuple((begin + start, begin + stop) for start, stop in find_sound(clip))
            utterances.append(Utterance(clip.text, speech))
            self._turns.append(turn)
            place = turn.stop
        self.utterances: tuple[Utterance, ...] = tuple(utterances)

    @property
    def seconds(self) -> float:
        """Length of the stream."""
        return self._turns[-1].stop / SAMPLE_RATE

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the stream as PCM16 in chunks of ``size`` samples; the last one is filled up."""
        pending = np.zeros(0, dtype=np.int16)
        for turn in self._turns:
            pause = np.resize(self._noise, turn.stop - turn.start - len(turn.clip.samples))
            pending = np.concatenate((pending, turn.clip.samples, pause))
            whole = len(pending) // size * size
            for begin in range(0, whole, size):
                yield pending[begin : begin + size].astype("<i2").tobytes()
            pending = pending[whole:]
        if len(pending):
            yield np.resize(np.concatenate((pending, np.resize(self._noise, size))), size).astype("<i2").tobytes()


def last_speech(utterances: Sequence[Utterance], moment: float) -> float | None:
    """Return when the last sound of speech before a moment ended; ``None`` where there was none yet."""
    spans = [span for utterance in utterances for span in utterance.speech if span[0] < moment]
    return min(spans[-1][1], moment) if spans else None


def find_sound(clip: Clip) -> tuple[Span, ...]:
    """Return where a recording is loud, in seconds; gaps below 50 ms are none.

    Loud is what lies 30 dB or less under the loudest frames and 6 dB over the quietest; noise right under the speech
    never lifts the limit above -15 dB. Frames have 10 ms.

    Raises:
        ConfigError: It is nowhere.
    """
    count = len(clip.samples) // _FRAME
    frames = clip.samples[: count * _FRAME].reshape(count, _FRAME).astype(np.float64)
    level = np.sqrt((frames**2).mean(axis=1)) if count else np.zeros(0)
    if not count or level.max() < 1:
        raise ConfigError(f"There is no sound in {clip.name}.")
    peak, floor = np.percentile(level, 95), np.percentile(level, 10)
    limit = min(max(peak * _ratio(_QUIET_DB), floor * _ratio(_NOISE_DB)), peak * _ratio(_LOUD_DB))
    spans: list[Span] = []
    for place in np.flatnonzero(level >= limit):
        start, stop = place / 100, (place + 1) / 100
        if spans and start - spans[-1][1] < 0.05:
            spans[-1] = (spans[-1][0], float(stop))
        else:
            spans.append((float(start), float(stop)))
    return tuple(spans)


def load_voices(speech: Path | None) -> list[Clip]:
    """Return the clips of a folder, or those of the package.

    References stand in ``references.json`` (name to text) or in a ``.txt`` beside each WAV file; a clip without one is
    spoken and timed all the same.

    Raises:
        ConfigError: No clips, or one of the files cannot be read.
    """
    if speech is None:
        return bundled_clips()
    paths = sorted(speech.glob("*.wav"))
    if not paths:
        raise ConfigError(f"There are no WAV files in {speech}.")
    known = _read_references(speech)
    return [read_clip(path, _reference(path, known)) for path in paths]


def _read_references(folder: Path) -> dict[str, str]:
    for name in REFERENCES:
        path = folder / name
        if path.is_file():
            try:
                listed = json.loads(path.read_text("utf-8"))
                return {
                    Path(key).stem: str(value["text"] if isinstance(value, dict) else value)
                    for key, value in listed.items()
                }
            except (ValueError, KeyError, AttributeError) as error:
                raise ConfigError(f"{path} is no JSON object of names and texts.") from error
    return {}


def _reference(path: Path, known: dict[str, str]) -> str:
    beside = path.with_suffix(".txt")
    if path.stem not in known and beside.is_file():
        return beside.read_text("utf-8").strip()
    return known.get(path.stem, "")


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def _noise() -> Samples:
    return np.random.default_rng(0).normal(0, _NOISE, SAMPLE_RATE).astype(np.int16)
