"""Finals of the last minutes, for listeners that come back."""

from collections import defaultdict, deque
from typing import NamedTuple

from hotmic.events import FinalTranscribed

CHANNEL_ITEMS = 256
"""Finals kept of one channel."""
TOTAL_ITEMS = 16_384
"""Finals kept of all channels."""
LARGEST_ID = 1 << 52
"""Ids beyond this are not ours, whoever names them; JavaScript counts exactly to twice as far."""
KNOWN_RANGES = 64
"""Ranges of ids that are remembered as handed out."""


class Told(NamedTuple):
    """A final and when it was told."""

    event: FinalTranscribed
    timestamp: str
    at: float


class History:
    """What was told, by channel, oldest first.

    Args:
        keep: Seconds.
        first_id: Ids grow from here. Taken from the clock they go on growing when the daemon restarts, unless the
            clock was set back in between: then a client that comes back names an id that was not handed out yet, and
            they go on from there.
    """

    def __init__(self, *, keep: float = 300.0, first_id: int = 1) -> None:
        self._keep, self._next_id = keep, first_id
        # Each begins with an id that no final has, so that a client can be told where it begins to listen.
        self._ranges: deque[list[int]] = deque([[first_id - 1, first_id]], maxlen=KNOWN_RANGES)
        self._told: dict[str, deque[Told]] = defaultdict(lambda: deque(maxlen=CHANNEL_ITEMS))
        self._order: deque[tuple[float, str]] = deque()

    def next_id(self) -> int:
        """Return the id of the next final."""
        self._next_id += 1
        self._ranges[-1][1] = self._next_id
        return self._next_id - 1

    @property
    def newest_id(self) -> int:
        """The newest id there is, of a final or in place of one."""
        return self._next_id - 1

    def add(self, event: FinalTranscribed, *, channel: str, timestamp: str, now: float) -> None:
        """Keep a final for a while."""
        self._told[channel].append(Told(event, timestamp, now))
        self._order.append((now, channel))
        self._forget_old(now)

    def after(self, event_id: int, *, channel: str, now: float) -> list[Told]:
        """Return the finals of a channel that came after one; all of them where that one is not of this daemon."""
        self._forget_old(now)
        is_ours = any(begin <= event_id < end for begin, end in self._ranges)
        if self._next_id <= event_id < LARGEST_ID:
            self._next_id = event_id + 2
            self._ranges.append([event_id + 1, event_id + 2])
        return [told for told in self._told.get(channel, ()) if not is_ours or told.event.event_id > event_id]

    def _forget_old(self, now: float) -> None:
        while self._order and (now - self._order[0][0] > self._keep or len(self._order) > TOTAL_ITEMS):
            at, channel = self._order.popleft()
            told = self._told.get(channel)
            while told and told[0].at <= at:
                told.popleft()
            if not told:
                self._told.pop(channel, None)
