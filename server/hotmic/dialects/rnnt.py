"""The protocol of the RNN-T streaming server: commands as JSON, sound as bare PCM16, transcripts word by word."""

from collections.abc import Sequence

import msgspec

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import message as m
from hotmic.dialects import rnnt_answer as a
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, dump, options
from hotmic.dialects.said import Said
from hotmic.dialects.wish import Wish
from hotmic.values import SAMPLE_RATE, Word


class RnntConfig(m.ConfigFields, kw_only=True):
    """What ``start_recording`` may set."""

    interim_results: bool | None = None


class StartMessage(m.Message, kw_only=True, tag="start_recording"):
    """Start recording."""

    config: RnntConfig | None = None


class StopMessage(m.Message, kw_only=True, tag="stop_recording"):
    """Stop recording."""


RNNT_MESSAGES: tuple[type[m.Message], ...] = (
    StartMessage,
    StopMessage,
    m.ConfigureMessage,
    m.PingMessage,
    m.AuthenticateMessage,
)
_codec = Codec(RNNT_MESSAGES, ())
_SHARED = (e.Configured, e.ModelLoading, e.Ponged, e.Authenticated, e.WarningRaised, e.ErrorRaised)
"""What is told as the dual-socket protocol tells it; of all else, this protocol has its own word or none."""


class RnntDialect(Dialect):
    """Text that is stable comes at once, the rest with the final; clients may append every ``transcription``.

    Sound before the first start is taken. After a stop it is ignored until the next start, with one warning.

    Args:
        client_id: The name in the client's URL.
        sample_rate: Rate in hertz until a start names another.
    """

    name = "rnnt"
    is_greeted = True
    is_appended = True

    def __init__(self, *, client_id: str = "", sample_rate: int | None = None) -> None:
        self._client_id = client_id
        self._rate = sample_rate or SAMPLE_RATE
        self.options = c.SessionOptions(sample_rate=self._rate)
        self._said = Said()
        self._wants_interim = False
        self._has_begun = self._is_stopped = self._is_warned = self._is_starting = False
        self._segments, self._duration = 0, 0.0
        self._answers: list[e.Event] = []

    def session_name(self, wish: Wish) -> str:
        """Return the client's name, so that the status tells who speaks."""
        return wish.session or wish.client_id

    def parse(self, frame: Frame) -> Sequence[c.Command]:
        """Turn a frame into commands.

        Raises:
            PeerError: See ``Codec.decode``.
        """
        if isinstance(frame, bytes):
            return self._audio(frame)
        message = _codec.decode(frame)
        rid = message.request_id
        match message:
            case StartMessage(config=config):
                self._wants_interim = config is not None and config.interim_results is True
                self._has_begun = self._is_starting = True
                self._is_stopped = self._is_warned = False
                wishes = options(config)
                rate = wishes.sample_rate or self._rate
                return (c.Configure(request_id=rid, options=msgspec.structs.replace(wishes, sample_rate=rate)),)
            case StopMessage():
                self._is_stopped = True
                if self._has_begun:
                    return (c.EndAudio(request_id=rid),)
                self._answers.append(e.RecordingStopped(session_id="", channel="", request_id=rid))
                return ()
            case m.ConfigureMessage():
                self._has_begun = True
                return (c.Configure(request_id=rid, options=options(message)),)
            case m.AuthenticateMessage(token=token):
                return (c.Authenticate(request_id=rid, token=token),)
            case _:
                return (c.Ping(request_id=rid),)

    def _audio(self, frame: bytes) -> Sequence[c.Command]:
        if not self._is_stopped:
            self._has_begun = True
            return (c.AppendAudio(data=frame),)
        if not self._is_warned:
            self._is_warned = True
            message = "Recording was stopped; audio is ignored until the next start."
            self._answers.append(e.WarningRaised(code="paused", message=message))
        return ()

    def frames_to_send(self, *, timestamp: str) -> Sequence[Frame]:
        """Drain the answers that need nothing of the daemon, and say that recording has started."""
        answers, self._answers = self._answers, []
        frames = [frame for event in answers for frame in self.encode(event, timestamp=timestamp)]
        if self._is_starting:
            self._is_starting = False
            config = a.StartedConfig(interim_results=self._wants_interim)
            frames.append(msgspec.json.encode(a.StartedAnswer(config=config, timestamp=timestamp)))
        return frames

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into a text frame, none where this protocol has no word for it."""
        match event:
            case e.PartialTranscribed():
                return self._partial(event, timestamp)
            case e.FinalTranscribed():
                return self._final(event, timestamp)
            case e.Connected():
                return (msgspec.json.encode(self._connection(event, timestamp)),)
            case e.RecordingStopped():
                return (msgspec.json.encode(self._stopped(timestamp)),)
            case e.Configured() if self._is_starting:
                return ()
            case e.ErrorRaised():
                self._is_starting = False
        return dump(event, timestamp=timestamp) if isinstance(event, _SHARED) else ()

    def _connection(self, event: e.Connected, timestamp: str) -> a.ConnectionAnswer:
        return a.ConnectionAnswer(
            status="connected",
            client_id=self._client_id,
            server=event.server,
            version=event.version,
            timestamp=timestamp,
        )

    def _stopped(self, timestamp: str) -> a.StoppedAnswer:
        segments, duration = self._segments, round(self._duration, 3)
        self._segments, self._duration = 0, 0.0
        return a.StoppedAnswer(total_segments=segments, total_duration=duration, timestamp=timestamp)

    def _partial(self, event: e.PartialTranscribed, timestamp: str) -> list[Frame]:
        frames: list[Frame] = []
        if piece := self._said.partial(event).strip():
            answer = a.TranscriptionAnswer(
                text=piece,
                segment_id=event.segment_id,
                language=event.language,
                timestamp=timestamp,
                is_final=False,
                words=[],
            )
            frames.append(msgspec.json.encode(answer))
        if self._wants_interim:
            interim = a.PartialAnswer(
                text=event.text,
                segment_id=event.segment_id,
                language=event.language,
                timestamp=timestamp,
                is_final=False,
                unstable=event.unstable.strip(),
            )
            frames.append(msgspec.json.encode(interim))
        return frames

    def _final(self, event: e.FinalTranscribed, timestamp: str) -> list[Frame]:
        duration = event.end - event.start
        piece, _ = self._said.final(event)
        self._segments += 1
        self._duration += duration
        answer = a.TranscriptionAnswer(
            text=piece.strip(),
            segment_id=event.segment_id,
            language=event.language,
            timestamp=timestamp,
            is_final=True,
            words=[_word(word) for word in event.words],
            utterance=event.text,
            start=round(event.start, 3),
            end=round(event.end, 3),
            duration=round(duration, 3),
            processing_time_ms=round(event.processing * 1000),
        )
        return [msgspec.json.encode(answer)]


def _word(word: Word) -> a.HeardWord:
    return a.HeardWord(
        word=word.word.strip(),
        start=round(word.start, 3),
        end=round(word.end, 3),
        confidence=round(word.probability, 3),
    )
