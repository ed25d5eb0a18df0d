"""How clients of each protocol that brings sound speak, and how they understand what they hear; pure.

A tongue is one client across all of its connections. What it was told is ``text``, put together as that protocol's
clients put it together.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soxr

from hotmic.dialects.dialect import Frame
from hotmic.values import SAMPLE_RATE
from wav_support import data, fmt, riff, wav
from wire_support import npy

CHUNK = SAMPLE_RATE // 10
QUIET = np.zeros(2 * SAMPLE_RATE, np.int16)
"""Silence that ends an utterance of those who cannot say that they are done."""

Samples = npt.NDArray[np.int16]


class Tongue:
    """One client.

    Args:
        name: Its own among all clients.
    """

    dialect: ClassVar[str]
    path: ClassVar[str]
    """On the HTTP port."""
    ends: ClassVar[bool] = False
    """Whether it can say that it is done, and is told when everything is told."""
    bad: ClassVar[Sequence[tuple[Frame, str | int]]]
    """Frames that are wrong, and the code of the error that says so, or the close code."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: list[str] = []
        self.codes: list[str] = []
        self.is_over = False

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?client_id={self.name}"

    @property
    def text(self) -> str:
        """All that was told."""
        return " ".join(" ".join(self.texts).split())

    def greet(self) -> list[Frame]:
        """Return what a new connection begins with."""
        self.is_over = False
        return []

    def sound(self, pcm: Samples) -> list[Frame]:
        """Return sound of 16 kHz in frames of 100 ms."""
        return [self.chunk(pcm[begin : begin + CHUNK]) for begin in range(0, len(pcm), CHUNK)]

    def chunk(self, pcm: Samples) -> Frame:
        """Return sound of 16 kHz as one frame."""
        return pcm.tobytes()

    def end(self) -> list[Frame]:
        """Return what ends an utterance."""
        self.is_over = False
        return self.sound(QUIET)

    def hear(self, frame: Frame) -> None:
        """Take a frame from the daemon."""
        message = json.loads(frame)
        if message["type"] == "error":
            self.codes.append(message["code"])
        else:
            self.understand(message)

    def understand(self, message: dict[str, Any]) -> None:
        """Take a message that is no error."""


class AudioTongue(Tongue):
    """The audio socket of the dual-socket protocol."""

    dialect, path, ends = "audio", "/ws/audio", True
    bad = (
        ("nope", "invalid_json"),
        ("[1]", "invalid_json"),
        ('{"type": "bogus"}', "unknown_type"),
        ('{"type": "audio_chunk", "data": "!"}', "bad_audio"),
        (b"\0\0\0", "bad_audio"),
        ('{"type": "get_models"}', "wrong_socket"),
    )

    @property
    def target(self) -> str:
        return f"{self.path}?channel={self.name}"

    def greet(self) -> list[Frame]:
        self.is_over = False
        return ['{"type": "configure"}']  # else it is told transcriptions alone

    def end(self) -> list[Frame]:
        self.is_over = False
        return ['{"type": "audio_end"}']

    def understand(self, message: dict[str, Any]) -> None:
        if message["type"] == "final_transcription":
            self.texts.append(message["text"])
        self.is_over = self.is_over or message["type"] == "recording_stopped"


class PlainTextTongue(Tongue):
    """Bare sound and bare text."""

    dialect, path = "plain_text", "/"
    bad = (("nope", 1003), ("{}", 1003), (b"\0\0\0", 1007))

    def hear(self, frame: Frame) -> None:
        self.texts.append(frame if isinstance(frame, str) else frame.decode())


class RnntTongue(Tongue):
    """Start, sound, stop."""

    dialect, path, ends = "rnnt", "/ws/transcribe", True
    bad = (
        ("nope", "invalid_json"),
        ("{}", "bad_field"),
        ('{"type": "bogus"}', "unknown_type"),
        ('{"type": "start_recording", "config": {"sample_rate": 7}}', "bad_field"),
        ('{"type": "start_recording", "config": []}', "bad_field"),
        ('{"type": "configure", "language": 7}', "bad_field"),
        (b"\0\0\0", "bad_audio"),
    )

    def greet(self) -> list[Frame]:
        self.is_over = False
        return ['{"type": "start_recording", "config": {"sample_rate": 16000}}']

    def end(self) -> list[Frame]:
        self.is_over = False
        return ['{"type": "stop_recording"}']

    def understand(self, message: dict[str, Any]) -> None:
        if message["type"] == "transcription":
            self.texts.append(message["text"])
        self.is_over = self.is_over or message["type"] == "recording_stopped"


class SimulTongue(Tongue):
    """Arrays in, words out; a client that comes back goes on."""

    dialect, path = "simul", "/ws/transcription"
    bad = (
        ("nope", "invalid_json"),
        ('{"type": "bogus"}', "unknown_type"),
        (b"", "bad_audio"),
        (b"\x93NUMPY", "bad_audio"),
        (npy(np.zeros(3, "<f8")), "bad_audio"),
        (npy(np.zeros((2, 2), "<f4")), "bad_audio"),
        (npy(np.array([np.nan], "<f4")), "bad_audio"),
    )

    def chunk(self, pcm: Samples) -> Frame:
        return npy(pcm.astype("<f4") / 32768)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def understand(self, message: dict[str, Any]) -> None:
        assert message["client_id"] == self.name
        self.texts.append(message["text"])


class RealtimeTongue(Tongue):
    """Items and their transcripts; deltas must come to the same."""

    dialect, path, ends = "openai_realtime", "/v1/realtime", True
    bad = (
        ("nope", "invalid_json"),
        (b"\0\0", "bad_message"),
        ('{"type": "response.create"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "audio": "!"}', "bad_audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AA=="}', "bad_audio"),
        ('{"type": "input_audio_buffer.append"}', "invalid_value"),
        ('{"type": "session.update", "session": {"type": "realtime"}}', "invalid_value"),
        (
            '{"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "nobody"}}}}}',
            "model_not_found",
        ),
    )

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.deltas: dict[str, str] = {}

    @property
    def target(self) -> str:
        return f"{self.path}?intent=transcription"

    def chunk(self, pcm: Samples) -> Frame:
        sound = soxr.resample(pcm, SAMPLE_RATE, 24_000).astype("<i2").tobytes()
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})

    def greet(self) -> list[Frame]:
        self.is_over = False
        return [self.turns(detected=False)]

    def turns(self, *, detected: bool) -> Frame:
        """Return the wish to have turns detected, or to make them by commits."""
        turns = {"type": "server_vad"} if detected else None
        session = {"type": "transcription", "audio": {"input": {"turn_detection": turns}}}
        return json.dumps({"type": "session.update", "session": session})

    def end(self) -> list[Frame]:
        self.is_over = False
        return ['{"type": "input_audio_buffer.commit"}']

    def hear(self, frame: Frame) -> None:
        message = json.loads(frame)
        if message["type"] == "error":
            self.codes.append(message["error"]["code"])
        else:
            self.understand(message)

    def understand(self, message: dict[str, Any]) -> None:
        kind = message["type"].rpartition(".")[2]
        if kind == "delta":
            self.deltas[message["item_id"]] = self.deltas.get(message["item_id"], "") + message["delta"]
        elif kind == "completed":
            self.texts.append(message["transcript"])
            assert self.deltas.pop(message["item_id"], "").split() == message["transcript"].split()
            self.is_over = True


class CaptionTongue(Tongue):
    """Binary sound in, one answer to each frame."""

    dialect, path = "live_caption", "/ws/live-caption"
    bad = (
        ("nope", "invalid_json"),
        ("{}", "bad_field"),
        ('{"type": "bogus"}', "unknown_type"),
        ('{"type": "config", "language": 7}', "bad_field"),
        (riff(fmt(1, 16, channels=0), data(bytes(64))), "bad_audio"),
    )

    def chunk(self, pcm: Samples) -> Frame:
        return wav(pcm)

    def understand(self, message: dict[str, Any]) -> None:
        if message["type"] == "transcription":
            self.texts.append(message["text"])


TONGUES: dict[str, type[Tongue]] = {
    tongue.dialect: tongue
    for tongue in (AudioTongue, PlainTextTongue, RnntTongue, SimulTongue, RealtimeTongue, CaptionTongue)
}
