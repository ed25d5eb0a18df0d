"""Who hears what: channels of connections."""

import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from hotmic.events import Event, FinalTranscribed, PartialTranscribed, SessionEvent
from hotmic.net.history import History


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
    """Fan-out of events to the connections of a channel.

    Args:
        history: Keeps finals for those who come back.
    """

    def __init__(self, history: History | None = None) -> None:
        self._listeners: dict[str, dict[Listener, None]] = defaultdict(dict)
        self._history = history or History()

    def join(self, listener: Listener) -> None:
        """Add a connection to its channel."""
        self._listeners[listener.channel][listener] = None

    def leave(self, listener: Listener) -> None:
        """Remove a connection; an empty channel is forgotten."""
        members = self._listeners[listener.channel]
        members.pop(listener, None)
        if not members:
            del self._listeners[listener.channel]

    def catch_up(self, listener: Listener, *, after: int) -> None:
        """Tell a connection the finals of its channel that came after one."""
        for event, timestamp, _ in self._history.after(after, channel=listener.channel, now=time.monotonic()):
            listener.hear(event, timestamp=timestamp)

    @property
    def newest_id(self) -> int:
        """The newest id of a final there is."""
        return self._history.newest_id

    def has(self, channel: str) -> bool:
        """Return whether anybody hears a channel."""
        return channel in self._listeners

    def publish(self, event: SessionEvent | Event, *, channel: str) -> None:
        """Tell every connection of a channel."""
        key, timestamp = "", wall_clock()
        if isinstance(event, PartialTranscribed):
            key = event.segment_id
        elif isinstance(event, FinalTranscribed):
            event = msgspec.structs.replace(event, event_id=self._history.next_id())
            self._history.add(event, channel=channel, timestamp=timestamp, now=time.monotonic())
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
