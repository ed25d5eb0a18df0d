"""What the daemon may say. Positions and durations are seconds; wire names and milliseconds live in the dialects."""

from typing import Any

from hotmic.values import ExitKind, Value, Word


class Event(Value, frozen=True, kw_only=True, tag=True):
    """Anything the daemon says; ``request_id`` is set on the answer to a command that carried one."""

    request_id: str | int | None = None


class Connected(Event, frozen=True, kw_only=True):
    """A control connection stands."""

    server: str
    version: str
    current_model: str | None
    notice: str = ""
    """What a limited model knows, in a sentence; empty for a full model."""
    phrases: tuple[str, ...] = ()
    event_id: int = 0
    """The newest final there is: what comes after it is for this client."""
    recorded: bool = False
    """Whether sessions are recorded to disk."""


class ModelsListed(Event, frozen=True, kw_only=True):
    """The registry, one plain mapping per model."""

    models: tuple[dict[str, Any], ...]
    default: str
    current_model: str | None


class ModelLoading(Event, frozen=True, kw_only=True):
    """A model is on its way to serving."""

    model_id: str
    progress: float
    stage: str


class ModelLoaded(Event, frozen=True, kw_only=True):
    """A model serves."""

    model_id: str
    load_seconds: float
    notice: str = ""
    phrases: tuple[str, ...] = ()


class ModelUnloaded(Event, frozen=True, kw_only=True):
    """A model's worker has ended."""

    model_id: str


class WorkerEnded(Event, frozen=True, kw_only=True):
    """A model's worker ended that was not told to; its jobs wait for the next one."""

    model_id: str
    kind: ExitKind
    message: str
    restarts: int


class ModelsChanged(Event, frozen=True, kw_only=True):
    """models.yaml was edited; ``problem`` says why a broken edit was not taken."""

    model_ids: tuple[str, ...]
    problem: str = ""


class StatusReported(Event, frozen=True, kw_only=True):
    """The state of the daemon as a plain mapping."""

    status: dict[str, Any]


class Configured(Event, frozen=True, kw_only=True):
    """Options are in force."""

    options: dict[str, Any]


class Subscribed(Event, frozen=True, kw_only=True):
    """The connection hears another channel."""

    channel: str


class Ponged(Event, frozen=True, kw_only=True):
    """A sign of life."""


class Authenticated(Event, frozen=True, kw_only=True):
    """A token presented as a message was accepted."""

    scopes: tuple[str, ...]


class ContainerDecoded(Event, frozen=True, kw_only=True):
    """Sound came out of a container; for the speaker alone."""

    seconds: float


class ContainerEnded(Event, frozen=True, kw_only=True):
    """Of the open container nothing more will be heard, however much of it comes; for the speaker alone."""


class SessionEvent(Event, frozen=True, kw_only=True):
    """Something that happened in one session; heard by its channel."""

    session_id: str
    channel: str
    recorded: bool = False
    """Whether the session is being recorded to disk."""


class Resumed(Event, frozen=True, kw_only=True):
    """A speaker has its session back."""

    session_id: str
    channel: str
    next_seq: int
    """The chunk that is due."""


class Acknowledged(SessionEvent, frozen=True, kw_only=True):
    """Everything up to a chunk is in finals that were told, or silence; for the speaker alone."""

    seq: int


class RecordingStarted(SessionEvent, frozen=True, kw_only=True):
    """A session takes audio; ``is_controlled`` once a controller started or stopped it."""

    is_controlled: bool = False


class RecordingStopped(SessionEvent, frozen=True, kw_only=True):
    """All that was said in the recording has come out as finals."""

    is_controlled: bool = False


class AudioCleared(SessionEvent, frozen=True, kw_only=True):
    """What was said and not told yet is dropped."""

    segment_ids: tuple[str, ...]
    """Segments of which no final will come."""


class SpeechStarted(SessionEvent, frozen=True, kw_only=True):
    """A segment opened."""

    segment_id: str
    start: float


class SpeechEnded(SessionEvent, frozen=True, kw_only=True):
    """A segment closed; its final follows."""

    segment_id: str
    start: float
    end: float


class PartialTranscribed(SessionEvent, frozen=True, kw_only=True):
    """Real-time text of an open segment; empty text withdraws what was shown."""

    segment_id: str
    text: str
    stable: str
    unstable: str
    language: str
    lag: float
    cadence: float
    """Seconds between two partials under the present load."""


class FinalTranscribed(SessionEvent, frozen=True, kw_only=True):
    """The text of a closed segment."""

    segment_id: str
    event_id: int = 0
    """Grows from final to final, across restarts of the daemon too."""
    text: str
    words: tuple[Word, ...]
    language: str
    model_id: str
    start: float
    end: float
    processing: float
    """Decoding time."""
    lag: float
    """From the endpoint to the final."""
    revised: bool = False
    """Whether words shown as stable were changed."""
    alternatives: tuple[str, ...] = ()
    """Other readings, best first, for sessions that asked for them."""
    seq: int | None = None
    """With this final everything up to this chunk is settled; ``None`` where chunks are not numbered."""


class NothingTranscribed(SessionEvent, frozen=True, kw_only=True):
    """A closed segment has no text after all, or could not be decoded: no final of it will come."""

    segment_id: str


class ErrorRaised(Event, frozen=True, kw_only=True):
    """A request failed, or a segment did; ``session_id`` empty means it concerns the asker alone."""

    code: str
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None
    log_id: str = ""
    model_id: str = ""
    session_id: str = ""
    segment_id: str = ""
    start: float | None = None
    end: float | None = None


class WarningRaised(Event, frozen=True, kw_only=True):
    """Something a person should know; nothing failed."""

    code: str
    message: str
    retry_after_ms: int | None = None
    session_id: str = ""
