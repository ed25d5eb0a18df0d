"""One port for two protocols that both greet first: the first frame that tells decides."""

from collections.abc import Sequence

import msgspec

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.live_caption import LiveCaptionDialect

CAPTION_TYPES = ("config", "clear_buffer")
SHARED_TYPES = ("ping", "authenticate")
"""Messages that both understand and answer alike."""


class _Kind(msgspec.Struct):
    type: str = ""


class ControlOrCaptionDialect(Dialect):
    """The control socket until somebody speaks the live caption protocol.

    Greets with the fields of both. A binary frame or a message that only live captions know decides for these, a
    message that both know for nothing, everything else for control. Until then it hears what control hears.

    Args:
        caption: Takes over where it is spoken.
    """

    name = "control"
    is_speaker = False
    is_greeted = True
    is_private = False

    def __init__(self, caption: LiveCaptionDialect) -> None:
        self._caption = caption
        self._control = ControlDialect()
        self._is_decided = False
        self._chosen: Dialect = self._control

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into commands, in the protocol that it decides for.

        Raises:
            PeerError: It is no message of that protocol.
        """
        if not self._is_decided:
            self._decide(frame)
        return self._chosen.parse(frame)

    def _decide(self, frame: Frame) -> None:
        kind = "" if isinstance(frame, bytes) else _type_of(frame)
        self._is_decided = kind not in SHARED_TYPES
        if isinstance(frame, bytes) or kind in CAPTION_TYPES:
            self._chosen = self._caption
            self.name, self.options = self._caption.name, self._caption.options
            self.is_speaker = self.is_private = self.is_appended = True

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into frames."""
        return (self._caption if isinstance(event, e.Connected) else self._chosen).encode(event, timestamp=timestamp)

    def frames_to_send(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain the answer to a frame of sound."""
        return self._chosen.frames_to_send(timestamp=timestamp)

    @property
    def patience(self) -> float | None:
        """Seconds for which that may wait."""
        return self._chosen.patience

    def overdue_frames(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain what has waited long enough."""
        return self._chosen.overdue_frames(timestamp=timestamp)


def _type_of(frame: str) -> str:
    try:
        return msgspec.json.decode(frame, type=_Kind).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
