import random

import pytest

from slope import second_half, slope


def test_a_line() -> None:
    assert slope([(float(t), 5.0 + 2.0 * t) for t in range(20)]) == pytest.approx(2.0)


def test_samples_that_stand_out_do_not_move_it() -> None:
    samples = [(float(t), 3.0 * t + (500.0 if t % 5 == 0 else 0.0)) for t in range(100)]
    assert slope(samples) == pytest.approx(3.0)


def test_noise_without_growth_is_flat_and_a_leak_in_it_is_seen() -> None:
    rng = random.Random(1)
    noise = [(float(t), rng.gauss(100.0, 2.0)) for t in range(300)]
    assert abs(slope(noise)) < 0.005
    assert slope([(t, value + 0.1 * t) for t, value in noise]) == pytest.approx(0.1, abs=0.01)


def test_the_second_half_leaves_out_what_is_filled_once() -> None:
    filling = [(float(t), min(t, 40) * 10.0) for t in range(101)]
    half = second_half(filling)
    assert (half[0][0], half[-1][0]) == (50.0, 100.0)
    assert slope(half) == 0.0


@pytest.mark.parametrize("samples", [[], [(0.0, 1.0)], [(1.0, 1.0), (1.0, 2.0)]])
def test_too_few_samples_are_an_error(samples: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two"):
        slope(samples)
