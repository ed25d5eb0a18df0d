"""How often a session gets a partial, from what partials cost.

One round of partials, one row for everybody who talks, costs a time that is computed from the number of talkers by
shape and the learned cost of batches. The cadence is that time over the share of the device that finals leave, less a
reserve. Nothing here looks at the queue or at the cadence itself: without that loop there is nothing to oscillate.
What is computed is approached exponentially, fast when it grows and slowly when it falls.
"""

import math
from collections import OrderedDict

from hotmic.scheduler.bucket import Bucket
from hotmic.scheduler.cost import Cost

RESERVE = 0.25
"""Share of the device that stays free, so that a final seldom waits for more than the batch under way."""
LEAST_SHARE = 0.1
"""Share that partials are computed with however much the finals take."""
RISE, FALL = 0.5, 3.0
"""Time constants in seconds."""


class Cadence:
    """Time between two partials of a session.

    Args:
        floor: Shortest, in seconds.
        ceiling: Longest.
        max_rows: Most rows of a batch.
    """

    def __init__(self, *, floor: float, ceiling: float, max_rows: int) -> None:
        self.floor, self.ceiling = floor, ceiling
        self.value = floor
        self._max_rows = max_rows
        self._talkers: OrderedDict[str, tuple[float, Bucket]] = OrderedDict()
        self._by_shape: dict[Bucket, int] = {}
        self._batches = 0
        self._audio = 0.0
        self._updated = 0.0

    def __len__(self) -> int:
        return len(self._talkers)

    def receive_partial(self, session_id: str, shape: Bucket, *, now: float) -> None:
        """A session talks: it asked for a partial of this shape."""
        self.forget(session_id)
        self._talkers[session_id] = (now, shape)
        self._count(shape, 1)

    def forget(self, session_id: str) -> None:
        """A session talks no more."""
        known = self._talkers.pop(session_id, None)
        if known is not None:
            self._count(known[1], -1)

    def update(self, cost: Cost, *, finals: float, now: float) -> None:
        """Follow the load.

        Args:
            cost: Of batches of partials.
            finals: Share of the device's time that finals take.
            now: The time.
        """
        while self._talkers:
            session_id, (asked, _) = next(iter(self._talkers.items()))
            if now - asked <= self.ceiling + self.floor:
                break
            self.forget(session_id)
        share = max(LEAST_SHARE, 1 - RESERVE - finals)
        wanted = min(self.ceiling, max(self.floor, self.round_cost(cost) / share))
        passed = max(0.0, now - self._updated)
        self._updated = now
        self.value += (wanted - self.value) * -math.expm1(-passed / (RISE if wanted > self.value else FALL))

    def round_cost(self, cost: Cost) -> float:
        """Return the device time of one partial for everybody who talks."""
        return cost.of(self._batches, self._audio)

    def _count(self, shape: Bucket, change: int) -> None:
        before = self._by_shape.get(shape, 0)
        after = before + change
        self._batches += -(-after // self._max_rows) - -(-before // self._max_rows)
        self._audio += change * shape.seconds
        if after:
            self._by_shape[shape] = after
        else:
            del self._by_shape[shape]
