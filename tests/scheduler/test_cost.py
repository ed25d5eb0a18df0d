import pytest

from hotmic.scheduler.cost import Cost


def test_nothing_is_known_before_the_first_batch() -> None:
    assert Cost().of(3, 100.0) == 0.0


def test_a_line_is_learned() -> None:
    cost = Cost()
    for number in range(200):
        audio = 3.0 * (1 + number % 8)
        cost.learn(audio, 0.02 + 0.003 * audio)
    assert cost.of(1, 12.0) == pytest.approx(0.056, rel=0.05)
    assert cost.of(10, 0.0) == pytest.approx(0.2, rel=0.2)


def test_batches_of_one_size_are_taken_to_be_half_fixed_cost() -> None:
    cost = Cost()
    for _ in range(30):
        cost.learn(5.0, 0.1)
    assert cost.of(1, 5.0) == pytest.approx(0.1)
    assert cost.of(1, 40.0) == pytest.approx(0.05 + 0.4)


def test_a_restart_in_between_is_no_cost() -> None:
    cost = Cost()
    for _ in range(50):
        cost.learn(5.0, 0.1)
    cost.learn(5.0, 30.0)
    assert cost.of(1, 5.0) < 0.12


def test_a_slower_device_is_learned_all_the_same() -> None:
    cost = Cost()
    for _ in range(50):
        cost.learn(5.0, 0.1)
    for _ in range(200):
        cost.learn(5.0, 1.0)
    assert cost.of(1, 5.0) == pytest.approx(1.0, rel=0.05)


def test_falling_cost_gives_no_falling_line() -> None:
    cost = Cost()
    for number in range(100):
        audio = 1.0 + number % 10
        cost.learn(audio, 0.2 - 0.01 * audio)
    fixed, slope = cost.line
    assert slope == 0.0
    assert fixed > 0.0
