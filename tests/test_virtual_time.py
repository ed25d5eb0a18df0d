import asyncio
import time

import pytest

import virtual_time


def test_an_hour_passes_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    before = time.monotonic()
    assert virtual_time.run(main()) == pytest.approx(3600)
    assert time.monotonic() - before < 60


def test_timers_fire_in_order() -> None:
    async def main() -> list[str]:
        heard: list[str] = []

        async def say(word: str, after: float) -> None:
            await asyncio.sleep(after)
            heard.append(word)

        await asyncio.gather(say("later", 20), say("sooner", 10))
        return heard

    assert virtual_time.run(main()) == ["sooner", "later"]


def test_waiting_for_nothing_is_told() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        virtual_time.run(main())
