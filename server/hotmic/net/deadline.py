"""A limit on how long something may take that is begun often and ends soon nearly always."""

import asyncio
from collections.abc import Callable


class Deadline:
    """One timer for all that is begun, one after the other: what ends in time sets and cancels none of its own.

    Args:
        limit: Seconds that it may take.
        miss: Called when one of them takes longer, once for each that does.
    """

    def __init__(self, limit: float, miss: Callable[[], None]) -> None:
        self._limit, self._miss = limit, miss
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """It begins."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._limit
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._look)

    def end(self) -> None:
        """It has ended."""
        self._due = None

    def close(self) -> None:
        """Nothing will be begun any more."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        loop = asyncio.get_running_loop()
        if self._due > loop.time():
            self._timer = loop.call_at(self._due, self._look)
        else:
            self._due = None
            self._miss()
