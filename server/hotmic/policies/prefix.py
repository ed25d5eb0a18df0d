"""Text that only grows, and the tail that still may change: what every policy keeps."""

from collections.abc import Sequence

from hotmic.policies import script
from hotmic.policies.joining import gap

_ALIGNED_UNITS = 48
"""Units of a contradicted end that are aligned; older ones have long left the decoder's reach."""
_SLACK = 16


class Prefix:
    """Stable text and the unstable tail of the newest hypothesis.

    Units are words, or character clusters in scripts without spaces. A hypothesis that contradicts stable text cannot
    change it: its part behind the best alignment with the stable text is the new tail.
    """

    def __init__(self) -> None:
        self.stable = ""
        self.unstable = ""
        self._keys: list[str] = []
        self._tail: list[str] = []
        self.tail_keys: list[str] = []
        """What the units of the newest tail say, without case and punctuation."""

    def receive_hypothesis(self, text: str) -> None:
        """Take a hypothesis about everything from the beginning; its tail is unstable until ``advance``."""
        units = script.units(text)
        keys = [script.normalized(unit) for unit in units]
        behind = tail_start(self._keys, keys)
        self._tail, self.tail_keys = units[behind:], keys[behind:]
        self.unstable = self._follow("".join(self._tail))[len(self.stable) :]

    def advance(self, count: int) -> None:
        """Make the first ``count`` units of the tail stable."""
        self.stable = self._follow("".join(self._tail[:count]))
        self._keys += self.tail_keys[:count]
        self._tail, self.tail_keys = self._tail[count:], self.tail_keys[count:]
        self.unstable = self._follow("".join(self._tail))[len(self.stable) :]

    def _follow(self, text: str) -> str:
        return self.stable + gap(self.stable, text) + text


def tail_start(stable: Sequence[str], keys: Sequence[str]) -> int:
    """Return where in a hypothesis the part behind the stable units begins.

    If the hypothesis begins with them, or is their beginning, that is their length; else the end of the prefix with the
    smallest edit distance to them. Among equals one that ends as they do is taken, so that their last unit is not said
    twice, then the one nearest to their length.
    """
    same = 0
    for one, other in zip(stable, keys, strict=False):
        if one != other:
            break
        same += 1
    if same == len(stable) or same == len(keys):
        return same
    same = max(same, len(stable) - _ALIGNED_UNITS)
    rest = stable[same:]
    heard = keys[same : same + len(rest) + _SLACK]
    distances = list(range(len(heard) + 1))
    for row, one in enumerate(rest, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(heard, start=1):
            cost = min(distances[column] + 1, distances[column - 1] + 1, diagonal + (one != other))
            diagonal, distances[column] = distances[column], cost
    best = min(
        range(len(distances)),
        key=lambda column: (distances[column], heard[column - 1 : column] != rest[-1:], abs(column - len(rest))),
    )
    return min(same + best, len(keys))
