"""What every wire protocol looks like to the rest of the daemon: a pure adapter between frames and our words."""

from collections.abc import Sequence
from typing import Protocol

from hotmic.commands import Command
from hotmic.events import Event

Frame = str | bytes


class Dialect(Protocol):
    """One wire protocol, one instance per connection."""

    name: str
    is_speaker: bool
    """Whether its connections bring audio."""

    def parse(self, frame: Frame) -> Sequence[Command]:
        """Turn a frame into commands.

        Raises:
            PeerError: The frame is no message of this dialect.
        """

    def encode(self, event: Event, *, timestamp: str) -> Frame | None:
        """Turn an event into a frame, or ``None`` where this client does not want it.

        Args:
            event: What happened.
            timestamp: Wall-clock time in ISO 8601, UTC.
        """
