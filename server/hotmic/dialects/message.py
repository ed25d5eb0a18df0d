"""The JSON messages of the dual-socket protocol, both directions."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hotmic.values import Denoise, LoadMode, PolicyName, Task, VadProfile

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""A channel or session."""
Rate = Annotated[int, Meta(ge=4_000, le=192_000)]
Text = Annotated[str, Meta(max_length=2_000)]
Language = Annotated[str, Meta(pattern=r"^([a-z]{2,3})?$")]
Seq = Annotated[int, Meta(ge=0, le=1 << 53)]
EventId = Annotated[int, Meta(ge=0, le=1 << 53)]
RequestId = Annotated[str, Meta(max_length=128)] | int


class Message(msgspec.Struct, kw_only=True):
    """Base of what a client sends; unknown fields are ignored, as the protocol only ever adds some."""

    request_id: RequestId | None = None


class ConfigFields(Message, kw_only=True):
    """Options a client may set."""

    model: Text | None = None
    language: Language | None = None
    task: Task | None = None
    vad: VadProfile | None = None
    min_silence_ms: Annotated[int, Meta(ge=100, le=10_000)] | None = None
    pre_roll_ms: Annotated[int, Meta(ge=0, le=2_000)] | None = None
    wire_silence_ms: Annotated[int, Meta(ge=100, le=60_000)] | None = None
    vad_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    denoise: Denoise | None = None
    hotwords: Annotated[list[Text], Meta(max_length=200)] | Text | None = None
    prompt: Text | None = None
    beam: Annotated[int, Meta(ge=1, le=10)] | None = None
    fallback: bool | None = None
    alternatives: Annotated[int, Meta(ge=0, le=4)] | None = None
    policy: PolicyName | None = None
    sample_rate: Rate | None = None


class GetModelsMessage(Message, kw_only=True, tag="get_models"):
    """List the models."""


class LoadModelMessage(Message, kw_only=True, tag="load_model"):
    """Load a model."""

    model_id: Text
    mode: LoadMode = "beside"


class UnloadModelMessage(Message, kw_only=True, tag="unload_model"):
    """Unload a model."""

    model_id: Text


class GetStatusMessage(Message, kw_only=True, tag="get_status"):
    """Report the status."""


class StartRecordingMessage(Message, kw_only=True, tag="start_recording"):
    """Start recording."""

    channel: Name | None = None
    session: Name | None = None
    config: ConfigFields | None = None


class StopRecordingMessage(Message, kw_only=True, tag="stop_recording"):
    """Stop recording."""

    channel: Name | None = None
    session: Name | None = None


class ConfigureMessage(ConfigFields, kw_only=True, tag="configure"):
    """Set options."""


class SubscribeMessage(Message, kw_only=True, tag="subscribe"):
    """Hear a channel, and its finals after one that was heard before."""

    channel: Name
    last_event_id: EventId | None = None


class PingMessage(Message, kw_only=True, tag="ping"):
    """Ask for a sign of life."""


class AuthenticateMessage(Message, kw_only=True, tag="authenticate"):
    """Present a token."""

    token: Text


class AudioChunkMessage(Message, kw_only=True, tag="audio_chunk"):
    """A chunk of audio in base64."""

    data: bytes
    sample_rate: Rate | None = None
    encoding: Literal["pcm16", "float32", "mulaw", "alaw"] = "pcm16"
    seq: Seq | None = None


class ResumeMessage(Message, kw_only=True, tag="resume"):
    """Go on with a session whose connection broke."""

    session_id: Name
    last_seq: Seq | None = None
    last_event_id: EventId | None = None


class AudioEndMessage(Message, kw_only=True, tag="audio_end"):
    """The speaker is done."""


CONTROL_MESSAGES: tuple[type[Message], ...] = (
    GetModelsMessage,
    LoadModelMessage,
    UnloadModelMessage,
    GetStatusMessage,
    StartRecordingMessage,
    StopRecordingMessage,
    ConfigureMessage,
    SubscribeMessage,
    PingMessage,
    AuthenticateMessage,
)
AUDIO_MESSAGES: tuple[type[Message], ...] = (
    AudioChunkMessage,
    AudioEndMessage,
    ResumeMessage,
    ConfigureMessage,
    SubscribeMessage,
    PingMessage,
    AuthenticateMessage,
)
