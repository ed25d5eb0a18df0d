"""When is a word stable? What every policy has in common."""

from typing import Protocol


class Policy(Protocol):
    """Turns the hypotheses about one growing segment into text that stays and text that may change.

    ``stable + unstable`` is what to show. ``stable`` only ever grows until ``reset``.
    """

    @property
    def stable(self) -> str:
        """Text that will not be taken back."""

    @property
    def unstable(self) -> str:
        """Text that follows ``stable``, with the space between them if there is one."""

    def receive_hypothesis(self, text: str) -> None:
        """Take what the engine now says about the whole segment."""

    def reset(self) -> None:
        """Begin the next segment."""
