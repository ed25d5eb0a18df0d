"""The protocol of the simultaneous Whisper server: NumPy arrays in, transcripts as JSON out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import message as m
from hotmic.dialects.answer import Part
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, dump
from hotmic.dialects.npy import samples_of
from hotmic.dialects.said import Said
from hotmic.dialects.wish import Wish
from hotmic.policies.joining import gap
from hotmic.values import SAMPLE_RATE


class TranscriptAnswer(Part, kw_only=True, tag="transcript"):
    """Text that was not said before, with the space before it."""

    client_id: str
    text: str
    timestamp: Annotated[float, Meta(description="seconds since 1970")]


_codec = Codec((m.AuthenticateMessage,), ())


class SimulDialect(Dialect):
    """Every word once, as soon as it is stable; one context for each ``client_id``, which waits for it to come back.

    Texts carry the space before them, so that a client may append them to each other.

    Args:
        client_id: The name in the client's URL; without one its session waits for nobody.
    """

    name = "simul"
    is_appended = True

    def __init__(self, *, client_id: str = "") -> None:
        self.keeps_session = bool(client_id)
        self.last_event_id = 0
        self._client_id = client_id
        self._said = Said()
        self._end = ""

    def session_name(self, wish: Wish) -> str:
        """Return a name that no session of another protocol has by accident."""
        return f"simul-{wish.client_id}" if wish.client_id else ""

    def follow(self, earlier: Dialect) -> None:
        """Say nothing again that this client was told before its connection broke."""
        if isinstance(earlier, SimulDialect):
            self._said, self._end, self.last_event_id = earlier._said, earlier._end, earlier.last_event_id

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into audio; a text frame can only be a token.

        Raises:
            BadAudio: See ``samples_of``.
            PeerError: See ``Codec.decode``.
        """
        if isinstance(frame, str):
            message: m.AuthenticateMessage = _codec.decode(frame)
            return (c.Authenticate(request_id=message.request_id, token=message.token),)
        return (c.AppendAudio(data=samples_of(frame), encoding="float32", sample_rate=SAMPLE_RATE),)

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn what was heard into a transcript, an error or the answer to a token into JSON."""
        match event:
            case e.PartialTranscribed():
                return self._transcript(event, self._said.partial(event), timestamp)
            case e.FinalTranscribed(event_id=event_id):
                self.last_event_id = event_id
                return self._transcript(event, self._said.final(event)[0], timestamp)
            case e.ErrorRaised() | e.Authenticated():
                return dump(event, timestamp=timestamp)
        return ()

    def _transcript(self, event: e.SessionEvent, piece: str, timestamp: str) -> Sequence[Frame]:
        if not piece.strip():
            return ()
        text, self._end = gap(self._end, piece) + piece, piece
        answer = TranscriptAnswer(
            client_id=self._client_id or event.session_id,
            text=text,
            timestamp=datetime.fromisoformat(timestamp).timestamp(),
        )
        return (msgspec.json.encode(answer),)
