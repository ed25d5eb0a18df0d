"""A word is stable once successive hypotheses agree on it and on everything before it."""

from collections import deque
from collections.abc import Sequence

from hotmic.policies import script
from hotmic.policies.joining import gap, text_of
from hotmic.values import Word

_ALIGNED_UNITS = 48
"""Units of a contradicted end that are aligned; older ones have long left the decoder's reach."""
_SLACK = 16


class LocalAgreement:
    """LocalAgreement-n (Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition"; Macháček et al. 2023).

    Units are words, or character clusters in scripts without spaces. Case and punctuation do not break agreement; what
    becomes stable is written as in the newest hypothesis. A hypothesis that contradicts stable text cannot change it:
    its part behind the best alignment with the stable text is the new unstable tail.

    Args:
        n: Hypotheses that must agree.
    """

    def __init__(self, n: int = 2) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self._n = n
        self.reset()

    def reset(self) -> None:
        """Begin the next segment."""
        self._stable = ""
        self._stable_keys: list[str] = []
        self._unstable = ""
        self._tails: deque[list[str]] = deque(maxlen=self._n)

    @property
    def stable(self) -> str:
        """Text that will not be taken back."""
        return self._stable

    @property
    def unstable(self) -> str:
        """Text that follows ``stable``, with the space between them if there is one."""
        return self._unstable

    def receive(self, words: Sequence[str | Word]) -> None:
        """Take a hypothesis as words."""
        self.receive_hypothesis(text_of(words))

    def receive_hypothesis(self, text: str) -> None:
        """Take what the engine now says about the whole segment."""
        units = script.units(text)
        keys = [script.normalized(unit) for unit in units]
        behind = tail_start(self._stable_keys, keys)
        tail, tail_keys = units[behind:], keys[behind:]
        self._tails.append(tail_keys)
        agreed = _agreed(self._tails) if len(self._tails) == self._n else 0
        self._stable = self._follow("".join(tail[:agreed]))
        self._stable_keys += tail_keys[:agreed]
        for keys_left in self._tails:
            del keys_left[:agreed]
        self._unstable = self._follow("".join(tail[agreed:]))[len(self._stable) :]

    def _follow(self, text: str) -> str:
        return self._stable + gap(self._stable, text) + text


def tail_start(stable: Sequence[str], keys: Sequence[str]) -> int:
    """Return where in a hypothesis the part behind the stable units begins.

    If the hypothesis begins with them, or is their beginning, that is their length; else the end of the prefix with the
    smallest edit distance to them, the one nearest to their length among equals.
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
    best = min(range(len(distances)), key=lambda column: (distances[column], abs(column - len(rest))))
    return min(same + best, len(keys))


def _agreed(tails: Sequence[Sequence[str]]) -> int:
    """Return how many leading units all tails have in common."""
    count = 0
    for units in zip(*tails, strict=False):
        if any(unit != units[0] for unit in units):
            break
        count += 1
    return count
