import pytest

from hotmic.scheduler.bucket import Bucket
from hotmic.scheduler.capacity import ARRIVING, LEAST_BATCHES, SPEAKING, Capacity, Fading
from hotmic.values import DecodeKind


def shape(kind: DecodeKind) -> Bucket:
    return Bucket(kind, 5.0, "transcribe", 1, 1, 0)


def speak(
    capacity: Capacity, speakers: int, *, cost: float, until: float = 60.0, start: float = 0.0, rows: int = 4
) -> float:
    """Let people say something of five seconds every five seconds; a batch of finals costs ``cost``. Returns now."""
    now = start
    number = 0
    while now < until:
        for _ in range(rows):
            capacity.receive_job(f"s{number % speakers}", shape("final"), now=now)
            number += 1
        capacity.receive_batch(shape("final"), rows, seconds=cost, now=now)
        now += 5.0 * rows / speakers
    return now


def test_nobody_is_refused_while_little_is_known() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    for number in range(LEAST_BATCHES - 1):
        capacity.receive_job("s", shape("final"), now=float(number))
        capacity.receive_batch(shape("final"), 1, seconds=5.0, now=float(number))
    assert capacity.retry_after(now=20.0) is None


@pytest.mark.parametrize("speakers", [64, 150])
def test_a_room_full_of_speakers_fits_the_bundled_model_on_two_cores(speakers: int) -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, speakers, cost=0.045)
    for step in range(40):
        capacity.receive_batch(shape("partial"), 8, seconds=0.06, now=now - 10 + step / 4)
    assert capacity.projected(now=now) < 0.85
    assert capacity.retry_after(now=now) is None


def test_who_would_be_one_too_many_is_told_when_to_come_again() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, 20, cost=0.9)
    retry_after = capacity.retry_after(now=now)
    assert retry_after is not None
    assert 5.0 <= retry_after <= 60.0
    for number in range(10):
        capacity.forget(f"s{number}", now=now)
    assert capacity.retry_after(now=now) is None, "half of them left"


def test_an_idle_machine_refuses_nobody() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, 20, cost=1.5) + 20.0
    assert capacity.projected(now=now) > 0.85, "they may all speak again at any moment"
    assert capacity.retry_after(now=now) is None


def test_a_storm_on_an_idle_machine_is_refused_once_it_would_be_too_much() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, 4, cost=0.9, rows=1) + 100.0
    admitted = 0
    for number in range(1000):
        if capacity.retry_after(now=now) is None:
            capacity.receive_session(f"n{number}", now=now)
            admitted += 1
    assert 4 <= admitted <= 50


def test_silent_speakers_and_late_arrivals_count_no_more() -> None:
    capacity, other = Capacity(max_rows=8, ceiling=2.0), Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, 20, cost=0.4)
    speak(other, 20, cost=0.4)
    capacity.receive_session("new", now=now)
    assert capacity.projected(now=now) > other.projected(now=now)
    later = now + ARRIVING + 1
    assert capacity.projected(now=later) == pytest.approx(other.projected(now=later))
    assert capacity.projected(now=now + SPEAKING + 10) < other.projected(now=later) / 5


def test_partials_count_as_far_as_they_are_owed_and_no_further() -> None:
    loads = []
    for share in (0.0, 0.125, 1.0):
        capacity = Capacity(max_rows=8, ceiling=2.0, partial_share=share)
        now = speak(capacity, 20, cost=0.1)
        for _ in range(20):
            capacity.receive_batch(shape("partial"), 8, seconds=0.4, now=now)
        loads.append(capacity.projected(now=now))
    assert loads[1] == pytest.approx(loads[0] + 0.125)
    assert loads[2] > loads[1]


def test_utilisation_is_the_share_of_busy_time() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    assert capacity.utilisation("final", now=5.0) == 0.0
    for step in range(100):
        capacity.receive_batch(shape("final"), 1, seconds=0.3, now=float(step))
    assert capacity.utilisation("final", now=99.0) == pytest.approx(0.3, abs=0.03)
    assert capacity.utilisation("partial", now=99.0) == 0.0
    assert capacity.finals_load(now=99.0) <= 0.33


def test_another_model_starts_from_nothing() -> None:
    capacity = Capacity(max_rows=8, ceiling=2.0)
    now = speak(capacity, 20, cost=0.9)
    capacity.reset()
    assert capacity.retry_after(now=now) is None
    assert capacity.utilisation("final", now=now) == 0.0


def test_a_fading_sum_halves_with_time() -> None:
    total = Fading(10.0)
    total.add(1.0, now=5.0)
    assert total.at(5.0) == 1.0
    assert total.at(5.0 + 6.931) == pytest.approx(0.5, rel=1e-3)
    assert total.at(0.0) == 1.0, "time never runs back"
