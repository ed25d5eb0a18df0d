import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.audio.ring import Ring
from hotmic.errors import RingFull
from hotmic.values import Samples

CAPACITY = 50_000


def numbers(start: int, count: int) -> Samples:
    return (np.arange(start, start + count) % 30011).astype(np.int16)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.floats(0, 1)), max_size=30))
def test_positions_survive_any_appends_and_releases(steps: list[tuple[int, float]]) -> None:
    ring = Ring(CAPACITY)
    begin = end = 0
    for count, share in steps:
        if end - begin + count > CAPACITY:
            with pytest.raises(RingFull):
                ring.append(numbers(end, count))
        else:
            ring.append(numbers(end, count))
            end += count
        position = begin + int((end - begin) * share)
        ring.release(position)
        begin = position
        assert (ring.begin, ring.end) == (begin, end)
        assert np.array_equal(ring.read(begin, end), numbers(begin, end - begin))
        assert end - begin <= ring.allocated <= max(4096, min(CAPACITY, 6 * (end - begin + count)))


def test_read_is_a_copy() -> None:
    ring = Ring(100)
    ring.append(numbers(0, 10))
    ring.read(0, 10)[:] = 0
    assert ring.read(0, 10).tolist() == list(range(10))


@pytest.mark.parametrize(("start", "stop"), [(4, 8), (5, 11), (8, 7)])
def test_outside_is_an_error(start: int, stop: int) -> None:
    ring = Ring(100)
    ring.append(numbers(0, 10))
    ring.release(5)
    with pytest.raises(IndexError):
        ring.read(start, stop)


def test_release_of_the_future_is_an_error() -> None:
    with pytest.raises(IndexError):
        Ring(10).release(1)


def test_release_of_the_past_changes_nothing() -> None:
    ring = Ring(100)
    ring.append(numbers(0, 10))
    ring.release(5)
    ring.release(2)
    assert ring.begin == 5


def test_full_ring_takes_more_after_capacity_grew() -> None:
    ring = Ring(10)
    ring.append(numbers(0, 10))
    with pytest.raises(RingFull):
        ring.append(numbers(10, 1))
    ring.capacity = 20
    ring.append(numbers(10, 10))
    assert np.array_equal(ring.read(0, 20), numbers(0, 20))


def test_idle_ring_is_small() -> None:
    ring = Ring(60 * 16000)
    assert ring.allocated == 0
    for start in range(0, 60 * 16000, 1600):
        ring.append(numbers(start, 1600))
    ring.release(ring.end - 4800)
    assert ring.allocated <= 16384
    ring.release(ring.end)
    assert ring.allocated <= 4096
