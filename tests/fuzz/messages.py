"""Messages of all dialects: a sequence of frames, and what the daemon did in between.

The first byte says which dialect. The rest are frames, parted by ``MARK``: ``T`` and text, ``B`` and bytes, or ``E``, a
byte for an event of the daemon and one for the segment that it is about.
"""

import base64
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from event_support import EVENTS, sample
from fuzz.parser import CODES, MARK, Parser, judge, judge_sound, longest
from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.resample import HIGHEST_RATE, LOWEST_RATE
from hotmic.audio.wire import Wire
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import request_id
from hotmic.dialects.message import AUDIO_MESSAGES, CONTROL_MESSAGES
from hotmic.dialects.negotiate import DIALECTS
from hotmic.dialects.openai_message import CLIENT_EVENTS
from hotmic.dialects.wish import Wish
from hotmic.errors import HotmicError
from hotmic.net.control import failure
from hotmic.values import SAMPLE_RATE
from wav_support import wav
from wire_support import NOW, WIRE, frame_of, npy

NAMES = tuple(DIALECTS)
LONGEST_REASON = 123
"""Bytes that the reason of a close may have (RFC 6455, 5.5)."""
LONGEST_ANSWER = 16_384
_WIDTHS = {"pcm16": 2, "float32": 4, "mulaw": 1, "alaw": 1}
_TOLD = CODES | {"model_not_found", "invalid_value", "input_audio_buffer_commit_empty"}
"""Codes of errors as the protocols write them."""


def read(data: bytes) -> None:
    """Read frames; whatever they were, a good one is understood behind them."""
    if not data:
        return
    name = NAMES[data[0] % len(NAMES)]
    wish = Wish(unique="u", client_id="c", sample_rate=(None, 8_000)[data[0] // len(NAMES) % 2])
    talk = Talk(DIALECTS[name](wish))
    for part in data[1:].split(MARK):
        match part[:1]:
            case b"T":
                talk.receive(part[1:].decode("utf-8", "replace"))
            case b"B":
                talk.receive(part[1:])
            case b"E" if len(part) > 2:
                talk.hear(_event(EVENTS[part[1] % len(EVENTS)], f"s-{part[2] % 4}"))
            case b"O":
                talk.take(talk.dialect.overdue_frames(timestamp=NOW))
    good, answers = _GOOD[name] if not talk.is_caption else _GOOD["live_caption"]
    talk.receive(good)
    assert [type(command) for command in talk.commands] == [answers], (name, talk.commands)


class Talk:
    """A dialect, with a daemon that does at once what it is asked."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.commands: list[c.Command] = []
        """Of the newest frame."""
        self._wire = Wire()
        self.hear(e.Connected(server="hotmic", version="1", current_model="m"))
        self._carry_out(dialect.commands_to_run)

    @property
    def is_caption(self) -> bool:
        """Whether a port for two protocols is one for captions by now."""
        return self.dialect.name == "live_caption"

    def receive(self, frame: Frame) -> None:
        """Take a frame, carry out what it asks, and say what answers it."""
        self._carry_out(lambda: self.dialect.parse(frame), frame)

    def _carry_out(self, ask: Callable[[], Sequence[c.Command]], frame: Frame = b"") -> None:
        self.commands = []
        try:
            self.commands = list(ask())
            for command in self.commands:
                self._follow(command)
        except HotmicError as error:
            judge(error)
            self.hear(failure(error, request_id(frame) if isinstance(frame, str) else None))
            if self.dialect.close_code(error) is not None:
                assert len(f"{error.code}: {error.message}"[:100].encode()) <= LONGEST_REASON, error.message
        self.take(self.dialect.frames_to_send(timestamp=NOW))

    def _follow(self, command: c.Command) -> None:
        assert len(msgspec.json.encode(command)) <= 500_000
        match command:
            case c.AppendAudio(data=data, encoding=encoding, sample_rate=rate):
                rate = rate or SAMPLE_RATE
                assert LOWEST_RATE <= rate <= HIGHEST_RATE
                samples = self._wire.receive(data, encoding=encoding, sample_rate=rate)
                judge_sound(samples, most=longest(data, width=_WIDTHS[encoding], rate=rate))
            case c.Ping():
                self.hear(e.Ponged(request_id=command.request_id))
            case c.Authenticate():
                self.hear(e.Authenticated(request_id=command.request_id, scopes=("speak",)))
            case c.Configure(options=options):
                _judge_options(options)
                self.hear(e.Configured(request_id=command.request_id, options={}))
            case c.ClearAudio():
                self.hear(
                    e.AudioCleared(request_id=command.request_id, session_id="s", channel="c", segment_ids=("s-1",))
                )
            case c.EndAudio():
                self.hear(e.RecordingStopped(request_id=command.request_id, session_id="s", channel="c"))
            case c.Subscribe(channel=channel):
                self.hear(e.Subscribed(request_id=command.request_id, channel=channel))
            case c.AppendContainer(data=data, is_first=True):
                self.hear(e.ContainerDecoded(seconds=len(data) / 32_000))
            case c.StartRecording(config=options):
                _judge_options(options)

    def hear(self, event: e.Event) -> None:
        """Have the client told of an event."""
        self.take(self.dialect.encode(event, timestamp=NOW))
        patience = self.dialect.patience
        assert patience is None or 0 < patience < 60

    def take(self, frames: Sequence[Frame]) -> None:
        """Look at what the client is sent."""
        assert len(frames) <= 8
        for frame in frames:
            assert len(frame) <= LONGEST_ANSWER
            if isinstance(frame, bytes):
                told = json.loads(frame)
                if told["type"] == "error":
                    error = told.get("error", told)
                    assert error["code"] in _TOLD, error
                    assert error["message"]


def _judge_options(options: c.SessionOptions) -> None:
    """Pass if options are within the bounds that docs/protocol.md gives."""
    assert options.sample_rate is None or LOWEST_RATE <= options.sample_rate <= HIGHEST_RATE
    assert options.beam is None or 1 <= options.beam <= 10
    assert options.alternatives is None or 0 <= options.alternatives <= 4
    assert options.vad_threshold is None or 0 <= options.vad_threshold <= 1
    assert options.min_silence_ms is None or 100 <= options.min_silence_ms <= 10_000
    assert options.pre_roll_ms is None or 0 <= options.pre_roll_ms <= 2_000
    assert options.hotwords is None or len(options.hotwords) <= 2_000
    assert all(len(text or "") <= 2_000 for text in (options.model, options.language, options.prompt))


def _event(kind: type[e.Event], segment_id: str) -> e.Event:
    """Return an event of a kind, all that it can carry."""
    if kind not in _SAMPLES:
        given = {"options": {}, "status": {}, "models": (), "code": "overloaded", "request_id": None}
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        _SAMPLES[kind] = kind(**{name: given[name] if name in given else sample(fields[name]) for name in fields})
    event = _SAMPLES[kind]
    if "segment_id" not in event.__struct_fields__:
        return event
    changed: Any = {"segment_id": segment_id}
    if isinstance(event, e.FinalTranscribed | e.PartialTranscribed):
        changed["text"] = "what was said"
    return msgspec.structs.replace(event, **changed)


_SAMPLES: dict[type[e.Event], e.Event] = {}
_PING = '{"type":"ping","request_id":7}'
_APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(480)).decode()})
_GOOD: dict[str, tuple[Frame, type[c.Command]]] = {
    "control": (_PING, c.Ping),
    "audio": (_PING, c.Ping),
    "openai_realtime": (_APPEND, c.AppendAudio),
    "plain_text": (bytes(320), c.AppendAudio),
    "rnnt": (_PING, c.Ping),
    "simul": (npy(np.zeros(160, "<f4")), c.AppendAudio),
    "live_caption": (wav(np.ones(160, np.int16)), c.AppendAudio),
    "control_or_caption": (_PING, c.Ping),
}


# where the search begins


def seeds() -> Sequence[bytes]:
    """Return the golden conversations, and messages with every field."""
    found = []
    for number, name in enumerate(NAMES):
        for path in sorted((WIRE / name).glob("*.jsonl")):
            entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            found.append(bytes([number]) + MARK.join(_part(entry) for entry in entries if "<" not in entry))
        found += [bytes([number]) + MARK.join(b"T" + text.encode() for text in _MESSAGES[begin : begin + 5])
                  for begin in range(0, len(_MESSAGES), 5)]  # fmt: skip
        speech = [b"B" + bytes(32), *(b"E" + bytes([kind, 1]) for kind in range(len(EVENTS))), b"O", b"T{}", b"B\xff"]
        found.append(bytes([number + len(NAMES)]) + MARK.join(speech))
    return [seed[:4096] for seed in found]


def _part(entry: dict[str, Any]) -> bytes:
    if "*" in entry:
        kind = next(number for number, each in enumerate(EVENTS) if each.__name__ == entry["*"]["event"])
        return b"E" + bytes([kind, 1])
    frame = frame_of(entry[">"])
    return b"T" + frame.encode() if isinstance(frame, str) else b"B" + frame


_OPTIONS = {
    "model": "m", "language": "en", "task": "translate", "vad": "webrtc", "min_silence_ms": 500, "pre_roll_ms": 300,
    "vad_threshold": 0.5, "wire_silence_ms": 700, "denoise": "auto", "hotwords": ["a", "b"], "prompt": "p", "beam": 3,
    "fallback": True, "alternatives": 2, "policy": "align_att", "sample_rate": 48_000, "interim_results": True,
}  # fmt: skip
_SOUND = base64.b64encode(bytes(range(96))).decode()
_UPDATE = {
    "type": "transcription", "include": ["item.input_audio_transcription.logprobs"],
    "audio": {"input": {
        "format": {"type": "audio/pcmu"}, "noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
        "silence_duration_ms": 500},
        "transcription": {"model": "m", "language": "en", "prompt": "p", "keywords": ["a"]},
    }},
}  # fmt: skip
_MESSAGES = [json.dumps(message) for message in (
    {"type": "configure", "request_id": 1, **_OPTIONS},
    {"type": "start_recording", "channel": "c", "session": "s", "config": _OPTIONS},
    {"type": "stop_recording", "request_id": "x"},
    {"type": "audio_chunk", "data": _SOUND, "sample_rate": 8_000, "encoding": "float32", "seq": 0},
    {"type": "audio_chunk", "data": _SOUND, "encoding": "mulaw"},
    {"type": "audio_end"}, {"type": "resume", "session_id": "s", "last_seq": 1, "last_event_id": 2},
    {"type": "subscribe", "channel": "c", "last_event_id": 9}, {"type": "authenticate", "token": "t"},
    {"type": "load_model", "model_id": "m", "mode": "replace"}, {"type": "unload_model", "model_id": "m"},
    {"type": "get_models"}, {"type": "get_status", "request_id": 1 << 64}, {"type": "config", "language": "en"},
    {"type": "clear_buffer"}, {"type": "session.update", "event_id": "e", "session": _UPDATE},
    {"type": "transcription_session.update", "session": {
        "input_audio_format": "g711_alaw", "turn_detection": None, "input_audio_noise_reduction": {"type": "far_field"},
        "input_audio_transcription": {"language": ""}, "include": None,
    }},
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(4_800)).decode()[:3_000]},
    {"type": "input_audio_buffer.commit"}, {"type": "input_audio_buffer.clear", "event_id": "é"},
    {"type": "é", "request_id": "\ud83d\ude00" * 60}, {"type": None}, [], {"type": "configure", "language": "e" * 300},
)]  # fmt: skip
_TYPES = {str(kind.__struct_config__.tag) for kind in (*CONTROL_MESSAGES, *AUDIO_MESSAGES, *CLIENT_EVENTS)}


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return input in which one message has other fields or values, or comes elsewhere."""
    parts = data[1:].split(MARK)
    number = rng.randrange(len(parts))
    match rng.randrange(8):
        case 0:
            del parts[number]
        case 1:
            parts.insert(rng.randrange(len(parts) + 1), parts[number])
        case 2:
            parts.insert(number, b"T" + rng.choice(_MESSAGES).encode())
        case 3:
            parts.insert(number, b"E" + bytes([rng.randrange(len(EVENTS)), rng.randrange(4)]))
        case _:
            try:
                whole = json.loads(parts[number][1:])
            except (ValueError, RecursionError):
                whole = json.loads(rng.choice(_MESSAGES))
            parts[number] = b"T" + json.dumps(_changed(whole, rng)).encode()
    return data[:1] + MARK.join(parts)


def _changed(node: Any, rng: random.Random) -> Any:
    """Return JSON with one thing changed."""
    if not node or not isinstance(node, dict | list) or rng.random() < 0.1:
        return rng.choice(_VALUES)
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    what = rng.random()
    if what < 0.7:
        node[key] = _changed(node[key], rng)
    elif what < 0.8:
        del node[key]
    elif isinstance(node, dict):
        name, value = rng.choice(_FIELDS)
        node[name] = value
    else:
        node.insert(key, rng.choice(_VALUES))
    return node


_VALUES: Sequence[Any] = (
    None, True, False, 0, 1, -1, 5, 1 << 53, (1 << 53) + 1, 1 << 64, 0.5, 1e300, "", "a", "x" * 129, "x" * 2_001,
    "é" * 65,
    "en", "c", "m", "\ud800", "\0", "../..", [], {}, ["a"], [[]], {"type": "server_vad"}, {"type": "audio/pcm",
    "rate": 24_000},
    _SOUND, _SOUND[:-1], "====", 48_000, 3_999, 192_001, *sorted(_TYPES),
)  # fmt: skip
_FIELDS = [(name, value) for text in _MESSAGES for message in [json.loads(text)] if isinstance(message, dict)
           for name, value in message.items()] + list(_OPTIONS.items())  # fmt: skip


PARSER = Parser(
    call=read,
    seeds=seeds,
    words=(
        *(bytes([number]) for number in range(len(NAMES))), MARK + b"T", MARK + b"B", MARK + b"E", MARK + b"O",
        *sorted(f'"{name}"'.encode() for name in _TYPES | {"config", "clear_buffer", "type", "request_id", "data",
        "seq"}),
        *(f'"{name}": '.encode() for name in _OPTIONS), b'"event_id": ', b'"session": ', b'"input": ', b'"audio": ',
        b'"format": ',
        b'"turn_detection": ', b'"transcription": ', b"null", b"true", b"-1", b"1e400", b"18446744073709551616",
        b'"\\ud800"',
        b'"\\u0000"', "é".encode(), b"\xf0\x9f\x98\x80", b"[[[[[[[[", b'{"a":' * 8, b'{"type": "', b'"}', b"RIFF",
        b"\x93NUMPY\1\0",
    ),
    mutate=mutate,
)  # fmt: skip
