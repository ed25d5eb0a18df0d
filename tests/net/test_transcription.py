import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from hotmic.commands import SessionOptions
from hotmic.engines import echo
from hotmic.errors import BadAudio, EngineFailed, ShuttingDown
from hotmic.metrics import Metrics
from hotmic.net.runner import Runner
from hotmic.net.transcription import Transcription
from hotmic.values import Samples
from net_support import EchoPool, build, overload
from virtual_time import run

NUMBERS = 30
SILENCE = np.zeros(16_000 * 3, np.int16)


async def talk(count: int = 3, *, error: Exception | None = None) -> AsyncIterator[Samples]:
    for number in range(count):
        yield np.concatenate([echo.speech(NUMBERS, first=number * NUMBERS), SILENCE])
    if error is not None:
        raise error


def start(runner: Runner, samples: AsyncIterator[Samples]) -> Transcription:
    return Transcription(runner, samples, SessionOptions(), channel="a-file")


async def numbers(transcription: Transcription) -> list[int]:
    return [int(word) for final in [final async for final in transcription] for word in final.text.split()]


def test_all_of_a_file_is_heard_and_nothing_stays() -> None:
    async def main() -> None:
        metrics = Metrics()
        runner, hub = build(EchoPool(), metrics)
        transcription = start(runner, talk(20))
        assert await numbers(transcription) == list(range(20 * NUMBERS))
        assert transcription.seconds == pytest.approx(20 * 6.0)
        await transcription.close()
        assert runner.session_count == 0
        assert hub.newest_id == 0, "nothing was told to anybody else"
        assert metrics.registry.get_sample_value("hotmic_queue_wait_seconds_count", {"kind": "file"}) == 20
        assert metrics.registry.get_sample_value("hotmic_queue_wait_seconds_count", {"kind": "final"}) is None

    run(main())


def test_what_is_wrong_with_the_source_is_told() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        transcription = start(runner, talk(1, error=BadAudio("It broke off.")))
        with pytest.raises(BadAudio, match="broke off"):
            await numbers(transcription)
        await transcription.close()
        assert runner.session_count == 0

    run(main())


def test_a_mistake_of_ours_in_the_source_ends_the_file_too() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        transcription = start(runner, talk(1, error=RuntimeError("A bug.")))
        async with asyncio.timeout(60):
            with pytest.raises(RuntimeError, match="A bug"):
                await numbers(transcription)
        await transcription.close()
        assert runner.session_count == 0

    run(main())


def test_a_stretch_that_fails_fails_the_file() -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.fails = True
        runner, _ = build(pool)
        transcription = start(runner, talk())
        with pytest.raises(EngineFailed, match=r"0\.\d-\d\.\d s could not be decoded"):
            await numbers(transcription)
        await transcription.close()

    run(main())


def test_a_file_waits_only_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        runner, _ = build(EchoPool(delay=1.0))
        had_room: list[bool] = []
        wait_for_room = runner.wait_for_room

        async def wait(session_id: str, seconds: float, *, limit: float) -> None:
            had_room.append(runner.has_room(session_id, seconds))
            await wait_for_room(session_id, seconds, limit=limit)

        monkeypatch.setattr(runner, "wait_for_room", wait)
        transcription = start(runner, talk(30))
        assert await numbers(transcription) == list(range(30 * NUMBERS))
        assert set(had_room) == {False}
        await transcription.close()

    run(main())


def test_closing_drops_what_waits() -> None:
    async def main() -> None:
        pool = EchoPool(delay=1.0)
        runner, _ = build(pool)
        transcription = start(runner, talk(1000))
        await anext(transcription)
        await transcription.close()
        await transcription.close()
        assert runner.session_count == 0
        assert runner.dispatcher.waiting["file"] == 0
        rows = sum(pool.batches)
        await asyncio.sleep(60)
        assert sum(pool.batches) <= rows + 8

    run(main())


def test_the_daemon_that_stops_ends_it() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool(delay=1.0))
        transcription = start(runner, talk(1000))
        await anext(transcription)
        await runner.finish()
        with pytest.raises(ShuttingDown):
            await numbers(transcription)
        await transcription.close()

    run(main())


def test_a_file_is_let_in_whatever_the_load() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        overload(runner, now=asyncio.get_running_loop().time())
        transcription = start(runner, talk(1))
        assert await numbers(transcription) == list(range(NUMBERS))
        await transcription.close()

    run(main())
