"""The protocol of a server that takes bare sound and answers with bare text: no JSON in either direction."""

from collections.abc import Sequence

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.errors import BadAudio, BadMessage, HotmicError

NO_SOUND, NO_SAMPLES = 1003, 1007
"""Close codes: a kind of frame that is not taken, and data that is not what it should be (RFC 6455, 7.4.1)."""


class PlainTextDialect(Dialect):
    """PCM16 in binary frames of any length; every utterance comes back as one text frame when it is final.

    There is no way to say what is wrong but to close: the reason is the error's code and its sentence.

    Args:
        sample_rate: Rate in hertz, where the client named one in its URL.
    """

    name = "plain_text"
    is_appended = True

    def __init__(self, *, sample_rate: int | None = None) -> None:
        self.options = c.SessionOptions(vad="webrtc")
        self._sample_rate = sample_rate

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a binary frame into audio.

        Raises:
            BadMessage: A text frame.
        """
        if isinstance(frame, str):
            raise BadMessage("This socket takes sound in binary frames alone.")
        return (c.AppendAudio(data=frame, sample_rate=self._sample_rate),)

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Return the text of a final; nothing else has a form here."""
        return (event.text,) if isinstance(event, e.FinalTranscribed) else ()

    def close_code(self, error: HotmicError) -> int | None:
        """Close on whatever is no sound."""
        match error:
            case BadAudio():
                return NO_SAMPLES
            case BadMessage():
                return NO_SOUND
        return error.close_code
