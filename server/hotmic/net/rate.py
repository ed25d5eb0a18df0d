"""How often something may happen: a token bucket."""

TOLERANCE = 1e-6
"""Seconds of waiting that count as none: neither clocks nor sums of floats are finer."""


class Bucket:
    """An allowance that is full at first and fills at a steady rate.

    Exact at its boundary: a full one gives ``burst`` and not more, and what was refused is given once the told time
    is over. An amount greater than the burst is given by a full bucket, which makes up for it before it gives again.

    Args:
        rate: What comes in per second; 0 for no limit.
        burst: What it holds.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, 0.0

    def take(self, amount: float, now: float) -> float:
        """Take an amount and return 0, or take nothing and return the seconds until it can be taken."""
        if not self._rate:
            return 0.0
        self._level = min(self._burst, self._level + self._rate * (now - self._at))
        self._at = now
        wait = (min(amount, self._burst) - self._level) / self._rate
        if wait > TOLERANCE:
            return wait
        self._level -= amount
        return 0.0
