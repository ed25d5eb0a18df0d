import pytest

from hotmic.scheduler.bucket import Bucket
from hotmic.scheduler.cadence import Cadence
from hotmic.scheduler.cost import Cost

SHORT = Bucket("partial", 3.0, "transcribe", 1, 1, 0)
LONG = Bucket("partial", 10.0, "transcribe", 1, 1, 0)


def learned(fixed: float = 0.05, slope: float = 0.002) -> Cost:
    cost = Cost()
    for number in range(200):
        audio = 3.0 * (1 + number % 8)
        cost.learn(audio, fixed + slope * audio)
    return cost


def settle(cadence: Cadence, cost: Cost, talkers: int, *, finals: float = 0.0, start: float = 0.0) -> list[float]:
    values = []
    for step in range(200):
        now = start + step / 10
        for number in range(talkers):
            cadence.receive_partial(str(number), SHORT, now=now)
        cadence.update(cost, finals=finals, now=now)
        values.append(cadence.value)
    return values


def build() -> Cadence:
    return Cadence(floor=0.3, ceiling=2.0, max_rows=8)


def test_it_stays_at_the_floor_while_a_round_is_cheap() -> None:
    assert settle(build(), learned(), 8)[-1] == pytest.approx(0.3)


def test_a_round_takes_the_share_that_is_free() -> None:
    cost = learned()
    cadence = build()
    value = settle(cadence, cost, 64)[-1]
    assert value == pytest.approx(cadence.round_cost(cost) / 0.75, rel=0.01)
    assert settle(build(), cost, 64, finals=0.3)[-1] == pytest.approx(cadence.round_cost(cost) / 0.45, rel=0.01)
    assert settle(build(), cost, 64, finals=5.0)[-1] == pytest.approx(2.0, rel=0.01)


def test_it_approaches_without_overshoot_and_stays() -> None:
    values = settle(build(), learned(), 80)
    assert values == sorted(values)
    assert max(values[100:]) - min(values[100:]) < 0.01


def test_it_rises_faster_than_it_falls() -> None:
    cadence, cost = build(), learned()
    up = settle(cadence, cost, 1000)
    for number in range(1000):
        cadence.forget(str(number))
    down = settle(cadence, cost, 1, start=20.0)
    assert sum(v < 1.0 for v in up) < sum(v > 1.0 for v in down)
    assert down[-1] < 0.4


def test_who_does_not_ask_any_more_talks_no_more() -> None:
    cadence, cost = build(), learned()
    cadence.receive_partial("a", SHORT, now=0.0)
    cadence.receive_partial("b", SHORT, now=2.0)
    cadence.receive_partial("b", LONG, now=2.1)
    cadence.update(cost, finals=0.0, now=2.4)
    assert len(cadence) == 1
    assert cadence.round_cost(cost) == pytest.approx(cost.of(1, 10.0))
    cadence.forget("b")
    assert cadence.round_cost(cost) == pytest.approx(0.0)


def test_each_shape_needs_a_batch_of_its_own() -> None:
    cadence, cost = build(), learned()
    for number in range(9):
        cadence.receive_partial(str(number), SHORT, now=0.0)
    cadence.receive_partial("long", LONG, now=0.0)
    assert cadence.round_cost(cost) == pytest.approx(cost.of(3, 37.0))
