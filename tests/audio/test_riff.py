from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio.riff import WavReader, is_wav, read_header
from hotmic.errors import BadAudio
from hotmic.values import Samples
from wav_support import ALAW, BAD_WAVS, FLOAT, MULAW, PCM, data, fmt, pieces, riff

RAMP = np.arange(-32_000, 32_000, 400).astype(np.int16)


def heard(frames: Sequence[bytes]) -> Samples:
    reader = WavReader()
    return np.concatenate([reader.receive(frame) for frame in frames])


def encoded(tag: int, bits: int) -> bytes:
    values = RAMP / 32768
    match tag, bits:
        case (1, 8):
            return ((RAMP >> 8) + 128).astype(np.uint8).tobytes()
        case (1, 24):
            return b"".join(int(v << 8).to_bytes(3, "little", signed=True) for v in RAMP.tolist())
        case (1, 32):
            return (RAMP.astype("<i4") << 16).tobytes()
        case (3, _):
            return values.astype(f"<f{bits // 8}").tobytes()
    return RAMP.astype("<i2").tobytes()


@pytest.mark.parametrize(("tag", "bits"), [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)])
@pytest.mark.parametrize("size", [1, 7, 100, 1 << 16])
def test_every_layout_cut_anywhere_is_the_same_sound(tag: int, bits: int, size: int) -> None:
    whole = riff(fmt(tag, bits), data(encoded(tag, bits)))
    expected = RAMP & ~0xFF if bits == 8 else RAMP
    np.testing.assert_array_equal(heard(pieces(whole, size)), expected)


@pytest.mark.parametrize(("tag", "code", "loudest"), [(ALAW, 0xAA, 32_256), (MULAW, 0x80, 32_124)])
def test_telephone_codes(tag: int, code: int, loudest: int) -> None:
    assert heard([riff(fmt(tag, 8), data(bytes([code])))]).tolist() == [loudest]


def test_channels_become_one() -> None:
    both = np.stack([RAMP, -RAMP // 2], axis=1)
    mixed = heard(pieces(riff(fmt(PCM, 16, channels=2), data(both.tobytes())), 5))
    np.testing.assert_array_equal(mixed, np.rint(both.mean(axis=1)))


def test_the_extended_format() -> None:
    plain = fmt(PCM, 16)[8:]
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    extended = b"fmt \x28\0\0\0\xfe\xff" + plain[2:] + bytes.fromhex("1600100004000000") + guid
    np.testing.assert_array_equal(heard([riff(extended, data(RAMP.tobytes()))]), RAMP)


@pytest.mark.parametrize("length", [0, 0x7FFF_FFFF, 0xFFFF_FFFF, 100])
def test_what_comes_behind_the_told_length_is_more_of_the_same(length: int) -> None:
    header = riff(fmt(PCM, 16), data(b"", length=length), length=36 + length if length < 1000 else length)
    np.testing.assert_array_equal(heard([header, *pieces(RAMP.tobytes(), 33)]), RAMP)


@pytest.mark.parametrize("size", [1, 50, 1 << 16])
def test_chunks_around_the_samples_are_no_sound(size: int) -> None:
    names = b"LIST" + (5).to_bytes(4, "little") + b"names\0"
    whole = riff(names, fmt(PCM, 16), names, data(RAMP.tobytes()), names * 3)
    np.testing.assert_array_equal(heard([*pieces(whole, size), RAMP.tobytes()]), np.concatenate([RAMP, RAMP]))


@pytest.mark.parametrize("name", BAD_WAVS)
def test_a_bad_header_is_refused(name: str) -> None:
    with pytest.raises(BadAudio):
        heard([BAD_WAVS[name]])


def test_a_float_that_is_no_number() -> None:
    for value in (np.nan, np.inf):
        for bits in (32, 64):
            with pytest.raises(BadAudio):
                heard([riff(fmt(FLOAT, bits), data(np.array([0, value], f"<f{bits // 8}").tobytes()))])


@given(st.binary(max_size=400), st.integers(0, 60))
def test_no_bytes_do_harm(rubbish: bytes, place: int) -> None:
    whole = riff(fmt(PCM, 16), data(bytes(50)))
    for frame in (whole[:place] + rubbish, riff(rubbish)):
        try:
            heard([frame])
        except BadAudio as error:
            assert error.message.endswith(".")


def test_the_beginning_is_known() -> None:
    assert is_wav(riff(fmt(PCM, 16)))
    assert not is_wav(b"RIFF\0\0\0\0AVI ")
    assert read_header(riff(fmt(PCM, 16))) is None
