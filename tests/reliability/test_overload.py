"""Three times as many speakers as fit: those who are let in lose nothing, the others are told when to come again."""

import asyncio
import math
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from reliability_support import Figures, both, percentile, run, series, write_registry
from running import RunningDaemon, running_daemon
from speaking import Voice, wrong

pytestmark = pytest.mark.integration

BURST, PAUSE = 15, 20
PATTERN = BURST + PAUSE
MEASURED = 22
"""Batches of finals after which the daemon knows what they cost; before twenty it refuses nobody."""


class Overload(NamedTuple):
    """The seconds that decoding a second of audio takes, how long everybody speaks, and how fast they come."""

    decode_s: float
    patterns: int
    arrival_s: float


class Crowd:
    """Speakers who come one after the other and go when they have said their part, or are refused."""

    def __init__(self, daemon: RunningDaemon, first: int) -> None:
        self.admitted: list[Voice] = []
        self.refused: list[Voice] = []
        self._daemon, self._next = daemon, first
        self._talks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self.over = asyncio.Event()

    async def __aenter__(self) -> "Crowd":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over.set()
        await asyncio.gather(*self._talks)
        await self._stack.aclose()

    async def come(self) -> bool:
        """Let one more in; return whether the daemon took it."""
        voice = await self._stack.enter_async_context(Voice(self._daemon.audio, self._next))
        self._next += 1
        await voice.knock()
        if voice.errors:
            self.refused.append(voice)
            return False
        self.admitted.append(voice)
        self._talks.append(asyncio.create_task(self._talk(voice)))
        return True

    async def _talk(self, voice: Voice) -> None:
        while not self.over.is_set():
            await voice.talk(PATTERN, burst=BURST, pause=PAUSE)
        await voice.end(limit=300)

    def lags(self, since: dict[int, int]) -> list[float]:
        """Return how long finals took after the endpoint, of those that came after a mark."""
        return [f["lag_ms"] / 1000 for v in self.admitted for f in v.finals[since.get(v.number, 0) :]]

    def mark(self) -> dict[int, int]:
        """Return how many finals each has heard until now."""
        return {voice.number: len(voice.finals) for voice in self.admitted}


async def overload(daemon: RunningDaemon, size: Overload) -> dict[str, object]:
    """Fill the daemon until it refuses; then let twice as many more come."""
    async with Crowd(daemon, 0) as crowd:
        async with asyncio.timeout(300):
            for _ in range(4):
                await crowd.come()
                await asyncio.sleep(PATTERN * 0.1 / 4)
            while await series(daemon, 'hotmic_batch_seconds_count{kind="final"}') < MEASURED:
                await asyncio.sleep(0.2)
            while await crowd.come():
                await asyncio.sleep(size.arrival_s)
        sustained, before = len(crowd.admitted), crowd.mark()
        await asyncio.sleep(size.patterns * PATTERN * 0.1)
        alone, before = crowd.lags(before), crowd.mark()
        for _ in range(2 * sustained):
            await crowd.come()
            await asyncio.sleep(size.patterns * PATTERN * 0.1 / (2 * sustained))
        crowded = crowd.lags(before)
    assert wrong(crowd.admitted) == {}
    assert crowd.refused
    for voice in crowd.refused:
        (error,) = voice.errors
        assert (error["code"], error["retryable"], voice.close_code) == ("overloaded", True, 1013)
        assert error["retry_after_ms"] > 0
        assert not voice.finals
    return {
        "offered": len(crowd.admitted) + len(crowd.refused),
        "admitted": len(crowd.admitted),
        "sustained": sustained,
        "final_lag_p95_s": {"sustained": percentile(alone, 0.95), "crowded": percentile(crowded, 0.95)},
    }


@pytest.mark.parametrize("size", both(Overload(0.12, 2, 1.0), Overload(0.05, 20, 5.0)))
def test_overload(tmp_path: Path, figures: Figures, size: Overload) -> None:
    models = write_registry(tmp_path, f"echo: options: {{decode_s: {size.decode_s}}}")
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        found = run(overload(daemon, size))
    assert int(str(found["admitted"])) >= math.ceil(0.9 * int(str(found["sustained"])))
    figures.note(**found)
