"""What a client's protocol holds back until its next frame, sent when none comes."""

import asyncio
from collections.abc import Callable


class Patience:
    """One timer that counts from the last frame.

    Args:
        limit: Returns how many seconds after the last frame ``speak`` is due; ``None`` if nothing waits.
        speak: Sends what waits.
    """

    def __init__(self, limit: Callable[[], float | None], speak: Callable[[], None]) -> None:
        self._limit, self._speak = limit, speak
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def receive_frame(self) -> None:
        """A frame has come."""
        self._last = asyncio.get_running_loop().time()

    def watch(self) -> None:
        """Look again at what waits."""
        limit = self._limit()
        due = None if limit is None else self._last + limit
        if due != self._due:
            self.close()
            if due is not None:
                self._timer = asyncio.get_running_loop().call_at(due, self._fire)
            self._due = due

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None

    def _fire(self) -> None:
        self._timer = self._due = None
        self._speak()
        self.watch()
