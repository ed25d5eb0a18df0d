"""WAV as a stream: the header where it comes, then samples of any layout as mono PCM16."""

import struct
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import numpy as np

from hotmic.audio.pcm import from_float, parse
from hotmic.audio.resample import HIGHEST_RATE, LOWEST_RATE
from hotmic.errors import BadAudio
from hotmic.values import Samples, Value

MAX_HEADER = 65_536
"""Bytes before the samples, and of chunks behind them; what stands there is names and dates."""
MAX_CHANNELS = 8
_ENDLESS = (0, 0x7FFF_FFFF, 0xFFFF_FFFF)
"""Lengths that streaming encoders write because they do not know it."""
_EXTENSIBLE, _GUID_TAIL = 0xFFFE, bytes.fromhex("000000001000800000aa00389b71")


class WavFormat(Value, frozen=True, kw_only=True):
    """What a header tells."""

    encoding: tuple[int, int]
    """Format tag and bits of a sample, a key of ``_READERS``."""
    rate: int
    channels: int
    begin: int = 0
    """Bytes before the samples."""
    length: int | None = None
    """Bytes of samples; ``None`` where the header does not know it."""
    trailer: int = 0
    """Bytes of other chunks behind the samples."""


class WavReader:
    """One WAV file that comes in pieces, cut anywhere (Multimedia Programming Interface 1.0, IBM and Microsoft, 1991).

    What comes behind the length that its header tells is more of the same sound, for clients send the header once and
    bare samples from then on; chunks that the header counts as part of the file are skipped.
    """

    def __init__(self) -> None:
        self.format: WavFormat | None = None
        """``None`` until the header is complete."""
        self._held = b""
        self._seen = 0

    def receive(self, data: bytes) -> Samples:
        """Return what is ready after a piece, mono, shape ``[n]``, possibly empty.

        Raises:
            BadAudio: No header that can be read, a layout nobody sends speech in, or a float that is no finite number.
        """
        if self.format is None:
            data, self._held = self._held + data, b""
            self.format = read_header(data)
            if self.format is None:
                self._held = data
                return np.zeros(0, dtype=np.int16)
            data = data[self.format.begin :]
        data = self._held + self._without_trailer(data, self.format)
        rest = len(data) % (self.format.channels * self.format.encoding[1] // 8)
        data, self._held = data[: len(data) - rest], data[len(data) - rest :]
        return _mono(_READERS[self.format.encoding](data), self.format.channels)

    def _without_trailer(self, data: bytes, form: WavFormat) -> bytes:
        seen, self._seen = self._seen, self._seen + len(data)
        if form.length is None:
            return data
        first, last = (max(0, position - seen) for position in (form.length, form.length + form.trailer))
        return data[:first] + data[last:]


def is_wav(data: bytes) -> bool:
    """Return whether bytes begin a WAV file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def read_header(data: bytes) -> WavFormat | None:
    """Return what the beginning of a WAV file tells; ``None`` while it is not complete.

    Raises:
        BadAudio: It cannot be read, or the sound cannot be taken.
    """
    place, form = 12, None
    while len(data) >= place + 8:
        name, length = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"data":
            if form is None:
                raise BadAudio("The WAV header does not tell the format before the samples.")
            return msgspec.structs.replace(form, begin=place, **_lengths(data, place, length))
        if place + length > MAX_HEADER:
            raise BadAudio(f"The WAV header is longer than {MAX_HEADER} bytes.")
        if len(data) < place + length:
            return None
        if name == b"fmt ":
            form = _read_format(data[place : place + length])
        place += length + length % 2
    return None


def _lengths(data: bytes, place: int, length: int) -> dict[str, int]:
    if length in _ENDLESS:
        return {}
    trailer = 8 + int.from_bytes(data[4:8], "little") - place - length
    return {"length": length, "trailer": trailer if 0 < trailer <= MAX_HEADER else 0}


def _read_format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise BadAudio("The format in the WAV header is cut.")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _GUID_TAIL:
        tag = int.from_bytes(chunk[24:26], "little")
    if (tag, bits) not in _READERS:
        raise BadAudio(f"WAV encoding {tag} with {bits} bits is not taken; send PCM, float, A-law or mu-law.")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadAudio(f"Sample rate {rate} Hz is not possible; allowed are {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise BadAudio(f"The WAV header tells {channels} channels; allowed are 1 to {MAX_CHANNELS}.")
    if block != channels * bits // 8:
        raise BadAudio("The WAV header contradicts itself about the size of a sample.")
    return WavFormat(encoding=(tag, bits), rate=rate, channels=channels)


def _parse_pcm8(data: bytes) -> Samples:
    return (np.frombuffer(data, dtype=np.uint8).astype(np.int16) - 128) << 8


def _parse_pcm24(data: bytes) -> Samples:
    upper = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)[:, 1:]
    return np.ascontiguousarray(upper).view("<i2").reshape(-1).astype(np.int16)


def _parse_pcm32(data: bytes) -> Samples:
    return (np.frombuffer(data, dtype="<i4") >> 16).astype(np.int16)


def _parse_float64(data: bytes) -> Samples:
    values = np.frombuffer(data, dtype="<f8")
    if not np.isfinite(values).all():
        raise BadAudio("The sound holds a value that is not a finite number.")
    return from_float(np.clip(values, -1.0, 1.0).astype(np.float32))


def _mono(samples: Samples, channels: int) -> Samples:
    if channels == 1:
        return samples
    mixed: Samples = np.rint(samples.reshape(-1, channels).mean(axis=1)).astype(np.int16)
    return mixed


_READERS: Mapping[tuple[int, int], Callable[[bytes], Samples]] = {
    (1, 8): _parse_pcm8,
    (1, 16): parse,
    (1, 24): _parse_pcm24,
    (1, 32): _parse_pcm32,
    (3, 32): partial(parse, encoding="float32"),
    (3, 64): _parse_float64,
    (6, 8): partial(parse, encoding="alaw"),
    (7, 8): partial(parse, encoding="mulaw"),
}
"""What turns samples into PCM16, by format tag and bits (RFC 2361 numbers the tags)."""
