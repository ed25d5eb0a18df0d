"""How many of something one address may have at a time."""

from collections import Counter


class Limit:
    """A bounded count per key.

    Args:
        most: Allowed per key.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def enter(self, key: str) -> bool:
        """Count one more; return ``False`` and count nothing where the limit is reached."""
        if self._counts[key] >= self._most:
            return False
        self._counts[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Count one less."""
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]
