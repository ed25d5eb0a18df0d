"""What clients may ask. Wire names live in the dialects."""

from hotmic.values import Denoise, LoadMode, PolicyName, Task, VadProfile, Value


class SessionOptions(Value, frozen=True, kw_only=True):
    """A patch of a session's options: ``None`` leaves a field as it is, an empty string or tuple clears it."""

    model: str | None = None
    """Model of the session's own; empty for the current one, whichever that is."""
    language: str | None = None
    """Language code; empty for automatic detection."""
    task: Task | None = None
    vad: VadProfile | None = None
    min_silence_ms: int | None = None
    """Silence that confirms the end of a segment."""
    pre_roll_ms: int | None = None
    """Audio before the start that belongs to a segment."""
    vad_threshold: float | None = None
    """How sure the VAD must be, 0 to 1; 0.5 is what its profile takes by itself, higher wants clearer speech."""
    denoise: Denoise | None = None
    hotwords: tuple[str, ...] | None = None
    prompt: str | None = None
    beam: int | None = None
    fallback: bool | None = None
    """Whether doubtful finals are decoded again: with a wider beam, without repetitions, without the prompt."""
    alternatives: int | None = None
    policy: PolicyName | None = None
    """When words of partials become stable."""
    sample_rate: int | None = None
    """Rate in hertz of audio that names none itself."""
    wire_silence_ms: int | None = None
    """Time without audio from the client that ends a segment."""


class Command(Value, frozen=True, kw_only=True, tag=True):
    """Anything a client asks; ``request_id`` comes back on the answer."""

    request_id: str | int | None = None


class ListModels(Command, frozen=True, kw_only=True):
    """List the registry."""


class LoadModel(Command, frozen=True, kw_only=True):
    """Load a model and make it the one that serves."""

    model_id: str
    mode: LoadMode = "beside"


class UnloadModel(Command, frozen=True, kw_only=True):
    """End the worker of a model."""

    model_id: str


class GetStatus(Command, frozen=True, kw_only=True):
    """Report models, sessions, queue, lag and device."""


class StartRecording(Command, frozen=True, kw_only=True):
    """Start recording on every session of a channel."""

    channel: str | None = None
    session: str | None = None
    config: SessionOptions = SessionOptions()


class StopRecording(Command, frozen=True, kw_only=True):
    """Finalise every session of a channel; audio after it is ignored until the next start."""

    channel: str | None = None
    session: str | None = None


class Configure(Command, frozen=True, kw_only=True):
    """Change options of a session (audio socket) or of all sessions of the channel (control socket)."""

    options: SessionOptions


class Subscribe(Command, frozen=True, kw_only=True):
    """Move to another channel."""

    channel: str
    last_event_id: int | None = None
    """The newest final the client has; later ones of the channel are told again."""


class Ping(Command, frozen=True, kw_only=True):
    """Ask for a sign of life."""


class Authenticate(Command, frozen=True, kw_only=True):
    """Present a token as a message."""

    token: str


class AppendAudio(Command, frozen=True, kw_only=True):
    """A chunk of audio, as it came."""

    data: bytes
    encoding: str = "pcm16"
    sample_rate: int | None = None
    seq: int | None = None
    """Its number, where the client numbers its chunks: then it may send again what was not acknowledged."""


class AppendContainer(Command, frozen=True, kw_only=True):
    """A piece of a recording in a container, such as WebM, as it came."""

    data: bytes
    is_first: bool
    """Whether a new container begins here."""


class Resume(Command, frozen=True, kw_only=True):
    """Go on with a session whose connection broke."""

    session_id: str
    last_event_id: int | None = None
    """The newest final the client has; later ones are told again."""


class EndAudio(Command, frozen=True, kw_only=True):
    """The speaker is done: finalise."""


class ClearAudio(Command, frozen=True, kw_only=True):
    """Drop what was said since the last final and is not told yet; the recording goes on.

    What an earlier recording said is still told.
    """

    keeps_ended: bool = False
    """Whether segments that ended get their text all the same: then only the open one is dropped."""
