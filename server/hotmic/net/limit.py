"""How many of something one address or token may have at a time, and all together."""

from collections import Counter
from collections.abc import Callable

from hotmic.errors import QuotaReached
from hotmic.net.address import household

RETRY_AFTER_MS = 5000


class Limit:
    """A bounded count per key.

    Args:
        most: Allowed per key.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def enter(self, key: str, most: int | None = None) -> bool:
        """Count one more; return ``False`` and count nothing where the limit, or the key's own, is reached."""
        if self._counts.get(key, 0) >= (self._most if most is None else min(most, self._most)):
            return False
        self._counts[key] += 1
        return True

    def leave(self, key: str) -> None:
        """Count one less."""
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]


class Quota:
    """A bounded count of one thing, per address, per token and in all.

    Args:
        what: The thing, as the refusal calls it.
        per_address: Allowed per address.
        per_token: Allowed per token.
        total: Allowed in all; ``None`` for no bound.
    """

    def __init__(self, what: str, *, per_address: int, per_token: int, total: int | None = None) -> None:
        self._what, self._total, self._count = what, total, 0
        self._limits = {"address": Limit(per_address), "token": Limit(per_token)}

    def enter(self, *, most: int | None = None, **owners: str | None) -> Callable[[], None]:
        """Count one more for the ``address``, the ``token`` or both; return what counts it less again.

        Args:
            most: What this token allows of its own.
            owners: Whom it belongs to.

        Raises:
            QuotaReached: One of them has as many as it may; nothing was counted.
        """
        if self._total is not None and self._count >= self._total:
            raise QuotaReached(f"The daemon has as many {self._what} as it may.", retry_after_ms=RETRY_AFTER_MS)
        entered: list[tuple[Limit, str]] = []

        def leave() -> None:
            self._count -= bool(entered)
            while entered:
                limit, key = entered.pop()
                limit.leave(key)

        for kind, key in owners.items():
            if key is None:
                continue
            if kind == "address":
                key = household(key)
            if not self._limits[kind].enter(key, most if kind == "token" else None):
                for limit, other in entered:
                    limit.leave(other)
                raise QuotaReached(f"Too many {self._what} from this {kind}.", retry_after_ms=RETRY_AFTER_MS)
            entered.append((self._limits[kind], key))
        self._count += bool(entered)
        return leave
