"""Who hears what: channels of connections."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from hotmic.events import Event, FinalTranscribed, PartialTranscribed, SessionEvent


class Listener(Protocol):
    """A connection as the hub sees it."""

    @property
    def channel(self) -> str:
        """The channel it hears."""

    @property
    def is_speaker(self) -> bool:
        """Whether it brings audio."""

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        """Take an event; never blocks."""


class Hub:
    """Fan-out of events to the connections of a channel."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, None]] = defaultdict(dict)
        self._event_ids: dict[str, int] = defaultdict(int)

    def join(self, listener: Listener) -> None:
        """Add a connection to its channel."""
        self._listeners[listener.channel][listener] = None

    def leave(self, listener: Listener) -> None:
        """Remove a connection; an empty channel is forgotten."""
        members = self._listeners[listener.channel]
        members.pop(listener, None)
        if not members:
            del self._listeners[listener.channel]

    def forget(self, channel: str) -> None:
        """Start counting events anew when the channel comes back."""
        self._event_ids.pop(channel, None)

    def has(self, channel: str) -> bool:
        """Return whether anybody hears a channel."""
        return channel in self._listeners

    def publish(self, event: SessionEvent | Event, *, channel: str) -> None:
        """Tell every connection of a channel."""
        key = ""
        if isinstance(event, PartialTranscribed):
            key = event.segment_id
        elif isinstance(event, FinalTranscribed):
            self._event_ids[channel] += 1
            event = msgspec.structs.replace(event, event_id=self._event_ids[channel])
        timestamp = wall_clock()
        for listener in tuple(self._listeners.get(channel, ())):
            listener.hear(event, timestamp=timestamp, key=key)

    def broadcast(self, event: Event, *, besides: Listener | None = None) -> None:
        """Tell every connection that brings no audio, whatever its channel."""
        timestamp = wall_clock()
        for members in tuple(self._listeners.values()):
            for listener in tuple(members):
                if not listener.is_speaker and listener is not besides:
                    listener.hear(event, timestamp=timestamp)


def wall_clock() -> str:
    """Return the time as clients read it: ISO 8601, UTC, milliseconds, ``Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
