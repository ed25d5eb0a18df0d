"""Looks that fail by mistakes of ours: told once, shown in the status, taken again, and no hindrance to the others."""

import asyncio
from contextlib import suppress

import structlog

import virtual_time
from hotmic.net.hub import Hub
from hotmic.net.notices import Notices
from hotmic.net.watch import Watch


class Look:
    """Fails while told to."""

    def __init__(self) -> None:
        self.taken, self.fails = 0, False

    async def __call__(self) -> None:
        self.taken += 1
        if self.fails:
            raise RuntimeError("a mistake of ours")


def test_a_look_that_fails_ends_nothing_and_stands_in_the_status() -> None:
    async def main() -> None:
        first, second, notices = Look(), Look(), Notices(Hub())
        watch = Watch({"the tokens": first, "models.yaml": second}, notices)
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(2.5)
        assert (first.taken, second.taken, notices.shown) == (2, 2, {})
        first.fails = True
        with structlog.testing.capture_logs() as lines:
            await asyncio.sleep(5)
        assert (first.taken, second.taken) == (7, 7)
        assert "the tokens fails" in notices.shown["watch"]
        assert "a mistake" not in notices.shown["watch"]
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["A look failed."]
        second.fails = True
        await asyncio.sleep(1)
        assert "the tokens and models.yaml" in notices.shown["watch"]
        first.fails = second.fails = False
        await asyncio.sleep(1)
        assert notices.shown == {}
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    virtual_time.run(main())
