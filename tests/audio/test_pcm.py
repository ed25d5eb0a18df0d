from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio import pcm
from hotmic.errors import BadAudio


@given(st.lists(st.integers(-32768, 32767)))
def test_pcm16_is_read_as_written(values: list[int]) -> None:
    data = np.array(values, dtype="<i2").tobytes()
    parsed = pcm.parse(data)
    assert parsed.dtype == np.int16
    assert parsed.tolist() == values
    assert pcm.from_float(pcm.to_float(parsed)).tolist() == values


def test_odd_byte_count_is_named() -> None:
    with pytest.raises(BadAudio, match=r"odd.*3"):
        pcm.parse(b"abc")


def test_unknown_encoding_lists_the_known() -> None:
    with pytest.raises(BadAudio, match=r"opus.*pcm16, float32, mulaw, alaw"):
        pcm.parse(b"", encoding="opus")


def test_float32_clips_and_rounds() -> None:
    data = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 7.0, -7.0], dtype="<f4").tobytes()
    assert pcm.parse(data, encoding="float32").tolist() == [0, 16384, -16384, 32767, -32768, 32767, -32768]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_float32_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(BadAudio, match="finite"):
        pcm.parse(np.array([0.1, value], dtype="<f4").tobytes(), encoding="float32")


def test_float32_of_broken_length_is_refused() -> None:
    with pytest.raises(BadAudio, match="multiple of 4"):
        pcm.parse(b"123456", encoding="float32")


@pytest.mark.parametrize(
    ("encoding", "code", "value"),
    [
        # ITU-T G.711: the extremes, both zeros and the smallest steps, scaled from 14 (mu) and 13 (A) to 16 bits.
        ("mulaw", 0x00, -32124),
        ("mulaw", 0x80, 32124),
        ("mulaw", 0xFF, 0),
        ("mulaw", 0x7F, 0),
        ("mulaw", 0xFE, 8),
        ("mulaw", 0xEF, 132),
        ("alaw", 0x2A, -32256),
        ("alaw", 0xAA, 32256),
        ("alaw", 0xD5, 8),
        ("alaw", 0x55, -8),
        ("alaw", 0xC5, 264),
    ],
)
def test_g711_values(encoding: str, code: int, value: int) -> None:
    assert pcm.parse(bytes([code]), encoding=encoding).tolist() == [value]


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_g711_is_symmetric(encoding: str) -> None:
    values = pcm.parse(bytes(range(256)), encoding=encoding).astype(int)
    assert (np.sort(values) == np.sort(-values)).all()
    assert len(set(values.tolist())) >= 255


@pytest.mark.parametrize("encoding", ["pcm16", "float32", "mulaw", "alaw", "flac"])
@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\0" * 7, b"\0" * 6, np.float32("nan").tobytes()])
def test_what_is_checked_is_what_can_be_parsed(encoding: str, data: bytes) -> None:
    def complaint(read: Callable[..., object]) -> str:
        try:
            read(data, encoding=encoding)
        except BadAudio as error:
            return error.message
        return ""

    assert complaint(pcm.check) == complaint(pcm.parse)
    if not complaint(pcm.parse):
        assert len(pcm.parse(data, encoding=encoding)) * pcm.sample_bytes(encoding) == len(data)
