"""Many live streams of 100 ms JSON chunks: none lost, none twice, none out of order, none of another's."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from reliability_support import Figures, both, percentile, run, write_registry
from running import RunningDaemon, running_daemon
from speaking import Voice, voices, wrong

pytestmark = pytest.mark.integration


class Streams(NamedTuple):
    """How many speak, how many chunks each sends, and the seconds between two of them."""

    count: int
    chunks: int
    pace: float


async def speak(daemon: RunningDaemon, size: Streams) -> tuple[list[Voice], float]:
    loop = asyncio.get_running_loop()
    async with voices(daemon.audio, range(size.count)) as speakers:

        async def one(voice: Voice) -> None:
            await asyncio.sleep(size.pace * voice.number / size.count)
            # Every fourth never pauses: its segments are cut at their longest.
            await voice.talk(size.chunks, pace=size.pace, burst=30 if voice.number % 4 else 0)

        began = loop.time()
        await asyncio.gather(*(one(voice) for voice in speakers))
        behind = loop.time() - began - size.chunks * size.pace
        await asyncio.gather(*(voice.end(limit=600) for voice in speakers))
    return speakers, behind


@pytest.mark.parametrize("size", both(Streams(100, 600, 0.1 / 3), Streams(500, 6000, 0.1)))
def test_live_streams(tmp_path: Path, figures: Figures, size: Streams) -> None:
    models = write_registry(tmp_path, "echo")
    # 500 streams are more than two cores carry with all their partials, and admission is the row of overload.
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        speakers, behind = run(speak(daemon, size))
    assert wrong(speakers) == {}
    lags = [final["lag_ms"] / 1000 for voice in speakers for final in voice.finals]
    figures.note(
        streams=size.count,
        chunks=size.count * size.chunks,
        finals=len(lags),
        partials=sum(voice.partials for voice in speakers),
        final_lag_s={"p50": percentile(lags, 0.5), "p95": percentile(lags, 0.95), "p99": percentile(lags, 0.99)},
        sender_behind_s=round(behind, 3),
    )
