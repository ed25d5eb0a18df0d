"""Speakers who come and go, and models that are swapped, for long: the memory stands still, and the texts are exact."""

import asyncio
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from reliability_support import Figures, percentile, resident, run, workers, write_registry
from running import Caller, RunningDaemon, calling, running_daemon
from slope import Sample, second_half, slope
from speaking import Voice, wrong

pytestmark = pytest.mark.integration

MOST_MB_PER_HOUR = 1.0
ENTRIES = ("echo-a: options: {decode_s: 0.002}", "echo-b: options: {decode_s: 0.002}")


class Soak(NamedTuple):
    """How long, how many speak at a time, how long each stays in chunks, seconds between two swaps and two looks."""

    seconds: float
    streams: int
    stay: tuple[int, int]
    swap_every: float
    look_every: float
    most_mb_per_hour: float


LONG = Soak(2400, 50, (100, 900), 30, 5, MOST_MB_PER_HOUR)
MINI = Soak(20, 20, (35, 70), 6, 0.2, 2000.0)
"""Twenty seconds, in which a daemon still settles, show no megabyte per hour; they show a leak of all that is heard."""


class Place:
    """Where one speaker follows the other; a few go without a word."""

    def __init__(self, daemon: RunningDaemon, number: int, size: Soak, over: asyncio.Event) -> None:
        self.wrong: dict[int, str] = {}
        self.speakers = 0
        self._daemon, self._number, self._size, self._over = daemon, number, size, over
        self._rng = random.Random(number)

    async def run(self) -> None:
        while not self._over.is_set():
            self.speakers += 1
            number = self._number + self._size.streams * (self.speakers % 700)
            async with Voice(self._daemon.audio, number) as voice:
                rounds = max(1, self._rng.randint(*self._size.stay) // 35)
                for _ in range(rounds):
                    if not self._over.is_set():
                        await voice.talk(35, burst=15, pause=20)
                if self._rng.random() < 0.1:
                    continue
                await voice.end()
            self.wrong |= wrong([voice])


async def swap_models(control: Caller, every: float, over: asyncio.Event) -> int:
    """Swap until it is over; return how often."""
    swaps = 0
    while not over.is_set():
        await control.say(type="load_model", model_id=("echo-b", "echo-a")[swaps % 2], request_id=swaps)
        await control.hear("model_loaded", request_id=swaps, limit=60)
        control.heard.clear()
        swaps += 1
        try:
            async with asyncio.timeout(every):
                await over.wait()
        except TimeoutError:
            continue
    return swaps


async def soak(daemon: RunningDaemon, size: Soak) -> tuple[list[Sample], list[Place], int]:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    places = [Place(daemon, number, size, over) for number in range(size.streams)]
    async with calling(f"{daemon.control}?channel=nobody") as control:
        busy = asyncio.gather(swap_models(control, size.swap_every, over), *(place.run() for place in places))
        samples: list[Sample] = []
        began = loop.time()
        while loop.time() - began < size.seconds and not busy.done():
            await asyncio.sleep(size.look_every)
            samples.append((loop.time() - began, resident(daemon.process.pid) / 1e6))
        over.set()
        swaps, *_ = await busy
    return samples, places, swaps


def growth(samples: list[Sample]) -> float:
    """Return the growth in the second half, in megabytes per hour."""
    return slope(second_half(samples)) * 3600


def soaked(folder: Path, size: Soak, figures: Figures, plant: str = "") -> float:
    """Soak a daemon; return how fast it grew."""
    with running_daemon(folder, "--models", write_registry(folder, *ENTRIES), "--vad", "seed", plant=plant) as daemon:
        samples, places, swaps = run(soak(daemon, size))
        assert len(workers(daemon)) == 1
    assert {number: what for place in places for number, what in place.wrong.items()} == {}
    grown = growth(samples)
    figures.note(
        minutes=round(size.seconds / 60, 1),
        streams=size.streams,
        speakers=sum(place.speakers for place in places),
        swaps=swaps,
        mb={"first": samples[0][1], "p50": percentile([mb for _, mb in samples], 0.5), "last": samples[-1][1]},
        mb_per_hour=round(grown, 2),
    )
    return grown


@pytest.mark.slow
def test_soak(tmp_path: Path, figures: Figures) -> None:
    assert soaked(tmp_path, LONG, figures) < LONG.most_mb_per_hour


def test_a_daemon_as_it_is_passes_the_short_soak(tmp_path: Path, figures: Figures) -> None:
    assert soaked(tmp_path, MINI, figures) < MINI.most_mb_per_hour


def test_a_planted_leak_fails_it(tmp_path: Path, figures: Figures) -> None:
    assert soaked(tmp_path, MINI, figures, plant="leak") > MINI.most_mb_per_hour
