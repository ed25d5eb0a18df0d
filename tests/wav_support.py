"""WAV files of every layout, made for tests."""

import json
import struct
import wave
from pathlib import Path

import numpy as np

from hotmic.audio.riff import MAX_HEADER
from hotmic.values import Samples

PCM, FLOAT, ALAW, MULAW = 1, 3, 6, 7


def read_clip(path: Path) -> Samples:
    """Return the samples of a 16 kHz mono clip."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def fmt(tag: int, bits: int, *, rate: int = 16_000, channels: int = 1, block: int | None = None) -> bytes:
    """Return the ``fmt`` chunk."""
    block = channels * bits // 8 if block is None else block
    return b"fmt " + struct.pack("<IHHIIHH", 16, tag, channels, rate, rate * block % 2**32, block, bits)


def riff(*chunks: bytes, length: int | None = None) -> bytes:
    """Return chunks in a RIFF file."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if length is None else length) + body


def data(sound: bytes, *, length: int | None = None) -> bytes:
    """Return the ``data`` chunk."""
    return b"data" + struct.pack("<I", len(sound) if length is None else length) + sound


def wav(samples: Samples, *, rate: int = 16_000) -> bytes:
    """Return a usual file."""
    return riff(fmt(PCM, 16, rate=rate), data(samples.tobytes()))


def pieces(whole: bytes, size: int) -> list[bytes]:
    """Cut bytes into frames."""
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


BAD_WAVS = {
    "no format": riff(data(bytes(8))),
    "format cut": riff(b"fmt \x0a\0\0\0" + bytes(10), data(bytes(8))),
    "adpcm": riff(fmt(2, 4, block=1), data(bytes(8))),
    "mp3": riff(fmt(0x55, 0), data(bytes(8))),
    "12 bits": riff(fmt(PCM, 12, block=2), data(bytes(8))),
    "float16": riff(fmt(FLOAT, 16), data(bytes(8))),
    "rate 0": riff(fmt(PCM, 16, rate=0), data(bytes(8))),
    "rate 3999": riff(fmt(PCM, 16, rate=3999), data(bytes(8))),
    "rate of a liar": riff(fmt(PCM, 16, rate=2**31)),
    "no channel": riff(fmt(PCM, 16, channels=0), data(bytes(8))),
    "nine channels": riff(fmt(PCM, 16, channels=9), data(bytes(8))),
    "contradiction": riff(fmt(PCM, 16, block=4), data(bytes(8))),
    "foreign extension": riff(b"fmt \x28\0\0\0\xfe\xff" + fmt(PCM, 16)[10:] + bytes(24), data(bytes(8))),
    "endless header": riff(b"LIST" + MAX_HEADER.to_bytes(4, "little"), fmt(PCM, 16), data(bytes(8))),
}
"""WAV files whose header is refused."""

NO_SOUND = {
    "numpy": b"\x93NUMPY\1\0" + bytes(30),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(30),
    "gif": b"GIF89a" + bytes(30),
    "pdf": b"%PDF-1.7" + bytes(30),
    "zip": b"PK\3\4" + bytes(30),
    "gzip": b"\x1f\x8b\x08" + bytes(30),
    "avi": b"RIFF\x40\0\0\0AVI " + bytes(30),
    "webp": b"RIFF\x40\0\0\0WEBP" + bytes(30),
    "rifx": b"RIFX\x40\0\0\0WAVE" + bytes(30),
    "rf64": b"RF64\xff\xff\xff\xffWAVE" + bytes(30),
    "webm cluster": b"\x1f\x43\xb6\x75" + bytes(30),
    "ogg page": b"OggS\0\0" + bytes(30),
    "json": json.dumps({"type": "config", "language": "en", "task": "x"}).encode(),
    "base64": b"UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9",
    "html": b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>",
    "numbers": b"0.01, 0.02, 0.015, -0.1, 0.3, 0.2, 0.1, 0.0",
}
"""What is surely no sound."""
