"""The control socket of the dual-socket protocol (port 8765)."""

from collections.abc import Sequence

from hotmic import commands as c
from hotmic.dialects import message as m
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, dump, options
from hotmic.errors import WrongSocket
from hotmic.events import Event

_codec = Codec(m.CONTROL_MESSAGES, m.AUDIO_MESSAGES)


class ControlDialect(Dialect):
    """Models, recording and status; hears everything its channel says."""

    name = "control"
    is_speaker = False
    is_greeted = True
    is_private = False

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a text frame into a command.

        Raises:
            PeerError: See ``Codec.decode``; ``WrongSocket`` for a binary frame.
        """
        if isinstance(frame, bytes):
            raise WrongSocket("Audio belongs on the audio socket.")
        message = _codec.decode(frame)
        return (self._command(message),)

    def encode(self, event: Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into a text frame."""
        return dump(event, timestamp=timestamp)

    def _command(self, message: m.Message) -> c.Command:
        rid = message.request_id
        match message:
            case m.GetModelsMessage():
                return c.ListModels(request_id=rid)
            case m.LoadModelMessage(model_id=model_id, mode=mode):
                return c.LoadModel(request_id=rid, model_id=model_id, mode=mode)
            case m.UnloadModelMessage(model_id=model_id):
                return c.UnloadModel(request_id=rid, model_id=model_id)
            case m.GetStatusMessage():
                return c.GetStatus(request_id=rid)
            case m.StartRecordingMessage(channel=channel, session=session, config=config):
                return c.StartRecording(request_id=rid, channel=channel, session=session, config=options(config))
            case m.StopRecordingMessage(channel=channel, session=session):
                return c.StopRecording(request_id=rid, channel=channel, session=session)
            case _:
                return shared_command(message)


def shared_command(message: m.Message) -> c.Command:
    """Return the command of a message that both sockets know."""
    rid = message.request_id
    match message:
        case m.ConfigureMessage():
            return c.Configure(request_id=rid, options=options(message))
        case m.SubscribeMessage(channel=channel, last_event_id=last_event_id):
            return c.Subscribe(request_id=rid, channel=channel, last_event_id=last_event_id)
        case m.PingMessage():
            return c.Ping(request_id=rid)
        case m.AuthenticateMessage(token=token):
            return c.Authenticate(request_id=rid, token=token)
        case _:
            raise TypeError(f"{type(message).__name__} has no command")
