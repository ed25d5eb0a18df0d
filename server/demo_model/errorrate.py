"""Word error rate: the edit distance between words over the number of words that were said."""

from dataclasses import dataclass


def word_errors(reference: str, hypothesis: str) -> int:
    """Return the Levenshtein distance in words.

    >>> word_errors("turn on the lights", "turn the light on")
    3
    """
    heard = hypothesis.split()
    row = list(range(len(heard) + 1))
    for count, word in enumerate(reference.split(), 1):
        previous, row = row, [count]
        for index, other in enumerate(heard, 1):
            row.append(min(previous[index] + 1, row[-1] + 1, previous[index - 1] + (word != other)))
    return row[-1]


@dataclass
class ErrorRate:
    """Sums errors over a set."""

    errors: int = 0
    words: int = 0
    clips: int = 0
    exact: int = 0

    def add(self, reference: str, hypothesis: str) -> None:
        """Count one clip."""
        errors = word_errors(reference, hypothesis)
        self.errors += errors
        self.words += len(reference.split())
        self.clips += 1
        self.exact += errors == 0

    @property
    def percent(self) -> float:
        """Word error rate in percent."""
        return 100 * self.errors / max(1, self.words)

    @property
    def exact_percent(self) -> float:
        """Clips without any error, in percent."""
        return 100 * self.exact / max(1, self.clips)
