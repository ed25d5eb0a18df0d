"""Files as OpenAI's libraries send them: the fields of a request, the forms of an answer. Sans-I/O.

The reference is the API of ``/v1/audio/transcriptions`` and ``/v1/audio/translations``. What we cannot do is refused
with the field's name; nothing is silently ignored.
"""

import math
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import msgspec

from hotmic.commands import SessionOptions
from hotmic.dialects.subtitle import to_srt, to_vtt
from hotmic.errors import BadField, HotmicError, PeerError, RateLimited, TooLarge, UnknownModel
from hotmic.events import FinalTranscribed
from hotmic.policies.joining import join_text
from hotmic.values import Task, Value, Word

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]
JSON, TEXT, EVENTS = "application/json", "text/plain; charset=utf-8", "text/event-stream; charset=utf-8"
MAX_PROMPT = 4096
MAX_KEYWORDS = 100
DIARIZES = "-diarize"
"""How models are called that tell who speaks."""
_CODES = {"unknown_model": "model_not_found", "bad_field": "invalid_value"}


class BadParameter(BadField):
    """A field of the request that cannot be taken.

    Args:
        message: One sentence.
        param: The field.
    """

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class FileWish(Value, frozen=True, kw_only=True):
    """What a request asks for."""

    model: str
    options: SessionOptions
    response_format: ResponseFormat = "json"
    granularities: tuple[Granularity, ...] = ("segment",)
    stream: bool = False


def parse_fields(fields: Sequence[tuple[str, str]], *, task: Task) -> FileWish:
    """Read the fields of a form.

    Args:
        fields: Names and values; a list is the same name several times, with or without ``[]`` behind it.
        task: Whose request it is.

    Raises:
        BadParameter: A field that is unknown, missing, wrong, or asks for what we cannot do.
    """
    given: dict[str, list[str]] = {}
    for name, value in fields:
        given.setdefault(name.removesuffix("[]"), []).append(value)
    read: dict[str, Any] = {}
    for name, values in given.items():
        reader = _READERS.get(name)
        if reader is None or (task == "translate" and name in _TRANSCRIBING_ONLY):
            raise BadParameter(f"The field {name[:64]!r} is not supported here.", name[:64])
        if len(values) > 1 and name not in _LISTS:
            raise BadParameter(f"The field '{name}' stands there {len(values)} times.", name)
        read[name] = reader(values)
    if not read.get("model"):
        raise BadParameter("The field 'model' is missing.", "model")
    wish = FileWish(
        model=read["model"],
        options=SessionOptions(
            language=read.get("language") or read.get("languages"),
            task=task,
            prompt=read.get("prompt"),
            hotwords=read.get("keywords"),
        ),
        response_format=read.get("response_format", "json"),
        granularities=read.get("timestamp_granularities", ("segment",)),
        stream=read.get("stream", False),
    )
    if "timestamp_granularities" in read and wish.response_format != "verbose_json":
        message = "'timestamp_granularities' needs the response_format 'verbose_json'."
        raise BadParameter(message, "timestamp_granularities")
    if wish.stream and wish.response_format not in ("json", "text"):
        raise BadParameter(f"'stream' cannot be had as '{wish.response_format}'.", "stream")
    return wish


def text_of_all(finals: Sequence[FinalTranscribed]) -> str:
    """Return what was said, as one text."""
    text = ""
    for final in finals:
        text = join_text(text, final.text)
    return text


def encode(wish: FileWish, finals: Sequence[FinalTranscribed], *, seconds: float) -> tuple[bytes, str]:
    """Return the body of an answer and its media type.

    Args:
        wish: What was asked.
        finals: What was heard, in order.
        seconds: Length of the audio.
    """
    match wish.response_format:
        case "text":
            return f"{text_of_all(finals)}\n".encode(), TEXT
        case "srt":
            return to_srt(finals).encode(), TEXT
        case "vtt":
            return to_vtt(finals).encode(), TEXT
    body: dict[str, Any] = {"text": text_of_all(finals)}
    if wish.response_format == "verbose_json":
        body |= {
            "task": wish.options.task,
            "language": next((final.language for final in finals if final.language), wish.options.language or ""),
            "duration": round(seconds, 3),
        }
        if "segment" in wish.granularities:
            body["segments"] = [_segment(number, final) for number, final in enumerate(finals)]
        if "word" in wish.granularities:
            body["words"] = [_word(word) for final in finals for word in final.words]
    body["usage"] = {"type": "duration", "seconds": math.ceil(seconds)}
    return msgspec.json.encode(body), JSON


def encode_delta(before: str, final: FinalTranscribed) -> tuple[bytes, str]:
    """Return the event of one more final, and the whole text with it."""
    text = join_text(before, final.text)
    return encode_event({"type": "transcript.text.delta", "delta": text[len(before) :]}), text


def encode_done(text: str) -> bytes:
    """Return the last event."""
    return encode_event({"type": "transcript.text.done", "text": text})


def encode_event(body: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def encode_progress(seconds: float) -> bytes:
    """Return a comment between events: it keeps the connection busy and says how much audio was taken."""
    return f": {seconds:.1f} s\n\n".encode()


def error_body(error: HotmicError) -> dict[str, Any]:
    """Return an error as OpenAI's libraries read it."""
    if isinstance(error, RateLimited):
        kind = "rate_limit_exceeded"
    else:
        kind = "server_error" if error_status(error) >= 500 else "invalid_request_error"
    param = "model" if isinstance(error, UnknownModel) else getattr(error, "param", None)
    code = _CODES.get(error.code, error.code)
    return {"error": {"message": error.message, "type": kind, "param": param, "code": code}}


def error_status(error: HotmicError) -> int:
    """Return the HTTP status of an error."""
    match error.code:
        case "unknown_model" | "not_found":
            return 404
        case "invalid_api_key":
            return 401
        case "not_authorized" | "token_expired" | "token_revoked":
            return 403
        case "overloaded" | "model_unavailable" | "download_failed" | "shutting_down" | "superseded":
            return 503
    match error:
        case TooLarge():
            return 413
        case RateLimited():
            return 429
        case PeerError():
            return 400
        case _:
            return 500


def _segment(number: int, final: FinalTranscribed) -> dict[str, Any]:
    encoded = final.text.encode()
    logs = [math.log(max(word.probability, 1e-10)) for word in final.words]
    return {
        "id": number,
        "seek": round(final.start * 100),
        "start": round(final.start, 3),
        "end": round(final.end, 3),
        "text": final.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(logs) / len(logs), 4) if logs else 0.0,
        "compression_ratio": round(len(encoded) / max(1, len(zlib.compress(encoded))), 3),
        "no_speech_prob": 0.0,
    }


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.word.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}


def _model(values: list[str]) -> str:
    if values[0].endswith(DIARIZES):
        raise BadParameter("Models that tell who speaks are not supported.", "model")
    return values[0]


def _language(values: list[str]) -> str:
    if len(values) > 1:
        raise BadParameter("One language can be named, or none.", "languages")
    if not re.fullmatch(r"[a-z]{2,3}", values[0]):
        raise BadParameter("'language' must be a code such as 'en'.", "language")
    return values[0]


def _prompt(values: list[str]) -> str:
    if len(values[0]) > MAX_PROMPT:
        raise BadParameter(f"'prompt' is longer than {MAX_PROMPT} characters.", "prompt")
    return values[0]


def _keywords(values: list[str]) -> tuple[str, ...]:
    if len(values) > MAX_KEYWORDS or sum(map(len, values)) > MAX_PROMPT:
        raise BadParameter("'keywords' are too many or too long.", "keywords")
    return tuple(values)


def _one_of(name: str, kind: Any) -> Callable[[list[str]], Any]:
    allowed = get_args(kind)

    def read(values: list[str]) -> str:
        if values[0] not in allowed:
            raise BadParameter(f"'{name}' can be {', '.join(allowed)}.", name)
        return values[0]

    return read


def _granularities(values: list[str]) -> tuple[str, ...]:
    read = _one_of("timestamp_granularities", Granularity)
    return tuple(dict.fromkeys(read([value]) for value in values))


def _temperature(values: list[str]) -> None:
    try:
        value = float(values[0])
    except ValueError as error:
        raise BadParameter("'temperature' must be a number.", "temperature") from error
    if value != 0:
        raise BadParameter("'temperature' can only be 0: a text is never drawn at random.", "temperature")


def _stream(values: list[str]) -> bool:
    if values[0].lower() not in ("true", "false", "1", "0"):
        raise BadParameter("'stream' must be true or false.", "stream")
    return values[0].lower() in ("true", "1")


def _chunking(values: list[str]) -> None:
    if values[0] != "auto":
        raise BadParameter("'chunking_strategy' can only be 'auto'.", "chunking_strategy")


_READERS: dict[str, Callable[[list[str]], Any]] = {
    "model": _model,
    "language": _language,
    "languages": _language,
    "prompt": _prompt,
    "keywords": _keywords,
    "response_format": _one_of("response_format", ResponseFormat),
    "timestamp_granularities": _granularities,
    "temperature": _temperature,
    "stream": _stream,
    "chunking_strategy": _chunking,
}
_LISTS = ("timestamp_granularities", "keywords", "languages")
_TRANSCRIBING_ONLY = ("language", "languages", "keywords", "timestamp_granularities", "stream", "chunking_strategy")
