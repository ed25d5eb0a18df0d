"""The audio socket of the dual-socket protocol (port 8766)."""

from collections.abc import Sequence

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import message as m
from hotmic.dialects.control import shared_command
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, dump

_codec = Codec(m.AUDIO_MESSAGES, m.CONTROL_MESSAGES)

_ALWAYS = (e.PartialTranscribed, e.FinalTranscribed, e.ErrorRaised)


class AudioDialect(Dialect):
    """Audio in, transcripts out.

    A client that never sent ``configure``, ``subscribe``, ``resume`` or a numbered chunk gets transcripts and errors
    alone (the original's clients read ``text`` from whatever comes), and the recording state once a controller used
    start or stop.

    Args:
        sample_rate: Rate in hertz of binary frames, where the client named one in its URL.
    """

    name = "audio"
    is_private = False

    def __init__(self, *, sample_rate: int | None = None) -> None:
        self._sample_rate = sample_rate
        self._opted_in = False

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into a command; a binary frame is PCM16.

        Raises:
            PeerError: See ``Codec.decode``.
        """
        if isinstance(frame, bytes):
            return (c.AppendAudio(data=frame, sample_rate=self._sample_rate),)
        message = _codec.decode(frame)
        match message:
            case m.AudioChunkMessage(data=data, sample_rate=rate, encoding=encoding, seq=seq):
                self._opted_in = self._opted_in or seq is not None
                return (c.AppendAudio(data=data, sample_rate=rate or self._sample_rate, encoding=encoding, seq=seq),)
            case m.ResumeMessage(session_id=session_id, last_event_id=last_event_id):
                self._opted_in = True
                return (c.Resume(request_id=message.request_id, session_id=session_id, last_event_id=last_event_id),)
            case m.AudioEndMessage():
                return (c.EndAudio(request_id=message.request_id),)
            case m.ConfigureMessage() | m.SubscribeMessage():
                self._opted_in = True
        return (shared_command(message),)

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into a text frame, or none if this client did not ask for its kind."""
        if self._opted_in or isinstance(event, _ALWAYS) or not isinstance(event, e.SessionEvent | e.WarningRaised):
            return dump(event, timestamp=timestamp)
        if isinstance(event, e.RecordingStarted | e.RecordingStopped) and event.is_controlled:
            return dump(event, timestamp=timestamp)
        return ()
