"""What the control and the audio socket share: JSON objects with a ``type``, and how events look as such."""

from functools import singledispatch
from typing import Any

import msgspec

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import message as m
from hotmic.dialects.complaint import complain
from hotmic.dialects.dialect import Frame
from hotmic.errors import BadAudio, BadField, BadMessage, InvalidJson, UnknownType, WrongSocket
from hotmic.values import Word

Json = dict[str, Any]

_encoder = msgspec.json.Encoder()


class Codec:
    """Decoder of one socket's messages.

    Args:
        accepted: The messages of this socket.
        elsewhere: Messages that are right on the other socket, for a helpful error.
    """

    def __init__(self, accepted: tuple[type[m.Message], ...], elsewhere: tuple[type[m.Message], ...]) -> None:
        union: Any = accepted[0]
        for message in accepted[1:]:
            union = union | message
        self._decoder = msgspec.json.Decoder(union)
        self._accepted = {str(msg.__struct_config__.tag): msg for msg in accepted}
        self._elsewhere = {str(msg.__struct_config__.tag) for msg in elsewhere} - self._accepted.keys()

    def decode(self, frame: Frame) -> Any:
        """Return the message of a text frame.

        Raises:
            InvalidJson: Not a JSON object.
            UnknownType: A ``type`` nobody knows.
            WrongSocket: A ``type`` of the other socket.
            BadAudio: Audio that is not base64.
            BadField: A missing or wrong field; the message names it.
        """
        try:
            try:
                return self._decoder.decode(frame)
            except msgspec.ValidationError as error:
                raise self._explain(frame, error) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidJson("The message is not valid JSON.") from error
        except RecursionError as error:
            raise InvalidJson("The message is nested too deeply.") from error

    def _explain(self, frame: Frame, error: msgspec.ValidationError) -> BadMessage:
        whole = msgspec.json.decode(frame)
        if not isinstance(whole, dict):
            return InvalidJson("The message is not a JSON object.")
        kind = whole.get("type")
        if not isinstance(kind, str):
            return BadField("The field 'type' is missing or not a string.")
        if kind in self._elsewhere:
            return WrongSocket(f"'{kind}' belongs on the other socket.")
        if kind not in self._accepted:
            return UnknownType(f"Unknown message type '{kind[:64]}'. Known: {', '.join(self._accepted)}.")
        field, sentence = complain(error, self._accepted[kind])
        if field == "data" and "base64" in str(error):
            return BadAudio("The field 'data' is not valid base64.")
        return BadField(sentence)


def request_id(frame: Frame) -> str | int | None:
    """Return the ``request_id`` of a frame that failed to parse, so that its error can carry it."""
    try:
        return msgspec.json.decode(frame, type=m.Message).request_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def options(fields: m.ConfigFields | None) -> c.SessionOptions:
    """Return wire options as ours."""
    if fields is None:
        return c.SessionOptions()
    words = fields.hotwords
    if isinstance(words, str):
        words = [w.strip() for w in words.split(",") if w.strip()]
    return c.SessionOptions(
        model=fields.model,
        language=fields.language,
        task=fields.task,
        vad=fields.vad,
        min_silence_ms=fields.min_silence_ms,
        pre_roll_ms=fields.pre_roll_ms,
        vad_threshold=fields.vad_threshold,
        wire_silence_ms=fields.wire_silence_ms,
        denoise=fields.denoise,
        hotwords=None if words is None else tuple(words),
        prompt=fields.prompt,
        beam=fields.beam,
        fallback=fields.fallback,
        alternatives=fields.alternatives,
        policy=fields.policy,
        sample_rate=fields.sample_rate,
    )


def dump(event: e.Event, *, timestamp: str) -> tuple[bytes, ...]:
    """Return an event as a JSON frame, none where the protocol has no word for it."""
    body = encode(event, timestamp)
    if body is None:
        return ()
    if event.request_id is not None:
        body["request_id"] = event.request_id
    return (_encoder.encode(body),)


def _words(words: tuple[Word, ...]) -> list[Json]:
    return [
        {
            "word": w.word.strip(),
            "start": round(w.start, 3),
            "end": round(w.end, 3),
            "probability": round(w.probability, 3),
        }
        for w in words
    ]


def _session(event: e.SessionEvent, kind: str, timestamp: str) -> Json:
    body: Json = {"type": kind, "session_id": event.session_id, "channel": event.channel, "timestamp": timestamp}
    return body | _recorded(event.recorded)


def _recorded(is_recorded: bool) -> Json:
    return {"recorded": True} if is_recorded else {}


def _limited(notice: str, phrases: tuple[str, ...]) -> Json:
    return {"notice": notice, "phrases": list(phrases)} if notice else {}


@singledispatch
def encode(event: e.Event, timestamp: str) -> Json | None:
    """Return an event as a JSON object; one registered function per event class."""
    raise TypeError(f"{type(event).__name__} has no wire form")


@encode.register
def _(event: e.Connected, timestamp: str) -> Json:
    return {
        "type": "connected",
        "server": event.server,
        "version": event.version,
        "current_model": event.current_model,
        "event_id": event.event_id,
        "timestamp": timestamp,
        **_limited(event.notice, event.phrases),
        **_recorded(event.recorded),
    }


@encode.register
def _(event: e.ModelsListed, timestamp: str) -> Json:
    return {
        "type": "available_models",
        "models": list(event.models),
        "default": event.default,
        "current_model": event.current_model,
    }


@encode.register
def _(event: e.ModelLoading, timestamp: str) -> Json:
    return {
        "type": "model_loading",
        "model_id": event.model_id,
        "progress": round(event.progress, 3),
        "stage": event.stage,
    }


@encode.register
def _(event: e.ModelLoaded, timestamp: str) -> Json:
    return {
        "type": "model_loaded",
        "model_id": event.model_id,
        "status": "success",
        "load_seconds": round(event.load_seconds, 3),
        **_limited(event.notice, event.phrases),
    }


@encode.register
def _(event: e.ModelUnloaded, timestamp: str) -> Json:
    return {"type": "model_unloaded", "model_id": event.model_id}


@encode.register
def _(event: e.WorkerEnded, timestamp: str) -> Json:
    return {
        "type": "worker_ended",
        "model_id": event.model_id,
        "reason": event.kind,
        "message": event.message,
        "restarts": event.restarts,
        "timestamp": timestamp,
    }


@encode.register
def _(event: e.ModelsChanged, timestamp: str) -> Json:
    body: Json = {"type": "models_changed", "models": list(event.model_ids)}
    return body | {"problem": event.problem} if event.problem else body


@encode.register
def _(event: e.StatusReported, timestamp: str) -> Json:
    return {"type": "status", **event.status, "timestamp": timestamp}


@encode.register
def _(event: e.Configured, timestamp: str) -> Json:
    return {"type": "configured", **event.options}


@encode.register
def _(event: e.Subscribed, timestamp: str) -> Json:
    return {"type": "subscribed", "channel": event.channel}


@encode.register
def _(event: e.Ponged, timestamp: str) -> Json:
    return {"type": "pong", "timestamp": timestamp}


@encode.register
def _(event: e.Authenticated, timestamp: str) -> Json:
    return {"type": "authenticated", "scopes": list(event.scopes)}


@encode.register
def _(event: e.RecordingStarted, timestamp: str) -> Json:
    return _session(event, "recording_started", timestamp)


@encode.register
def _(event: e.RecordingStopped, timestamp: str) -> Json:
    return _session(event, "recording_stopped", timestamp)


@encode.register
def _(event: e.AudioCleared, timestamp: str) -> Json:
    return _session(event, "audio_cleared", timestamp) | {"segment_ids": list(event.segment_ids)}


@encode.register(e.ContainerDecoded)
@encode.register(e.ContainerEnded)
def _(event: e.Event, timestamp: str) -> Json | None:
    return None


@encode.register
def _(event: e.Acknowledged, timestamp: str) -> Json:
    return {"type": "ack", "session_id": event.session_id, "seq": event.seq}


@encode.register
def _(event: e.Resumed, timestamp: str) -> Json:
    return {
        "type": "resumed",
        "session_id": event.session_id,
        "channel": event.channel,
        "next_seq": event.next_seq,
        "timestamp": timestamp,
    }


@encode.register
def _(event: e.SpeechStarted, timestamp: str) -> Json:
    times = {"segment_id": event.segment_id, "start": round(event.start, 3)}
    return _session(event, "speech_started", timestamp) | times


@encode.register
def _(event: e.SpeechEnded, timestamp: str) -> Json:
    times = {"segment_id": event.segment_id, "start": round(event.start, 3), "end": round(event.end, 3)}
    return _session(event, "speech_ended", timestamp) | times


@encode.register
def _(event: e.PartialTranscribed, timestamp: str) -> Json:
    return _session(event, "realtime_transcription", timestamp) | {
        "text": event.text,
        "is_final": False,
        "segment_id": event.segment_id,
        "stable": event.stable,
        "unstable": event.unstable,
        "language": event.language,
        "lag_ms": round(event.lag * 1000),
        "cadence_ms": round(event.cadence * 1000),
    }


@encode.register
def _(event: e.FinalTranscribed, timestamp: str) -> Json:
    duration = event.end - event.start
    others: Json = {"alternatives": list(event.alternatives)} if event.alternatives else {}
    if event.seq is not None:
        others["seq"] = event.seq
    return _session(event, "final_transcription", timestamp) | {
        "text": event.text,
        "duration": round(duration, 3),
        "processing_time": round(event.processing, 3),
        "speed_ratio": round(duration / event.processing, 2) if event.processing else 0.0,
        "model": event.model_id,
        "is_final": True,
        "segment_id": event.segment_id,
        "start": round(event.start, 3),
        "end": round(event.end, 3),
        "words": _words(event.words),
        "language": event.language,
        "event_id": event.event_id,
        "lag_ms": round(event.lag * 1000),
        "revised": event.revised,
        **others,
    }


@encode.register
def _(event: e.NothingTranscribed, timestamp: str) -> None:
    return None


@encode.register
def _(event: e.ErrorRaised, timestamp: str) -> Json:
    body: Json = {"type": "error", "code": event.code, "message": event.message, "retryable": event.retryable}
    extra = {
        "retry_after_ms": event.retry_after_ms,
        "log_id": event.log_id,
        "model_id": event.model_id,
        "session_id": event.session_id,
        "segment_id": event.segment_id,
        "start": event.start,
        "end": event.end,
    }
    return body | {key: value for key, value in extra.items() if value not in (None, "")}


@encode.register
def _(event: e.WarningRaised, timestamp: str) -> Json:
    body: Json = {"type": "warning", "code": event.code, "message": event.message, "timestamp": timestamp}
    extra = {"retry_after_ms": event.retry_after_ms, "session_id": event.session_id}
    return body | {key: value for key, value in extra.items() if value not in (None, "")}
