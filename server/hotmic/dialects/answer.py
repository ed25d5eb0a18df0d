"""The JSON messages that the daemon says in the dual-socket protocol, as ``dual.encode`` writes them.

They describe the protocol to others (see ``catalogue``); a test reads every encoded event back through them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hotmic.dialects.message import RequestId
from hotmic.values import Denoise, ExitKind, ModelState, PolicyName, Task, VadProfile

Timestamp = Annotated[str, Meta(description="ISO 8601, UTC", examples=["2026-01-31T12:00:00.000Z"])]
Seconds = Annotated[float, Meta(description="seconds")]
Milliseconds = Annotated[int, Meta(description="milliseconds")]
Count = dict[str, int]


class Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of what stands inside a message."""


class Answer(Part, kw_only=True):
    """Base of what the daemon says; on the answer to a request that carried one, ``request_id`` comes back."""

    request_id: RequestId | UnsetType = UNSET


class ModelRow(Part, kw_only=True):
    """A model of the registry."""

    id: str
    name: str
    type: str
    language: str
    languages: list[str]
    description: str
    performance_tier: str
    recommended: bool
    vram_gb: float
    state: ModelState | UnsetType = UNSET
    notice: str | UnsetType = UNSET
    phrases: list[str] | UnsetType = UNSET


class LastExit(Part, kw_only=True):
    """How a worker ended."""

    reason: ExitKind
    message: str
    ago_s: Seconds


class ModelReport(Part, kw_only=True):
    """A model that has a worker, or had one."""

    model_id: str
    state: ModelState
    device: str
    compute_type: str
    load_seconds: Seconds
    restarts: int
    sessions: int
    reason: str | UnsetType = UNSET
    last_exit: LastExit | UnsetType = UNSET


class WarningRow(Part, kw_only=True):
    """A warning that still holds."""

    code: str
    message: str


class WordRow(Part, kw_only=True):
    """A word of a final."""

    word: str
    start: Seconds
    end: Seconds
    probability: float


class ConnectedAnswer(Answer, kw_only=True, tag="connected"):
    """The greeting of the control socket; `message` and `model` are for clients of live captions, at its path `/`."""

    server: str
    version: str
    current_model: str | None
    event_id: int
    timestamp: Timestamp
    message: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    notice: str | UnsetType = UNSET
    phrases: list[str] | UnsetType = UNSET
    recorded: bool | UnsetType = UNSET


class AvailableModelsAnswer(Answer, kw_only=True, tag="available_models"):
    """The registry."""

    models: list[ModelRow]
    default: str
    current_model: str | None


class ModelLoadingAnswer(Answer, kw_only=True, tag="model_loading"):
    """A model is on its way."""

    model_id: str
    progress: float
    stage: Literal["downloading", "starting", "loading", "warming", "serving"]


class ModelLoadedAnswer(Answer, kw_only=True, tag="model_loaded"):
    """A model serves."""

    model_id: str
    status: Literal["success"]
    load_seconds: Seconds
    notice: str | UnsetType = UNSET
    phrases: list[str] | UnsetType = UNSET


class ModelUnloadedAnswer(Answer, kw_only=True, tag="model_unloaded"):
    """A model's worker has ended."""

    model_id: str


class WorkerEndedAnswer(Answer, kw_only=True, tag="worker_ended"):
    """A worker ended that was not told to."""

    model_id: str
    reason: ExitKind
    message: str
    restarts: int
    timestamp: Timestamp


class ModelsChangedAnswer(Answer, kw_only=True, tag="models_changed"):
    """models.yaml was edited."""

    models: list[str]
    problem: str | UnsetType = UNSET


class StatusAnswer(Answer, kw_only=True, tag="status"):
    """How the daemon is."""

    server: str
    version: str
    uptime_s: Seconds
    current_model: str | None
    models: list[ModelReport]
    sessions: int
    queue: Count
    cadence_ms: Milliseconds
    recorded: bool
    warnings: list[WarningRow]
    timestamp: Timestamp


class ConfiguredAnswer(Answer, kw_only=True, tag="configured"):
    """The options in force, those that were ever chosen."""

    model: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    task: Task | UnsetType = UNSET
    vad: VadProfile | UnsetType = UNSET
    wire_silence_ms: Milliseconds | UnsetType = UNSET
    denoise: Denoise | UnsetType = UNSET
    hotwords: list[str] | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    beam: int | UnsetType = UNSET
    fallback: bool | UnsetType = UNSET
    alternatives: int | UnsetType = UNSET
    min_silence_ms: Milliseconds | UnsetType = UNSET
    pre_roll_ms: Milliseconds | UnsetType = UNSET
    vad_threshold: float | UnsetType = UNSET
    policy: PolicyName | UnsetType = UNSET
    sample_rate: int | UnsetType = UNSET


class SubscribedAnswer(Answer, kw_only=True, tag="subscribed"):
    """Another channel is heard from now on."""

    channel: str


class PongAnswer(Answer, kw_only=True, tag="pong"):
    """A sign of life."""

    timestamp: Timestamp


class AuthenticatedAnswer(Answer, kw_only=True, tag="authenticated"):
    """The token is accepted."""

    scopes: list[str]


class SessionAnswer(Answer, kw_only=True):
    """Base of what concerns one session."""

    session_id: str
    channel: str
    timestamp: Timestamp
    recorded: bool | UnsetType = UNSET


class RecordingStartedAnswer(SessionAnswer, kw_only=True, tag="recording_started"):
    """A session takes audio."""


class RecordingStoppedAnswer(SessionAnswer, kw_only=True, tag="recording_stopped"):
    """Everything that was said has come out as finals."""


class AckAnswer(Answer, kw_only=True, tag="ack"):
    """Everything up to a chunk is settled."""

    session_id: str
    seq: int


class ResumedAnswer(Answer, kw_only=True, tag="resumed"):
    """A speaker has its session back."""

    session_id: str
    channel: str
    next_seq: int
    timestamp: Timestamp


class AudioClearedAnswer(SessionAnswer, kw_only=True, tag="audio_cleared"):
    """What was said and not told yet is dropped."""

    segment_ids: list[str]


class SpeechStartedAnswer(SessionAnswer, kw_only=True, tag="speech_started"):
    """A segment opened."""

    segment_id: str
    start: Seconds


class SpeechEndedAnswer(SessionAnswer, kw_only=True, tag="speech_ended"):
    """A segment closed; its final follows."""

    segment_id: str
    start: Seconds
    end: Seconds


class RealtimeTranscriptionAnswer(SessionAnswer, kw_only=True, tag="realtime_transcription"):
    """Text of an open segment; empty text withdraws what was shown."""

    text: str
    is_final: Literal[False]
    segment_id: str
    stable: str
    unstable: str
    language: str
    lag_ms: Milliseconds
    cadence_ms: Milliseconds


class FinalTranscriptionAnswer(SessionAnswer, kw_only=True, tag="final_transcription"):
    """Text of a closed segment."""

    text: str
    duration: Seconds
    processing_time: Seconds
    speed_ratio: float
    model: str
    is_final: Literal[True]
    segment_id: str
    start: Seconds
    end: Seconds
    words: list[WordRow]
    language: str
    event_id: int
    lag_ms: Milliseconds
    revised: bool
    alternatives: list[str] | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class ErrorAnswer(Answer, kw_only=True, tag="error"):
    """A request or a segment failed; the codes are in docs/protocol.md."""

    code: str
    message: str
    retryable: bool
    retry_after_ms: Milliseconds | UnsetType = UNSET
    log_id: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    segment_id: str | UnsetType = UNSET
    start: Seconds | UnsetType = UNSET
    end: Seconds | UnsetType = UNSET


class WarningAnswer(Answer, kw_only=True, tag="warning"):
    """Something a person should know; nothing failed."""

    code: str
    message: str
    timestamp: Timestamp
    retry_after_ms: Milliseconds | UnsetType = UNSET
    session_id: str | UnsetType = UNSET


AUDIO_ANSWERS: tuple[type[Answer], ...] = (
    RealtimeTranscriptionAnswer,
    FinalTranscriptionAnswer,
    SpeechStartedAnswer,
    SpeechEndedAnswer,
    RecordingStartedAnswer,
    RecordingStoppedAnswer,
    AudioClearedAnswer,
    AckAnswer,
    ResumedAnswer,
    ModelLoadingAnswer,
    ConfiguredAnswer,
    SubscribedAnswer,
    PongAnswer,
    AuthenticatedAnswer,
    WarningAnswer,
    ErrorAnswer,
)
CONTROL_ANSWERS: tuple[type[Answer], ...] = (
    ConnectedAnswer,
    AvailableModelsAnswer,
    ModelLoadingAnswer,
    ModelLoadedAnswer,
    ModelUnloadedAnswer,
    ModelsChangedAnswer,
    WorkerEndedAnswer,
    StatusAnswer,
    ConfiguredAnswer,
    SubscribedAnswer,
    PongAnswer,
    AuthenticatedAnswer,
    RecordingStartedAnswer,
    RecordingStoppedAnswer,
    AudioClearedAnswer,
    SpeechStartedAnswer,
    SpeechEndedAnswer,
    RealtimeTranscriptionAnswer,
    FinalTranscriptionAnswer,
    WarningAnswer,
    ErrorAnswer,
)
