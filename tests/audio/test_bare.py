"""Clips as float32 and int16, cut at odd places, are told apart; so are sounds that are no speech."""

import numpy as np
import pytest

from hotmic.audio.bare import ENOUGH, MOST_HELD, BareReader
from hotmic.errors import BadAudio
from hotmic.values import Samples
from running import CLIPS
from sound import not_speech
from wav_support import pieces, read_clip

SOUNDS = {path.stem: read_clip(path) for path in sorted(CLIPS.glob("*.wav"))}
SOUNDS |= {f"{kind} {level}": not_speech(kind, level, 1.0) for kind in ("white", "music") for level in (-60, -20, -1)}
SOUNDS["one bit of noise"] = np.random.default_rng(1).integers(-1, 2, 4000).astype(np.int16)
SOUNDS["full scale"] = np.random.default_rng(1).integers(-32768, 32768, 4000).astype(np.int16)
SOUNDS["loud hum"] = (16_000 * np.sin(np.arange(4000) * 2 * np.pi * 50 / 16_000)).astype(np.int16)


def as_float(samples: Samples) -> bytes:
    return (samples / 32768).astype("<f4").tobytes()


def heard(reader: BareReader, frames: list[bytes]) -> Samples:
    return np.concatenate([reader.receive(frame) for frame in frames])


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("size", [1, 3, 333, 1025, 32_000])
def test_sound_is_told_apart_wherever_it_is_cut(name: str, size: int) -> None:
    samples = SOUNDS[name][: 4000 if size < 10 else None]
    for encoding, data in (("pcm16", samples.tobytes()), ("float32", as_float(samples))):
        reader = BareReader()
        found = heard(reader, pieces(data, size))
        assert reader.encoding == encoding
        loud = np.flatnonzero(samples)[0]
        np.testing.assert_array_equal(found[-len(samples) + loud :], samples[loud:], err_msg=encoding)


def test_silence_says_nothing_and_is_told_at_once() -> None:
    reader = BareReader()
    assert len(reader.receive(bytes(3201))) == 1600
    assert reader.encoding == ""
    words = np.full(ENOUGH, 0.25, "<f4").tobytes()
    np.testing.assert_array_equal(reader.receive(bytes(3) + words), [0] + [8192] * ENOUGH)
    assert reader.encoding == "float32"


def test_a_click_in_silence_is_not_waited_for_without_end() -> None:
    reader = BareReader()
    assert len(reader.receive(b"\1\0\0\0")) == 0
    assert len(reader.receive(bytes(MOST_HELD))) == (MOST_HELD + 4) // 2
    assert reader.encoding == "pcm16"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_that_is_no_number_costs_its_frame_alone(value: float) -> None:
    reader = BareReader()
    good = np.full(100, 0.25, "<f4")
    reader.receive(good.tobytes())
    with pytest.raises(BadAudio):
        reader.receive(np.array([0.5, value], "<f4").tobytes() + b"\1")
    assert reader.receive(good.tobytes()).tolist() == [8192] * 100


def test_the_limits_of_the_rule() -> None:
    """What the docstring says is mistaken is mistaken, so that nobody has to find out."""
    shifted, scaled = BareReader(), BareReader()
    shifted.receive(np.full(200, 12_000, np.int16).tobytes())
    scaled.receive((SOUNDS["flight"][8000:9000].astype("<f4")).tobytes())
    assert (shifted.encoding, scaled.encoding) == ("float32", "pcm16")
