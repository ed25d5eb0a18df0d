"""What every dialect hears and says, message by message: the source of the AsyncAPI document.

A dialect is one entry: a sentence, the messages that clients send, the messages that they hear. A message is the
``msgspec.Struct`` that the dialect decodes or encodes, or a ``Raw`` where a frame is no JSON object.
"""

from collections.abc import Mapping
from typing import Any

from hotmic.dialects import (
    answer,
    live_caption,
    live_caption_answer,
    message,
    openai_answer,
    openai_message,
    rnnt,
    rnnt_answer,
    simul,
)
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
    query: tuple[str, ...] = ("token", "channel")
    """What their URL may say, of ``asyncapi.QUERY``."""


PCM16 = Raw(
    name="Pcm16Frame",
    summary="Audio: PCM16, little-endian, mono, at the `sample_rate` that the client named, else 16 kHz.",
)
NPY = Raw(name="NpyFrame", summary="Audio: a NumPy array as `numpy.save` writes it, float32, mono, 16 kHz.")
SOUND = Raw(
    name="SoundFrame",
    summary="Audio: WAV, or WebM and other containers, whole or piece by piece; or bare PCM16 or float32, mono, at "
    "`sample_rate` or 16 kHz.",
)
TEXT = Raw(name="TextFrame", summary="The text of one utterance.", content_type="text/plain")

EXCHANGES: Mapping[str, Exchange] = {
    "control": Exchange(
        summary="Models, recording and status; hears everything that is said in its channel.",
        received=message.CONTROL_MESSAGES,
        sent=answer.CONTROL_ANSWERS,
        query=("channel", "session"),
    ),
    "audio": Exchange(
        summary="Audio in, transcripts out.",
        received=(PCM16, *message.AUDIO_MESSAGES),
        sent=answer.AUDIO_ANSWERS,
        query=("channel", "session", "sample_rate"),
    ),
    "openai_realtime": Exchange(
        summary="OpenAI's realtime protocol, transcription sessions.",
        received=openai_message.CLIENT_EVENTS,
        sent=openai_answer.SERVER_EVENTS,
        query=("model", "token", "channel"),
    ),
    "plain_text": Exchange(
        summary="Sound in, the bare text of every utterance out. What is wrong is told by closing.",
        received=(PCM16,),
        sent=(TEXT,),
        query=("sample_rate", "token", "channel"),
    ),
    "rnnt": Exchange(
        summary="Sound in, every word once: clients append each `transcription`.",
        received=(PCM16, *rnnt.RNNT_MESSAGES),
        sent=rnnt_answer.RNNT_ANSWERS,
        query=("client_id", "sample_rate", "token", "channel"),
    ),
    "simul": Exchange(
        summary="NumPy arrays in, every word once: clients append each `transcript`.",
        received=(NPY, message.AuthenticateMessage),
        sent=(simul.TranscriptAnswer, answer.AuthenticatedAnswer, answer.ErrorAnswer),
        query=("client_id", "token", "channel"),
    ),
    "live_caption": Exchange(
        summary="Sound in, one answer to each frame, every word once. Also at the path `/` of the control port.",
        received=(SOUND, *live_caption.CAPTION_MESSAGES),
        sent=live_caption_answer.CAPTION_ANSWERS,
        query=("sample_rate", "token", "channel"),
    ),
}
"""One entry for each of ``negotiate.DIALECTS`` but those of ``SHARED``; a test compares them."""

SHARED: Mapping[str, tuple[str, ...]] = {"control_or_caption": ("control", "live_caption")}
"""The dialects of a port where the client's first words choose."""
