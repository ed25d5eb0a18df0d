"""How many of something one address may have at a time, and all together."""

from collections import Counter


class Limit:
    """A bounded count per key.

    Args:
        most: Allowed per key.
        total: Allowed for all keys together; ``None`` for no bound.
    """

    def __init__(self, most: int, *, total: int | None = None) -> None:
        self._most, self._total = most, total
        self._counts: Counter[str] = Counter()

    def enter(self, key: str) -> bool:
        """Count one more; return ``False`` and count nothing where the limit is reached."""
        if self._counts[key] >= self._most or (self._total is not None and self._counts.total() >= self._total):
            return False
        self._counts[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Count one less."""
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]
