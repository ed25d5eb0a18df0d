"""An hour without a pause through a session: the last minute costs what the first did, and no word is lost."""

import gc
import itertools
import sys
from collections.abc import Sequence
from types import FunctionType, MethodType, ModuleType

import numpy as np

from hotmic.commands import EndAudio
from hotmic.events import FinalTranscribed
from hotmic.policies.joining import text_of
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeResult, Samples, Word
from session_support import Bench, LoudVad

MINUTE = 60 * SAMPLE_RATE
BLOCK = SAMPLE_RATE // 10
STEP = SAMPLE_RATE
WINDOW = 12.0
PERIOD = 1000
TALK = np.repeat(4000 + np.arange(PERIOD * 6 // 5) % PERIOD * 7919 % 4000, BLOCK).astype(np.int16)


class CoarseVad(LoudVad):
    """Looks at a tenth of a second at a time."""

    frame = BLOCK


def talk(start: int, stop: int) -> Samples:
    """Return samples of the talk: never quiet, each block as loud as its number says; all is said again after 100 s."""
    begin = start % (PERIOD * BLOCK)
    return TALK[begin : begin + stop - start]


def stop_of(job: DecodeJob) -> int:
    return job.start + len(job.samples) // 2


def answer(job: DecodeJob) -> DecodeResult:
    """Hear the words of one second whose middle is in the window; each says its number."""
    first, last = (round(position / SAMPLE_RATE) for position in (job.start, stop_of(job)))
    at = job.start / SAMPLE_RATE
    words = tuple(Word(word=f"w{n}", start=n + 0.1 - at, end=n + 0.9 - at, probability=0.9) for n in range(first, last))
    text = text_of(words)
    return DecodeResult(job_id=job.job_id, text=text, words=words if job.word_times else (), language="en")


def decode(bench: Bench, jobs: list[DecodeJob]) -> None:
    for job in jobs:
        assert job.samples == talk(job.start, stop_of(job)).tobytes()
        bench.session.receive_result(answer(job), now=bench.now)
    bench.drain()


def spans_of_finals(jobs: list[DecodeJob]) -> list[tuple[int, int]]:
    return [(job.start, stop_of(job)) for job in jobs if job.kind == "final"]


def weigh(root: object) -> tuple[int, int]:
    """Return the bytes of the arrays that an object holds, and those of all else."""
    samples, books, seen, stack = 0, 0, set[int](), [root]
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, type | ModuleType | FunctionType | MethodType):
            continue
        seen.add(id(item))
        stack += gc.get_referents(item)
        if isinstance(item, np.ndarray):
            samples += sys.getsizeof(item)
        else:
            books += sys.getsizeof(item)
    return samples, books


def is_flat(minutes: Sequence[float]) -> bool:
    """Tell whether the dearest minute costs hardly more than the dearest of the first five."""
    return max(minutes) < 1.1 * max(minutes[:5])


def test_an_hour_without_a_pause_costs_the_same_from_the_first_minute_to_the_last() -> None:
    bench, jobs = Bench(max_window=WINDOW, vad=CoarseVad), list[DecodeJob]()
    asked, held, weights = [], [], []
    spans: list[tuple[int, int]] = []
    for start in range(0, 60 * MINUTE, STEP):
        # The engine is a step behind.
        waiting, bench.jobs = bench.jobs, []
        bench.now += STEP / SAMPLE_RATE
        bench.session.receive_audio(talk(start, start + STEP).tobytes(), now=bench.now, seq=start // STEP)
        bench.drain()
        held.append(bench.session.held)
        decode(bench, waiting)
        jobs += waiting
        if (start + STEP) % MINUTE == 0:
            asked.append(sum(len(job.samples) for job in jobs) / 2 / MINUTE)
            weights.append(weigh(bench.session))
            spans += spans_of_finals(jobs)
            jobs.clear()
            bench.events = [e for e in bench.events if isinstance(e, FinalTranscribed)]
    assert len(asked) == 60
    assert is_flat(asked)
    samples, books = zip(*weights, strict=True)
    assert is_flat(samples)
    assert is_flat(books)
    assert max(held) <= 30.0 + 2 * STEP / SAMPLE_RATE
    bench.session.receive_command(EndAudio(), now=bench.now)
    bench.drain()
    decode(bench, bench.jobs)
    spans = sorted(spans + spans_of_finals(jobs + bench.jobs))
    assert (spans[0][0], max(stop for _, stop in spans)) == (0, 60 * MINUTE)
    assert all(later[0] <= earlier[1] for earlier, later in itertools.pairwise(spans))
    assert all(stop - start <= WINDOW * SAMPLE_RATE for start, stop in spans)
    finals = [event for event in bench.told(FinalTranscribed) if isinstance(event, FinalTranscribed)]
    assert " ".join(event.text for event in finals).split() == [f"w{number}" for number in range(3600)]
    assert finals[-1].seq == 3599
