"""A session's recent audio, addressed by absolute position."""

import numpy as np

from hotmic.errors import RingFull
from hotmic.values import SAMPLE_RATE, Samples

_SMALLEST = 4096


class Ring:
    """The samples from ``begin`` to ``end``, counted since the session began.

    Memory follows what is held, not the capacity: the buffer doubles while it fills and shrinks after a release, so
    a silent session costs kilobytes.

    Args:
        capacity: Most samples held at once. May be changed while in use; what is held already stays.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._buffer = np.zeros(0, dtype=np.int16)
        self._head = 0
        self._begin = 0
        self._size = 0

    @property
    def begin(self) -> int:
        """Position of the oldest sample held."""
        return self._begin

    @property
    def end(self) -> int:
        """Position one past the newest sample: how many samples the session has received."""
        return self._begin + self._size

    @property
    def allocated(self) -> int:
        """Samples the buffer has room for right now."""
        return len(self._buffer)

    def append(self, samples: Samples) -> None:
        """Add samples at ``end``.

        Raises:
            RingFull: They do not fit beside samples not yet released; the ring is unchanged.
        """
        needed = self._size + len(samples)
        if needed > self.capacity:
            raise RingFull(
                f"The ring holds {self._size / SAMPLE_RATE:.1f} s of audio that is not settled yet; its limit is "
                f"{self.capacity / SAMPLE_RATE:.0f} s.",
                retry_after_ms=1000,
            )
        if self._head + needed > len(self._buffer):
            self._make_room(needed)
        tail = self._head + self._size
        self._buffer[tail : tail + len(samples)] = samples
        self._size = needed

    def read(self, start: int, stop: int) -> Samples:
        """Copy the samples of ``[start, stop)``.

        Raises:
            IndexError: Part of that range was released or has not been received.
        """
        if not self.begin <= start <= stop <= self.end:
            raise IndexError(f"[{start}, {stop}) is not within the ring's [{self.begin}, {self.end})")
        offset = self._head + start - self._begin
        return self._buffer[offset : offset + stop - start].copy()

    def release(self, position: int) -> None:
        """Forget everything before ``position``; positions already forgotten are fine.

        Raises:
            IndexError: The position has not been received.
        """
        if position > self.end:
            raise IndexError(f"cannot release up to {position}, the ring ends at {self.end}")
        dropped = position - self._begin
        if dropped <= 0:
            return
        self._begin = position
        self._head += dropped
        self._size -= dropped
        if len(self._buffer) > _SMALLEST and self._size * 6 <= len(self._buffer):
            self._move_to(self._rounded(self._size))

    def _make_room(self, needed: int) -> None:
        # Sliding down inside the buffer only when a fifth of it is free keeps the copying amortised.
        room = len(self._buffer)
        if needed * 5 <= room * 4 or (needed <= room and room >= self.capacity):
            self._buffer[: self._size] = self._buffer[self._head : self._head + self._size]
            self._head = 0
        else:
            self._move_to(self._rounded(needed))

    def _rounded(self, needed: int) -> int:
        power = 1 << (needed * 5 // 4).bit_length()
        return max(needed, min(max(power, _SMALLEST), self.capacity))

    def _move_to(self, room: int) -> None:
        moved = np.zeros(room, dtype=np.int16)
        moved[: self._size] = self._buffer[self._head : self._head + self._size]
        self._buffer = moved
        self._head = 0
