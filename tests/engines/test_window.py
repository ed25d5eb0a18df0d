import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.engines.window import bucket_frames, bucket_sizes


@given(st.integers(1, 480_000), st.floats(0.5, 30), st.sampled_from([80, 128]))
def test_no_bucket_has_the_length_of_features(samples: int, floor: float, n_mels: int) -> None:
    frames = bucket_frames(samples, floor=floor, n_mels=n_mels)
    assert -(-frames // 2) != n_mels
    assert samples <= frames * 160 <= 480_000
    assert frames >= round(floor * 100)


@pytest.mark.parametrize(("floor", "n_mels"), [(1.59, 80), (1.6, 80), (2.55, 128), (2.56, 128)])
def test_floors_at_the_trap_step_aside(floor: float, n_mels: int) -> None:
    assert bucket_frames(1600, floor=floor, n_mels=n_mels) == round(floor * 100) + 2


@pytest.mark.parametrize(
    ("seconds", "floor", "frames"),
    [
        (0.5, 1, 100),
        (0.9, 1, 100),
        (0.91, 1, 200),
        (4, 1, 500),
        (4.9, 5, 500),
        (5, 5, 1000),
        (4, 7, 700),
        (30, 30, 3000),
    ],
)
def test_the_next_larger_bucket(seconds: float, floor: float, frames: int) -> None:
    assert bucket_frames(round(seconds * 16_000), floor=floor, n_mels=80) == frames


def test_the_floor_is_a_bucket() -> None:
    assert bucket_sizes(7.0) == [7.0, 10.0, 15.0, 20.0, 30.0]
    assert bucket_sizes(30.0) == [30.0]
