"""WAV files of every layout, made for tests."""

import struct
import wave
from pathlib import Path

import numpy as np

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
