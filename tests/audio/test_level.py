import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hotmic.audio import level
from hotmic.values import Samples


def test_full_scale_square_wave_is_0_db() -> None:
    square = np.where(np.arange(1000) % 2, 32767, -32768).astype(np.int16)
    assert level.level_db(square) == pytest.approx(0.0, abs=0.01)


def test_offset_is_not_sound() -> None:
    assert level.level_db(np.full(512, 9000, dtype=np.int16)) == level.SILENCE_DB


def test_nothing_is_silence() -> None:
    assert level.level_db(np.zeros(0, dtype=np.int16)) == level.SILENCE_DB
    assert len(level.block_powers(np.zeros(3, dtype=np.int16), 4)) == 0


@given(arrays(np.int16, st.tuples(st.integers(1, 9), st.sampled_from([1, 100, 480, 512, 1024]))))
def test_frames_in_company_are_as_loud_as_alone(frames: Samples) -> None:
    assert level.frame_powers(frames) == [level.power(frame) for frame in frames]
    assert level.frame_levels(frames) == [level.level_db(frame) for frame in frames]


def test_blocks_leave_the_rest_out() -> None:
    samples = np.array([32767] * 4 + [0] * 4 + [32767] * 3, dtype=np.int16)
    assert level.block_powers(samples, 4) == pytest.approx([1.0, 0.0], abs=1e-3)


def test_smoothing_averages_what_exists() -> None:
    smoothed = level.smooth(np.array([3.0, 0.0, 3.0, 6.0], dtype=np.float32), 3)
    assert smoothed == pytest.approx([1.5, 2.0, 3.0, 4.5])
