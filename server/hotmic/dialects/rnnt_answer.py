"""What clients of the RNN-T streaming server hear; ``rnnt`` says it with these."""

from typing import Literal

from msgspec import UNSET, UnsetType

from hotmic.dialects.answer import (
    AuthenticatedAnswer,
    ConfiguredAnswer,
    ErrorAnswer,
    Milliseconds,
    ModelLoadingAnswer,
    Part,
    PongAnswer,
    Seconds,
    Timestamp,
    WarningAnswer,
)


class ConnectionAnswer(Part, kw_only=True, tag="connection"):
    """The greeting."""

    status: Literal["connected"]
    client_id: str
    server: str
    version: str
    timestamp: Timestamp


class StartedConfig(Part, kw_only=True):
    """What a start chose."""

    interim_results: bool


class StartedAnswer(Part, kw_only=True, tag="recording_started"):
    """Sound is taken."""

    config: StartedConfig
    timestamp: Timestamp


class StoppedAnswer(Part, kw_only=True, tag="recording_stopped"):
    """Everything that was said has come out."""

    total_segments: int
    total_duration: Seconds
    timestamp: Timestamp


class HeardWord(Part, kw_only=True):
    """A word of an utterance."""

    word: str
    start: Seconds
    end: Seconds
    confidence: float


class TranscriptionAnswer(Part, kw_only=True, tag="transcription"):
    """Text that was not said before; the final of an utterance has its words and the optional fields."""

    text: str
    segment_id: str
    language: str
    timestamp: Timestamp
    is_final: bool
    words: list[HeardWord]
    utterance: str | UnsetType = UNSET
    start: Seconds | UnsetType = UNSET
    end: Seconds | UnsetType = UNSET
    duration: Seconds | UnsetType = UNSET
    processing_time_ms: Milliseconds | UnsetType = UNSET


class PartialAnswer(Part, kw_only=True, tag="partial"):
    """The whole open utterance, in place of the one before; empty text withdraws it."""

    text: str
    segment_id: str
    language: str
    timestamp: Timestamp
    is_final: Literal[False]
    unstable: str


RNNT_ANSWERS: tuple[type[Part], ...] = (
    ConnectionAnswer,
    StartedAnswer,
    StoppedAnswer,
    TranscriptionAnswer,
    PartialAnswer,
    ConfiguredAnswer,
    ModelLoadingAnswer,
    PongAnswer,
    AuthenticatedAnswer,
    WarningAnswer,
    ErrorAnswer,
)
