"""The verified fake: audio that carries its own chunk numbers, and an engine that hears nothing else.

Each 100 ms chunk says its number twice, once in each half, so that a chunk cut in two is heard by exactly one of the
two windows: the one that holds more of it. The transcript is the list of numbers heard; loss, duplication, reordering
and cross-talk are comparisons of strings.

A half is 50 slots of 16 samples: three of sync (24 samples up and 24 down in the first half, down and up in the
second; no data has runs this long), 32 bits of number and 15 bits of checksum, Manchester-coded, which survives gain,
resampling and moderate noise. An energy VAD takes it for speech.
"""

import os
import signal
import time
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hotmic.config.model import ModelSpec
from hotmic.engines.row import failure_of
from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult, Samples, Word

CHUNK = SAMPLE_RATE // 10
SPEAKER_STRIDE = 100_000
"""Speaker 3's chunk 17 is heard as 300017."""

OPTIONS: dict[str, float | int | str] = {
    "load_s": 0.0,
    "decode_s": 0.0,
    "batch_s": 0.0,
    "crash_after_jobs": 0,
    "hang_after_jobs": 0,
    "stall_after_jobs": 0,
    "crash_on": -1,
    "fail_on": -1,
    "exhaust_on": -1,
    "fail_load": "",
}
"""What a script may set, with what it is otherwise: seconds of loading, of decoding per second of audio and per batch;
die, freeze the whole process, or never return from the decode after so many jobs; die, fail or run out of memory when
this number is heard; refuse to load with this sentence."""

_SLOT = 16
_HALF = CHUNK // 2
_SYNC = 3 * _SLOT
_BITS = 47
_AMPLITUDE = 8000
_MATCH = 0.85
_HEARD_LANGUAGE = "en"


class Heard:
    """One number found in a window; ``start`` is where its chunk begins, before the window if it was cut."""

    __slots__ = ("number", "start")

    def __init__(self, number: int, start: int) -> None:
        self.number = number
        self.start = start


@lru_cache(maxsize=4096)
def _chunk(value: int) -> bytes:
    payload = value << 15 | _checksum(value)
    bits = np.array([payload >> shift & 1 for shift in reversed(range(_BITS))], dtype=np.int16) * 2 - 1
    data = np.repeat(np.stack((bits, -bits), axis=1).ravel(), _SLOT // 2)
    sync = np.repeat(np.array((1, -1), dtype=np.int16), _SYNC // 2)
    return (np.concatenate((sync, data, -sync, data)) * _AMPLITUDE).astype("<i2").tobytes()


def chunk(number: int, *, speaker: int = 0) -> Samples:
    """Return the 100 ms of audio that say a number.

    >>> heard(chunk(17, speaker=3))
    [300017]
    """
    if not 0 <= number < SPEAKER_STRIDE or not 0 <= speaker < 40_000:
        raise ValueError(f"chunk {number} of speaker {speaker} is out of range")
    return np.frombuffer(_chunk(speaker * SPEAKER_STRIDE + number), dtype="<i2")


def speech(count: int, *, first: int = 0, speaker: int = 0) -> Samples:
    """Return the audio of ``count`` chunks in a row."""
    return np.concatenate([chunk(first + i, speaker=speaker) for i in range(count)])


def heard(samples: Samples) -> list[int]:
    """Return the numbers of all chunks of which the window holds more than half, in order."""
    return [item.number for item in listen(samples)]


def listen(samples: Samples) -> list[Heard]:
    """Find the chunks in a window, whatever its alignment to them."""
    sums = np.concatenate(([0], np.cumsum(samples, dtype=np.int64)))
    loud = np.concatenate(([0], np.cumsum(np.abs(samples.astype(np.int32)), dtype=np.int64)))
    found: list[Heard] = []
    for position, sign in _syncs(sums, loud):
        value = _read(sums, position)
        if value is None:
            continue
        # A second half begins with the sync turned over.
        start = position if sign > 0 else position - _HALF
        inside = min(len(samples), start + CHUNK) - max(0, start)
        if inside < _HALF or (inside == _HALF and (start >= 0 or not _is_sharp(samples))):
            continue
        if found and found[-1].number == value and abs(found[-1].start - start) < _HALF:
            continue
        found.append(Heard(value, start))
    return found


def _syncs(sums: npt.NDArray[np.int64], loud: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    half = _SYNC // 2
    last = len(sums) - 1 - _HALF
    if last < 0:
        return []
    begin, middle, end = sums[: last + 1], sums[half : last + 1 + half], sums[2 * half : last + 1 + 2 * half]
    match = 2 * middle - begin - end
    energy = loud[2 * half : last + 1 + 2 * half] - loud[: last + 1]
    (positions,) = np.nonzero(np.abs(match) > np.maximum(_MATCH * energy, _SYNC))
    if not len(positions):
        return []
    # Neighbours of a sync resemble it; the best of each group is the sync.
    groups = np.split(positions, np.flatnonzero(np.diff(positions) > _SLOT) + 1)
    best = [int(group[np.abs(match[group]).argmax()]) for group in groups]
    return [(position, 1 if match[position] > 0 else -1) for position in best]


def _is_sharp(samples: Samples) -> bool:
    # A second half whose first samples were cut off looks as if it began at the border of the window.
    sync = samples[:_SYNC].astype(np.int32)
    return int(sync[: _SYNC // 2].max()) < 0 < int(sync[_SYNC // 2 :].min())


def _read(sums: npt.NDArray[np.int64], position: int) -> int | None:
    edges = sums[position + _SYNC : position + _SYNC + _BITS * _SLOT + 1 : _SLOT // 2]
    bits = 2 * edges[1:-1:2] - edges[:-2:2] - edges[2::2] > 0
    payload = int("".join("1" if bit else "0" for bit in bits), 2)
    value = payload >> 15
    return value if payload & 0x7FFF == _checksum(value) else None


def _checksum(value: int) -> int:
    return zlib.crc32(value.to_bytes(4, "little")) & 0x7FFF


class EchoEngine:
    """Transcribes nothing but chunk numbers; speed, load time and failures follow ``spec.options``.

    Raises:
        EngineFailed: The script says so, or has a key that is none of ``OPTIONS``.
    """

    def __init__(self, spec: ModelSpec, *, batch_size: int) -> None:
        if unknown := sorted(spec.options.keys() - OPTIONS.keys()):
            raise EngineFailed(f"The echo engine has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}.")
        self._options = {**OPTIONS, **spec.options}
        self._max_window, self._pause_after = spec.max_window_s, spec.pause_after_s
        self._batch_size = batch_size
        self._done = 0
        time.sleep(self._number("load_s"))
        if self._options["fail_load"]:
            raise EngineFailed(str(self._options["fail_load"]))

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(max_window=self._max_window, pause_after=self._pause_after, batch=self._batch_size)

    def warm_up(self, report: Callable[[float], None]) -> None:
        """Nothing to warm."""
        report(1.0)

    def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Return the numbers in each window."""
        started = time.monotonic()
        rows = [listen(np.frombuffer(job.samples[: len(job.samples) // 2 * 2], dtype="<i2")) for job in jobs]
        numbers = {item.number for row in rows for item in row}
        if self._options["crash_on"] in numbers:
            _die()
        if self._options["exhaust_on"] in numbers:
            raise MemoryError
        self._misbehave()
        seconds = sum(len(job.samples) for job in jobs) / 2 / SAMPLE_RATE
        planned = self._number("batch_s") + self._number("decode_s") * seconds
        time.sleep(max(0.0, planned - (time.monotonic() - started)))
        self._done += len(jobs)
        spent = time.monotonic() - started
        return [self._result(job, row, spent) for job, row in zip(jobs, rows, strict=True)]

    def _misbehave(self) -> None:
        if 0 < self._number("crash_after_jobs") <= self._done:
            _die()
        if 0 < self._number("hang_after_jobs") <= self._done:
            _freeze()
        if 0 < self._number("stall_after_jobs") <= self._done:
            while True:
                time.sleep(3600)

    def _result(self, job: DecodeJob, row: list[Heard], spent: float) -> DecodeResult:
        if len(job.samples) % 2:
            return failure_of(job, EngineFailed("The audio has half a sample."))
        if self._options["fail_on"] in {item.number for item in row}:
            return failure_of(job, ValueError("scripted"))
        length = len(job.samples) // 2
        words = tuple(
            Word(
                word=str(item.number),
                start=max(0, item.start) / SAMPLE_RATE,
                end=min(length, item.start + CHUNK) / SAMPLE_RATE,
                probability=1.0,
            )
            for item in row
        )
        return DecodeResult(
            job_id=job.job_id,
            text=" ".join(word.word for word in words),
            words=words if job.word_times else (),
            language=_HEARD_LANGUAGE,
            decode_s=spent,
        )

    def _number(self, key: str) -> float:
        return float(self._options[key])


def _die() -> None:
    # As a crash inside a native library ends a process: no clean-up, no last words.
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _freeze() -> None:
    if hasattr(signal, "SIGSTOP"):
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        time.sleep(3600)
