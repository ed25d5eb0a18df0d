"""Who may use a worker: two batches side by side, or one that wants it to itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Gate:
    """Lets several batches in, or one alone.

    Args:
        places: Batches that may be inside together.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiters: list[asyncio.Future[None]] = []
        self._waiting_alone = 0
        self._is_alone = False
        self.inside = 0

    @contextlib.asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for a place, or for an empty room that stays empty."""
        self._waiting_alone += alone
        try:
            while not self._has_room(alone=alone):
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
        finally:
            self._waiting_alone -= alone
            # One that wanted to be alone and gave up stood in the way of others.
            self._wake()
        self.inside += 1
        self._is_alone = alone
        try:
            yield
        finally:
            self.inside -= 1
            self._is_alone = False
            self._wake()

    def _has_room(self, *, alone: bool) -> bool:
        if alone:
            return self.inside == 0
        return self.inside < self._places and not self._is_alone and not self._waiting_alone

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
