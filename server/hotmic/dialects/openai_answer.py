"""What clients of OpenAI's realtime transcription hear; ``openai_realtime`` says it with these."""

from typing import Literal

from msgspec import UNSET, UnsetType

from hotmic.dialects.answer import Milliseconds, Part, Seconds
from hotmic.dialects.openai_message import AudioFormat, Include, NoiseReductionType, OldFormat

ErrorKind = Literal["invalid_request_error", "server_error", "rate_limit_error"]


class TranscriptionShown(Part, kw_only=True):
    """How a session transcribes."""

    model: str | None
    language: str | None
    prompt: str
    keywords: list[str] | UnsetType = UNSET


class TurnDetectionShown(Part, kw_only=True, tag="server_vad"):
    """When an item ends by itself."""

    threshold: float
    prefix_padding_ms: Milliseconds
    silence_duration_ms: Milliseconds


class NoiseReductionShown(Part, kw_only=True):
    """How far the microphone is."""

    type: NoiseReductionType


class AudioInputShown(Part, kw_only=True):
    """The speaker's side."""

    format: AudioFormat
    transcription: TranscriptionShown
    turn_detection: TurnDetectionShown | None
    noise_reduction: NoiseReductionShown | None


class AudioShown(Part, kw_only=True):
    """Both sides; there is only one."""

    input: AudioInputShown


class SessionShown(Part, kw_only=True, tag="transcription"):
    """The configuration in force."""

    id: str
    object: Literal["realtime.transcription_session"]
    audio: AudioShown
    include: Include


class OldSessionShown(Part, kw_only=True):
    """The same, as the beta of the protocol wrote it."""

    id: str
    object: Literal["realtime.transcription_session"]
    input_audio_format: OldFormat
    input_audio_transcription: TranscriptionShown
    turn_detection: TurnDetectionShown | None
    input_audio_noise_reduction: NoiseReductionShown | None
    include: Include


class ItemContent(Part, kw_only=True, tag="input_audio"):
    """The sound of an item; its text comes in events of its own."""

    transcript: None


class ItemShown(Part, kw_only=True, tag="message"):
    """A turn of the speaker."""

    id: str
    object: Literal["realtime.item"]
    status: Literal["completed"]
    role: Literal["user"]
    content: list[ItemContent]


class Usage(Part, kw_only=True, tag="duration"):
    """How much sound was transcribed."""

    seconds: Seconds


class Logprob(Part, kw_only=True):
    """How sure the model is of a word."""

    token: str
    bytes: list[int]
    logprob: float


class ErrorDetails(Part, kw_only=True):
    """What went wrong; ``event_id`` is the client's name for its frame."""

    type: ErrorKind
    code: str
    message: str
    param: str | None
    event_id: str | None


class ServerEvent(Part, kw_only=True):
    """Base of what a client hears."""

    event_id: str


class SessionCreated(ServerEvent, kw_only=True, tag="session.created"):
    """The greeting."""

    session: SessionShown


class SessionUpdated(ServerEvent, kw_only=True, tag="session.updated"):
    """A change is in force."""

    session: SessionShown


class OldSessionUpdated(ServerEvent, kw_only=True, tag="transcription_session.updated"):
    """The same in the beta."""

    session: OldSessionShown


class SpeechStarted(ServerEvent, kw_only=True, tag="input_audio_buffer.speech_started"):
    """Somebody speaks; only with turn detection."""

    audio_start_ms: Milliseconds
    item_id: str


class SpeechStopped(ServerEvent, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """A turn is over; only with turn detection."""

    audio_end_ms: Milliseconds
    item_id: str


class Committed(ServerEvent, kw_only=True, tag="input_audio_buffer.committed"):
    """What was said is an item; its text follows."""

    previous_item_id: str | None
    item_id: str


class Cleared(ServerEvent, kw_only=True, tag="input_audio_buffer.cleared"):
    """What was said since the last item is dropped."""


class ItemAdded(ServerEvent, kw_only=True, tag="conversation.item.added"):
    """There is an item."""

    previous_item_id: str | None
    item: ItemShown


class ItemDone(ServerEvent, kw_only=True, tag="conversation.item.done"):
    """All of the item's sound is there."""

    previous_item_id: str | None
    item: ItemShown


class ItemEvent(ServerEvent, kw_only=True):
    """Base of what is told of an item's text."""

    item_id: str
    content_index: Literal[0]


class Delta(ItemEvent, kw_only=True, tag="conversation.item.input_audio_transcription.delta"):
    """Stable text, to append to the deltas before it."""

    delta: str


class Completed(ItemEvent, kw_only=True, tag="conversation.item.input_audio_transcription.completed"):
    """The text of an item, which is the truth."""

    transcript: str
    usage: Usage
    logprobs: list[Logprob] | UnsetType = UNSET


class Failed(ItemEvent, kw_only=True, tag="conversation.item.input_audio_transcription.failed"):
    """An item could not be transcribed."""

    error: ErrorDetails


class ErrorEvent(ServerEvent, kw_only=True, tag="error"):
    """A frame or a part of an item failed; the connection stays open."""

    error: ErrorDetails


SERVER_EVENTS: tuple[type[ServerEvent], ...] = (
    SessionCreated,
    SessionUpdated,
    OldSessionUpdated,
    SpeechStarted,
    SpeechStopped,
    Committed,
    Cleared,
    ItemAdded,
    ItemDone,
    Delta,
    Completed,
    Failed,
    ErrorEvent,
)
