import asyncio

import virtual_time
from hotmic.net.patience import Patience


class Waiting:
    """Something that waits, and when it was told."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spoken: list[float] = []
        self.patience = Patience(lambda: self.limit, self._speak)

    def _speak(self) -> None:
        self.spoken.append(round(asyncio.get_running_loop().time() - self.began, 3))
        self.limit = None

    def begin(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.patience.receive_frame()
        self.patience.watch()


def test_it_counts_from_the_last_frame() -> None:
    async def main() -> None:
        waiting = Waiting(2.0)
        waiting.begin()
        await asyncio.sleep(1.5)
        waiting.patience.receive_frame()
        waiting.patience.watch()
        await asyncio.sleep(10)
        assert waiting.spoken == [3.5]

    virtual_time.run(main())


def test_it_follows_what_waits() -> None:
    async def main() -> None:
        waiting = Waiting(None)
        waiting.begin()
        await asyncio.sleep(1)
        waiting.limit = 5.0
        waiting.patience.watch()
        waiting.limit = 2.0
        waiting.patience.watch()
        await asyncio.sleep(2)
        assert waiting.spoken == [2.0]
        waiting.limit = 1.0
        waiting.patience.watch()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert waiting.spoken == [2.0, 3.0], "what is overdue is told at once"

    virtual_time.run(main())


def test_what_goes_away_is_not_waited_for() -> None:
    async def main() -> None:
        waiting = Waiting(2.0)
        waiting.begin()
        waiting.limit = None
        waiting.patience.watch()
        await asyncio.sleep(5)
        waiting.limit = 9.0
        waiting.patience.watch()
        waiting.patience.close()
        await asyncio.sleep(20)
        assert waiting.spoken == []

    virtual_time.run(main())
