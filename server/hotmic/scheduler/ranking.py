"""Names in the order of a key that may change: a heap whose outdated entries are skipped."""

import heapq
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

SLACK = 64
"""Outdated entries a heap may hold beyond twice its names before it is built anew."""


class Ranking(Generic[Name]):
    """Names in the order of their keys, equal keys in the order of their coming.

    ``put`` and ``first`` cost O(log n) on average.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, Name]] = []
        self._live: dict[Name, tuple[Any, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._live)

    def put(self, name: Name, key: Any) -> None:
        """Give a name its place, or another one; the same key leaves it where it is."""
        known = self._live.get(name)
        if known is not None and known[0] == key:
            return
        self._count += 1
        self._live[name] = (key, self._count)
        heapq.heappush(self._heap, (key, self._count, name))
        if len(self._heap) > 2 * len(self._live) + SLACK:
            self._heap = [(k, count, n) for n, (k, count) in self._live.items()]
            heapq.heapify(self._heap)

    def discard(self, name: Name) -> None:
        """Take a name out, if it is there."""
        self._live.pop(name, None)

    def first(self) -> tuple[Name, Any] | None:
        """Return the first name and its key without taking it out."""
        while self._heap:
            key, count, name = self._heap[0]
            live = self._live.get(name)
            if live is not None and live[1] == count:
                return name, key
            heapq.heappop(self._heap)
        return None
