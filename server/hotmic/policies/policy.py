"""When is a word stable? What every policy has in common."""

from collections.abc import Sequence
from typing import Protocol

from hotmic.values import PolicyName, Value, Word


class PolicySettings(Value, frozen=True, kw_only=True):
    """What the policies of a session's segments are made from where the model has a say."""

    policy: PolicyName = "local_agreement"
    """Of sessions without a choice of their own."""
    agreement_n: int = 2
    attention_margin: float = 0.4
    """Seconds."""


class Policy(Protocol):
    """Turns the hypotheses about one growing segment into text that stays and text that may change.

    ``stable + unstable`` is what to show. ``stable`` only ever grows.
    """

    @property
    def needs_word_times(self) -> bool:
        """Whether it can do nothing without the times of a hypothesis's words."""

    @property
    def stable(self) -> str:
        """Text that will not be taken back."""

    @property
    def unstable(self) -> str:
        """Text that follows ``stable``, with the space between them if there is one."""

    def receive_hypothesis(self, text: str, words: Sequence[Word] = (), *, heard: float = 0.0) -> None:
        """Take what the engine now says about the whole segment.

        Args:
            text: All of it.
            words: Its last words with their times in seconds, where they are known.
            heard: Where the audio behind it ends, on the same clock.
        """
