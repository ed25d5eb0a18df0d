"""The protocol of the RNN-T streaming server: commands as JSON, sound as bare PCM16, transcripts word by word."""

from collections.abc import Sequence
from typing import Any

import msgspec

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import message as m
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import Codec, dump, options
from hotmic.dialects.said import Said
from hotmic.dialects.wish import Wish
from hotmic.values import SAMPLE_RATE


class RnntConfig(m.ConfigFields, kw_only=True):
    """What ``start_recording`` may set."""

    interim_results: bool | None = None


class StartMessage(m.Message, kw_only=True, tag="start_recording"):
    """Start recording."""

    config: RnntConfig | None = None


class StopMessage(m.Message, kw_only=True, tag="stop_recording"):
    """Stop recording."""


_codec = Codec((StartMessage, StopMessage, m.ConfigureMessage, m.PingMessage, m.AuthenticateMessage), ())
_SILENT = (e.RecordingStarted, e.SpeechStarted, e.SpeechEnded, e.Acknowledged)
"""What this protocol has no word for; ``recording_started`` answers the client's own wish."""


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
            config = {"interim_results": self._wants_interim}
            frames += _json({"type": "recording_started", "config": config, "timestamp": timestamp})
        return frames

    def encode(self, event: e.Event, *, timestamp: str) -> Sequence[Frame]:
        """Turn an event into a text frame, none where this protocol has no word for it."""
        match event:
            case e.PartialTranscribed():
                return self._partial(event, timestamp)
            case e.FinalTranscribed():
                return self._final(event, timestamp)
            case e.Connected():
                body = {"type": "connection", "status": "connected", "client_id": self._client_id}
                return _json(body | {"server": event.server, "version": event.version, "timestamp": timestamp})
            case e.RecordingStopped():
                totals = {"total_segments": self._segments, "total_duration": round(self._duration, 3)}
                self._segments, self._duration = 0, 0.0
                return _json({"type": "recording_stopped", **totals, "timestamp": timestamp})
            case e.Configured() if self._is_starting:
                return ()
            case e.ErrorRaised():
                self._is_starting = False
        return () if isinstance(event, _SILENT) else dump(event, timestamp=timestamp)

    def _partial(self, event: e.PartialTranscribed, timestamp: str) -> list[Frame]:
        frames = []
        if piece := self._said.partial(event).strip():
            frames += _json(self._transcription(piece, event, timestamp) | {"is_final": False, "words": []})
        if self._wants_interim:
            interim = self._transcription(event.text, event, timestamp) | {"type": "partial", "is_final": False}
            frames += _json(interim | {"unstable": event.unstable.strip()})
        return frames

    def _final(self, event: e.FinalTranscribed, timestamp: str) -> list[Frame]:
        duration = event.end - event.start
        piece, _ = self._said.final(event)
        body = self._transcription(piece.strip(), event, timestamp) | {
            "is_final": True,
            "utterance": event.text,
            "words": [
                {
                    "word": word.word.strip(),
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                    "confidence": round(word.probability, 3),
                }
                for word in event.words
            ],
            "start": round(event.start, 3),
            "end": round(event.end, 3),
            "duration": round(duration, 3),
            "processing_time_ms": round(event.processing * 1000),
        }
        self._segments += 1
        self._duration += duration
        return _json(body)

    def _transcription(
        self, text: str, event: e.PartialTranscribed | e.FinalTranscribed, timestamp: str
    ) -> dict[str, Any]:
        return {
            "type": "transcription",
            "text": text,
            "segment_id": event.segment_id,
            "language": event.language,
            "timestamp": timestamp,
        }


def _json(body: dict[str, Any]) -> list[Frame]:
    return [msgspec.json.encode(body)]
