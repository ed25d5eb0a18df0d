"""What clients of the live caption server hear; ``live_caption`` says it with these."""

from hotmic.dialects.answer import (
    AuthenticatedAnswer,
    ConnectedAnswer,
    ErrorAnswer,
    Part,
    PongAnswer,
    Seconds,
    Timestamp,
)


class CaptionAnswer(Part, kw_only=True, tag="transcription"):
    """Text that was not said before, and the sound that came since the last."""

    text: str
    duration: Seconds
    processing_time: Seconds
    rtf: float
    timestamp: Timestamp


class BufferingAnswer(Part, kw_only=True, tag="buffering"):
    """There is no new text yet."""

    buffered: Seconds
    needed: Seconds


CAPTION_ANSWERS: tuple[type[Part], ...] = (
    ConnectedAnswer,
    CaptionAnswer,
    BufferingAnswer,
    PongAnswer,
    AuthenticatedAnswer,
    ErrorAnswer,
)
