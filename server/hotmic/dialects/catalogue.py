"""What every dialect hears and says, message by message: the source of the AsyncAPI document.

A dialect is one entry: a sentence, the messages that clients send, the messages that they hear. A message is the
``msgspec.Struct`` that the dialect decodes or encodes, or a ``Raw`` where a frame is no JSON object.
"""

from collections.abc import Mapping
from typing import Any

from hotmic.dialects import answer, message
from hotmic.values import Value


class Raw(Value, frozen=True, kw_only=True):
    """A frame that is no JSON object."""

    name: str
    """As the document calls it, like the name of a class."""
    summary: str
    content_type: str = "application/octet-stream"


class Exchange(Value, frozen=True, kw_only=True):
    """The messages of one dialect."""

    summary: str
    received: tuple[Any, ...]
    """What clients send: struct classes and ``Raw``."""
    sent: tuple[Any, ...]
    """What clients hear."""


PCM16 = Raw(name="Pcm16Frame", summary="Audio: PCM16, little-endian, mono, at `sample_rate` of the URL or 16 kHz.")

EXCHANGES: Mapping[str, Exchange] = {
    "control": Exchange(
        summary="Models, recording and status; hears everything that is said in its channel.",
        received=message.CONTROL_MESSAGES,
        sent=answer.CONTROL_ANSWERS,
    ),
    "audio": Exchange(
        summary="Audio in, transcripts out.",
        received=(PCM16, *message.AUDIO_MESSAGES),
        sent=answer.AUDIO_ANSWERS,
    ),
}
"""One entry for each of ``negotiate.DIALECTS``; a test compares them."""
