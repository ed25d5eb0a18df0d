import asyncio

import virtual_time
from hotmic.net.deadline import Deadline


def test_each_that_takes_too_long_is_told_once() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        missed: list[float] = []
        deadline = Deadline(10.0, lambda: missed.append(loop.time() - began))
        began = loop.time()
        deadline.begin()
        await asyncio.sleep(9.9)
        assert missed == []
        await asyncio.sleep(90.1)
        assert [round(at, 3) for at in missed] == [10.0]
        deadline.begin()
        await asyncio.sleep(100.0)
        assert [round(at, 3) for at in missed] == [10.0, 110.0]

    virtual_time.run(main())


def test_each_has_the_whole_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        missed: list[float] = []
        deadline = Deadline(10.0, lambda: missed.append(loop.time() - began))
        for _ in range(5):
            deadline.begin()
            await asyncio.sleep(7.0)
            deadline.end()
        await asyncio.sleep(1.0)
        assert missed == []
        began = loop.time()
        deadline.begin()
        await asyncio.sleep(30.0)
        assert [round(at, 3) for at in missed] == [10.0]

    virtual_time.run(main())


def test_what_has_ended_or_is_closed_misses_nothing() -> None:
    async def main() -> None:
        missed: list[None] = []
        ended, closed = (Deadline(10.0, lambda: missed.append(None)) for _ in range(2))
        ended.begin()
        ended.end()
        closed.begin()
        closed.close()
        await asyncio.sleep(100.0)
        assert missed == []

    virtual_time.run(main())
