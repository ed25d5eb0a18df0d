"""The protocol of a live caption server: binary sound in, one JSON answer to each frame.

Its clients send a frame and wait for one answer, or send without waiting and read whatever comes. Both are served: a
frame that comes while the answer to the one before waits for a text lets that answer go at once.
"""

from collections.abc import Sequence

import msgspec

from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.blob import BlobReader, Container, Pcm
from hotmic.dialects import live_caption_answer as a
from hotmic.dialects import message as m
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, Json, dump, encode
from hotmic.dialects.said import Said
from hotmic.policies.joining import gap
from hotmic.values import SAMPLE_RATE, Task

READY = "WebSocket transcription server ready"
ANSWER_WITHIN, OPEN_WITHIN = 10.0, 2.0
"""Seconds in which a frame is answered whose text is being made, and one that begins a container."""
QUIET = 1.5
"""Chunks' lengths without a frame after which the client counts as silent: it may send one whole chunk at a time."""


class ConfigMessage(m.Message, kw_only=True, tag="config"):
    """Choose language and task."""

    language: m.Language | None = None
    task: Task | None = None


class ClearBufferMessage(m.Message, kw_only=True, tag="clear_buffer"):
    """Drop the sound that was not transcribed yet."""


CAPTION_MESSAGES: tuple[type[m.Message], ...] = (
    ConfigMessage,
    ClearBufferMessage,
    m.PingMessage,
    m.AuthenticateMessage,
)
_codec = Codec(CAPTION_MESSAGES, ())


class LiveCaptionDialect(Dialect):
    """Every word once, in the answer to the next frame.

    A frame is answered at once: by ``transcription`` if there are words that were not told, by ``error``, or else by
    ``buffering``. Two answers wait, as long as no further frame comes: to a frame that ended an utterance, for its
    text, and to one that begins a container, for whether it can be read. So a client that sends a file as fast as it is
    answered hears all of it. Words that come while the client says nothing are told unasked.

    Args:
        sample_rate: Hertz of sound without a header, where the URL named them.
        chunk: Seconds that ``buffering`` calls needed, and the longest frames that clients send while they record.
        least: Seconds of sound that must have come since the last text before words of an open utterance are told.
    """

    name = "live_caption"
    is_greeted = True
    is_appended = True

    def __init__(self, *, sample_rate: int | None = None, chunk: float = 2.0, least: float = 0.5) -> None:
        self._chunk, self._least = chunk, least
        self.options = c.SessionOptions(wire_silence_ms=round(1000 * QUIET * chunk))
        self._blobs = BlobReader(rate=sample_rate or SAMPLE_RATE)
        self._said = Said()
        self._text, self._processing, self._is_ripe = "", 0.0, False
        self._sound = 0.0
        """Seconds since the last text."""
        self._is_speaking = False
        self._ended: set[str] = set()
        """Segments that are over and whose text has not come."""
        self._is_opening = False
        """Whether a container has begun of which nothing was heard yet."""
        self._owes, self._owes_earlier = False, False
        """Whether the newest frame waits for its answer, and the one before it."""
        self._is_handling = False
        """Whether the newest frame is still being carried out."""

    # what comes

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into commands.

        Raises:
            PeerError: See ``Codec.decode`` and ``BlobReader.receive``.
        """
        self._owes_earlier, self._owes = self._owes_earlier or self._owes, isinstance(frame, bytes)
        self._is_handling = True
        if isinstance(frame, bytes):
            return self._append(frame)
        message = _codec.decode(frame)
        match message:
            case ConfigMessage(language=language, task=task):
                options = c.SessionOptions(language=language, task=task)
                return (c.Configure(request_id=message.request_id, options=options),)
            case ClearBufferMessage():
                self._blobs.clear()
                self._forget()
                return (c.ClearAudio(request_id=message.request_id),)
            case m.AuthenticateMessage(token=token):
                return (c.Authenticate(request_id=message.request_id, token=token),)
            case _:
                return (c.Ping(request_id=message.request_id),)

    def _append(self, frame: bytes) -> Sequence[c.Command]:
        match self._blobs.receive(frame):
            case Container(data=data, is_first=is_first):
                self._is_opening = self._is_opening or is_first
                return (c.AppendContainer(data=data, is_first=is_first),)
            case Pcm(data=data, rate=rate):
                self._sound += len(data) / 2 / rate
                return (c.AppendAudio(data=data, sample_rate=rate),) if data else ()

    def _forget(self) -> None:
        self._text, self._processing, self._sound, self._is_ripe = "", 0.0, 0.0, False

    # what goes

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into frames; most only change what is answered next."""
        match event:
            case e.Connected():
                return (greeting(event, timestamp),)
            case e.ErrorRaised():
                return self._encode_error(event, timestamp)
            case e.Ponged() | e.Authenticated():
                return dump(event, timestamp=timestamp)
            case e.PartialTranscribed(lag=lag):
                self._hear(self._said.partial(event), lag)
            case e.FinalTranscribed(segment_id=segment_id, processing=processing):
                self._hear(self._said.final(event)[0], processing)
                self._is_ripe = True
                self._ended.discard(segment_id)
            case e.SpeechStarted():
                self._is_speaking = True
            case e.SpeechEnded(segment_id=segment_id):
                self._is_speaking = False
                self._ended.add(segment_id)
            case e.NothingTranscribed(segment_id=segment_id):
                self._ended.discard(segment_id)
            case e.AudioCleared(segment_ids=segment_ids):
                self._ended.difference_update(segment_ids)
                self._is_speaking = False
            case e.ContainerEnded():
                self._blobs.fail()
                self._is_opening = False
            case e.ContainerDecoded(seconds=seconds):
                self._is_opening = False
                self._sound += seconds
            case _:
                return ()
        return () if self._is_handling or self._waits else self._due(timestamp)

    def frames_to_send(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain the answer to the frame that was just carried out, unless it waits for a text."""
        self._is_handling = False
        return self._late(timestamp) if self._waits else self._due(timestamp)

    @property
    def patience(self) -> float | None:
        """Seconds for which an answer, or words that no frame asked for, may wait."""
        if self._owes:
            return OPEN_WITHIN if self._is_opening else ANSWER_WITHIN
        return QUIET * self._chunk if self._text else None

    def overdue_frames(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain what has waited long enough."""
        if not self._owes:
            return (self._transcription(timestamp),) if self._text else ()
        self._is_opening = False
        self._ended.clear()
        return self._due(timestamp)

    @property
    def _waits(self) -> bool:
        """Whether an answer to the newest frame is better given a moment later."""
        return self._is_opening or (bool(self._ended) and not self._is_speaking)

    def _hear(self, piece: str, seconds: float) -> None:
        self._text += gap(self._text, piece) + piece
        self._processing += seconds if piece else 0.0

    def _encode_error(self, event: e.ErrorRaised, timestamp: str) -> Sequence[Frame]:
        self._ended.discard(event.segment_id)
        self._is_opening = False
        frames = (*self._late(timestamp), *dump(event, timestamp=timestamp))
        self._owes = False
        return frames

    def _late(self, timestamp: str) -> Sequence[Frame]:
        """Return the answer to the frame before the newest, if that one has none."""
        if not self._owes_earlier:
            return ()
        self._owes_earlier = False
        return (self._answer(timestamp),)

    def _due(self, timestamp: str) -> Sequence[Frame]:
        late = self._late(timestamp)
        if not self._owes:
            return late
        self._owes = False
        return (*late, self._answer(timestamp))

    def _answer(self, timestamp: str) -> Frame:
        if self._text and (self._is_ripe or self._sound >= self._least):
            return self._transcription(timestamp)
        # Without speech there is nothing to wait for, and the sound grows past what is needed.
        buffered = min(self._sound, self._chunk)
        return msgspec.json.encode(a.BufferingAnswer(buffered=round(buffered, 3), needed=self._chunk))

    def _transcription(self, timestamp: str) -> Frame:
        text, processing, duration = self._text.strip(), self._processing, self._sound
        self._forget()
        answer = a.CaptionAnswer(
            text=text,
            duration=round(duration, 3),
            processing_time=round(processing, 3),
            rtf=round(processing / duration, 3) if duration else 0.0,
            timestamp=timestamp,
        )
        return msgspec.json.encode(answer)


def greeting(event: e.Connected, timestamp: str) -> bytes:
    """Return the first message, with the fields of this protocol and of the control socket that may share its port."""
    body: Json = encode(event, timestamp) or {}
    return msgspec.json.encode(body | {"message": READY, "model": event.current_model or ""})
