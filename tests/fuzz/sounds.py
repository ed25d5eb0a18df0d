"""Sound without a container: WAV, bare samples, samples in all encodings at all rates, and frames of any of it."""

import base64
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from fuzz.parser import MARK, Parser, judge, judge_sound, longest, pieces
from hotmic.audio.bare import MOST_HELD, BareReader
from hotmic.audio.blob import BlobReader, Container, Pcm
from hotmic.audio.resample import HIGHEST_RATE, LOWEST_RATE
from hotmic.audio.riff import MAX_CHANNELS, WavReader
from hotmic.audio.wire import Wire
from hotmic.errors import BadAudio
from hotmic.values import Samples
from wav_support import ALAW, BAD_WAVS, FLOAT, MULAW, NO_SOUND, PCM, data, fmt, riff

RATES = (16_000, 8_000, 48_000, 44_100, 4_000, 192_000, 24_000, 11_025)
ENCODINGS = (("pcm16", 2), ("float32", 4), ("mulaw", 1), ("alaw", 1), ("pcm24", 3))
"""Encodings and bytes of a sample; the last is not taken."""


def read(data: bytes) -> None:
    """Read bytes as what their first byte says."""
    if data:
        _KINDS[data[0] % len(_KINDS)](data[1:])


def read_wav(data: bytes) -> None:
    """Read a WAV file that comes in pieces; where it is cut changes nothing."""
    whole, parts = (_wav(data[2:], cuts) for cuts in (b"", data[:2]))
    assert isinstance(whole, str) == isinstance(parts, str)
    if not isinstance(whole, str):
        assert whole == parts


def _wav(data: bytes, cuts: bytes) -> tuple[int, bytes] | str:
    reader, heard = WavReader(), b""
    try:
        for piece in pieces(data, cuts):
            samples = reader.receive(piece)
            judge_sound(samples, most=len(data))
            heard += samples.tobytes()
    except BadAudio as error:
        judge(error)
        return error.code
    form = reader.format
    if form is None:
        assert not heard
        return 0, heard
    assert LOWEST_RATE <= form.rate <= HIGHEST_RATE
    assert 1 <= form.channels <= MAX_CHANNELS
    assert len(heard) // 2 <= len(data) * 8 // form.encoding[1] // form.channels
    return form.rate, heard


def read_bare(data: bytes) -> None:
    """Read samples without a header, of which little is held back."""
    reader, came, heard = BareReader(), 0, 0
    for piece in pieces(data[2:], data[:2]):
        came += len(piece)
        try:
            samples = reader.receive(piece)
        except BadAudio as error:
            judge(error)
            assert reader.encoding == "float32"
            return
        heard += len(samples)
        judge_sound(samples, most=came / 2)
        assert reader.encoding in ("", "float32", "pcm16")
        width = {"float32": 4, "pcm16": 2, "": 2}[reader.encoding]
        if reader.encoding != "float32":
            assert came - heard * width < max(4, MOST_HELD if not reader.encoding else 0)


def read_frames(data: bytes) -> None:
    """Read a client's frames of whatever sound; good ones are heard again after it was cleared."""
    rate = RATES[data[0] % len(RATES)] if data else RATES[0]
    reader, wire = BlobReader(rate=rate), Wire()
    for frame in data[1:].split(MARK):
        if frame[:1] == b"!":
            reader.fail()
        elif frame[:1] == b"?":
            reader.clear()
        try:
            _judge_blob(reader.receive(frame), wire, len(data) + MOST_HELD)
        except BadAudio as error:
            judge(error)
    reader.fail()
    reader.clear()
    found = reader.receive(_GOOD)
    assert isinstance(found, Pcm)
    assert found == Pcm(data=_SOUND.tobytes(), rate=8_000)


def _judge_blob(found: Pcm | Container, wire: Wire, most: int) -> None:
    assert len(found.data) <= 2 * most
    if isinstance(found, Pcm):
        assert LOWEST_RATE <= found.rate <= HIGHEST_RATE
        assert len(found.data) % 2 == 0
        samples = wire.receive(found.data, encoding="pcm16", sample_rate=found.rate)
        judge_sound(samples, most=longest(bytes(2 * most), width=2, rate=LOWEST_RATE))


def read_samples(data: bytes) -> None:
    """Read samples in an encoding at a rate that changes; without a change, where they are cut changes nothing."""
    first = data[0] if data else 0
    (encoding, width), rate = ENCODINGS[first % len(ENCODINGS)], RATES[first // len(ENCODINGS) % len(RATES)]
    sound = data[3:]
    if data[1:2] == b"r":
        wire = Wire()
        for number, piece in enumerate(pieces(sound, bytes([data[2] | 63 if len(data) > 2 else 63]))):
            other = RATES[(first + number) % len(RATES)]
            samples = wire.receive(piece, encoding=encoding, sample_rate=other)
            judge_sound(samples, most=longest(sound, width=width, rate=LOWEST_RATE))
        judge_sound(wire.flush(), most=longest(b"", width=1, rate=LOWEST_RATE))
        return
    cut = bytes([max(width, data[2] // width * width) - 1]) if len(data) > 2 else b""
    whole, parts = _heard(sound, b"", encoding, rate), _heard(sound, cut, encoding, rate)
    judge_sound(whole, most=longest(sound, width=width, rate=rate))
    assert np.array_equal(whole, parts)


def _heard(sound: bytes, cuts: bytes, encoding: str, rate: int) -> Samples:
    wire, heard = Wire(), bytearray()
    for piece in pieces(sound, cuts):
        heard += wire.receive(piece, encoding=encoding, sample_rate=rate).tobytes()
    return np.frombuffer(bytes(heard) + wire.flush().tobytes(), np.int16)


def read_base64(data: bytes) -> None:
    """Read base64 as the messages do: what is taken is what a careful decoder finds."""
    text = data.decode("utf-8", "replace")
    written = msgspec.json.encode(text)
    try:
        found = msgspec.json.decode(written, type=bytes)
    except msgspec.DecodeError:
        return
    assert base64.b64encode(found).rstrip(b"=")[:-1] == text.encode().rstrip(b"=")[:-1]
    assert len(found) <= len(data)


_KINDS: Sequence[Callable[[bytes], None]] = (read_wav, read_bare, read_frames, read_samples, read_base64)
_SOUND = np.arange(-20, 20, dtype="<i2")
_GOOD = riff(fmt(PCM, 16, rate=8_000), data(_SOUND.tobytes()))


def seeds() -> Sequence[bytes]:
    """Return sound of every kind, and what is none."""
    wave = np.sin(np.arange(200) / 5)
    floats, shorts = wave.astype("<f4").tobytes(), (wave * 9_000).astype("<i2").tobytes()
    odd = np.array([np.nan, np.inf, -4, 1e-44, 3e38], "<f4").tobytes()
    extended = (
        b"fmt \x28\0\0\0\xfe\xff"
        + fmt(PCM, 16)[10:24]
        + b"\x16\0\x10\0\4\0\0\0\1\0"
        + bytes.fromhex("000000001000800000aa00389b71")
    )
    wavs = [riff(fmt(tag, bits, channels=channels), data(floats)) for tag, bits, channels in (
        (PCM, 8, 1), (PCM, 16, 2), (PCM, 24, 1), (PCM, 32, 8), (FLOAT, 32, 1), (FLOAT, 64, 2), (ALAW, 8, 1), (MULAW,
        8, 3),
    )]  # fmt: skip
    wavs += [
        riff(extended, data(shorts)),
        riff(b"LIST\5\0\0\0INFO\0\0", fmt(PCM, 16), data(shorts, length=0xFFFF_FFFF)),
    ]
    wavs += [riff(fmt(PCM, 16), data(shorts), b"LIST\4\0\0\0abcd") + shorts, *list(BAD_WAVS.values())[:12]]
    found = [b"\0\x10\3" + wav for wav in wavs]
    found += [b"\1\x20\5" + sound for sound in (floats, shorts, bytes(50) + shorts, odd + floats, floats + odd)]
    streams = [
        *wavs[:4],
        *NO_SOUND.values(),
        b"fLaC" + bytes(20),
        b"OggS\0\2" + bytes(20),
        b"\x1a\x45\xdf\xa3" + bytes(20),
        b"ID3\4\0" + bytes(9),
    ]
    found += [b"\2\0" + MARK.join((stream, shorts, b"!", shorts, b"?", floats)) for stream in streams]
    found += [
        bytes((3, kind, how)) + b"\x30" + sound
        for kind in range(0, 40, 3)
        for how in b"r-"
        for sound in (shorts, floats[:200], odd)
    ]
    return [*found, b"\4" + base64.b64encode(shorts), b"\4====", b"\4AA=A", b"\4QUJD\nRA=="]


PARSER = Parser(
    call=read,
    seeds=seeds,
    allowed=(BadAudio,),
    words=(
        b"RIFF", b"WAVE", b"fmt ", b"data", b"LIST", b"\x10\0\0\0", b"\1\0\1\0", b"\3\0\1\0", b"\6\0", b"\7\0",
        b"\xfe\xff",
        b"\x80\x3e\0\0", b"\x40\x1f\0\0", b"\x10\0", b"\x18\0", b"\x20\0", b"\x40\0", b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\x3f", MARK, b"OggS\0\2", b"fLaC", b"ID3\4\0",
        b"\x1a\x45\xdf\xa3", b"ftyp", b"=", b"==",
    ),
)  # fmt: skip
