"""Turn bytes from the wire into samples and back: mono PCM16, float32, and the two G.711 telephone codes."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from hotmic.errors import BadAudio
from hotmic.values import Samples

FloatSamples = npt.NDArray[np.float32]
"""Mono samples in -1..1, shape ``[n]``."""

FULL_SCALE = 32768.0
_LITTLE_ENDIAN = np.dtype("<i2")


def parse(data: bytes, *, encoding: str = "pcm16") -> Samples:
    """Read mono samples from bytes; the rate is the caller's business.

    Args:
        data: The payload of one chunk, little-endian. Empty is allowed.
        encoding: ``pcm16``, ``float32`` (full scale is 1.0, louder is clipped), ``mulaw`` or ``alaw``.

    Returns:
        Shape ``[n]``. PCM16 is a read-only view of ``data``, the others are fresh arrays.

    Raises:
        BadAudio: The bytes are no whole number of samples, a float is not finite, or the encoding is unknown.
    """
    reader = _READERS.get(encoding)
    if reader is None:
        raise BadAudio(f"Unknown audio encoding {encoding[:32]!r}; allowed are {', '.join(_READERS)}.")
    return reader(data)


def check(data: bytes, *, encoding: str = "pcm16") -> None:
    """Pass if ``parse`` would.

    Raises:
        BadAudio: See ``parse``.
    """
    if encoding != "pcm16" or len(data) % 2:
        parse(data, encoding=encoding)


def sample_bytes(encoding: str) -> int:
    """Return how many bytes a sample takes in an encoding that ``parse`` knows."""
    return _SAMPLE_BYTES.get(encoding, 1)


def to_float(samples: Samples) -> FloatSamples:
    """Scale int16 samples to -1..1."""
    return samples.astype(np.float32) * np.float32(1.0 / FULL_SCALE)


def from_float(samples: npt.NDArray[np.floating]) -> Samples:
    """Round samples in -1..1 to int16; anything louder is clipped, as a sound card would."""
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    clipped: Samples = np.clip(scaled, -32768, 32767).astype(np.int16)
    return clipped


def _parse_pcm16(data: bytes) -> Samples:
    if len(data) % 2:
        raise BadAudio(f"PCM16 audio needs an even byte count, this chunk has an odd one: {len(data)}.")
    return np.frombuffer(data, dtype=_LITTLE_ENDIAN).astype(np.int16, copy=False)


def _parse_float32(data: bytes) -> Samples:
    if len(data) % 4:
        raise BadAudio(f"float32 audio needs a byte count that is a multiple of 4, this chunk has {len(data)}.")
    values = np.frombuffer(data, dtype="<f4")
    if not np.isfinite(values).all():
        raise BadAudio("float32 audio holds a value that is not a finite number.")
    return from_float(np.clip(values, -1.0, 1.0))


def _parse_mulaw(data: bytes) -> Samples:
    return _mulaw_table()[np.frombuffer(data, dtype=np.uint8)]


def _parse_alaw(data: bytes) -> Samples:
    return _alaw_table()[np.frombuffer(data, dtype=np.uint8)]


@cache
def _mulaw_table() -> Samples:
    """Return the 256 values of G.711 mu-law (ITU-T G.711, table 2), scaled to 16 bits."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4) & 7
    mantissa = (code & 15).astype(np.int32)
    magnitude = ((mantissa * 2 + 33) << exponent) - 33
    return np.where(code & 0x80, -magnitude * 4, magnitude * 4).astype(np.int16)


@cache
def _alaw_table() -> Samples:
    """Return the 256 values of G.711 A-law (ITU-T G.711, table 1), scaled to 16 bits."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    low = mantissa * 2 + 1
    magnitude = np.where(exponent == 0, low, (low + 32) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude * 8, -magnitude * 8).astype(np.int16)


_READERS: dict[str, Callable[[bytes], Samples]] = {
    "pcm16": _parse_pcm16,
    "float32": _parse_float32,
    "mulaw": _parse_mulaw,
    "alaw": _parse_alaw,
}
_SAMPLE_BYTES = {"pcm16": 2, "float32": 4}
