"""What waits to be sent to one client: bounded in items and bytes, stale partials overwritten."""

import asyncio
from collections import deque
from dataclasses import dataclass

from hotmic.dialects.dialect import Frame


@dataclass(slots=True)
class _Letter:
    frame: Frame
    key: str


class Outbox:
    """Frames for one client, in order.

    A frame put under a key replaces the waiting one of the same key where it stands. Past a cap ``put`` says so and
    the client is to be cut; it comes back for what it missed.

    Args:
        max_items: Most frames.
        max_bytes: Most bytes.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._letters: deque[_Letter] = deque()
        self._keyed: dict[str, _Letter] = {}
        self._filled: asyncio.Event | None = None
        self._taken: asyncio.Event | None = None
        self.bytes = 0
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, frame: Frame, *, key: str = "") -> bool:
        """Add a frame; return ``False`` when a cap is passed."""
        waiting = self._keyed.get(key) if key else None
        if waiting is not None:
            self.bytes += len(frame) - len(waiting.frame)
            waiting.frame = frame
            self.coalesced += 1
            return self.bytes <= self._max_bytes
        letter = _Letter(frame, key)
        self._letters.append(letter)
        if key:
            self._keyed[key] = letter
        self.bytes += len(frame)
        if self._filled is not None:
            self._filled.set()
        return len(self._letters) <= self._max_items and self.bytes <= self._max_bytes

    async def get(self) -> Frame:
        """Wait for the oldest frame and take it."""
        while not self._letters:
            self._filled = asyncio.Event()
            await self._filled.wait()
        letter = self._letters.popleft()
        self._keyed.pop(letter.key, None)
        self.bytes -= len(letter.frame)
        if self._taken is not None:
            self._taken.set()
        return letter.frame

    async def has_room(self) -> None:
        """Wait until it is at most half full."""
        while len(self._letters) > self._max_items // 2:
            self._taken = asyncio.Event()
            await self._taken.wait()
