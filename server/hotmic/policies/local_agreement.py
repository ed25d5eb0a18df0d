"""A word is stable once successive hypotheses agree on it and on everything before it."""

from collections import deque
from collections.abc import Sequence

from hotmic.policies.prefix import Prefix
from hotmic.values import Word


class LocalAgreement:
    """LocalAgreement-n (Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition and translation by
    partial hypothesis selection"; for Whisper: Macháček et al. 2023, arXiv 2307.14743).

    Case and punctuation do not break agreement; what becomes stable is written as in the newest hypothesis.

    Args:
        n: Hypotheses that must agree.
    """

    needs_word_times = False

    def __init__(self, n: int = 2) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self._prefix = Prefix()
        self._tails: deque[list[str]] = deque(maxlen=n)

    @property
    def stable(self) -> str:
        """Text that will not be taken back."""
        return self._prefix.stable

    @property
    def unstable(self) -> str:
        """Text that follows ``stable``, with the space between them if there is one."""
        return self._prefix.unstable

    def receive_hypothesis(self, text: str, words: Sequence[Word] = (), *, heard: float = 0.0) -> None:
        """Take what the engine now says about the whole segment; times do not matter."""
        self._prefix.receive_hypothesis(text)
        self._tails.append(list(self._prefix.tail_keys))
        if len(self._tails) < (self._tails.maxlen or 1):
            return
        agreed = _agreed(self._tails)
        self._prefix.advance(agreed)
        for keys in self._tails:
            del keys[:agreed]


def _agreed(tails: Sequence[Sequence[str]]) -> int:
    """Return how many leading units all tails have in common."""
    count = 0
    for units in zip(*tails, strict=False):
        if any(unit != units[0] for unit in units):
            break
        count += 1
    return count
