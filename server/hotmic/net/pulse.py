"""How late the event loop is."""

import asyncio
from collections.abc import Callable

BEAT = 0.25
"""Seconds between two looks."""


class Pulse:
    """Measures by how much timers come late: so long nobody was served.

    Args:
        observe: Takes each lateness in seconds.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        due = loop.time() + BEAT
        self._timer = loop.call_at(due, self._beat, loop, due)

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._observe(max(0.0, loop.time() - due))
        self.open()

    def close(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
