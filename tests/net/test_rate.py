from hypothesis import given
from hypothesis import strategies as st

from hotmic.net.rate import TOLERANCE, Bucket

AMOUNTS = st.floats(min_value=0.001, max_value=10, allow_nan=False)
PAUSES = st.floats(min_value=0, max_value=20, allow_nan=False)


def test_a_full_bucket_gives_its_burst_and_not_one_more() -> None:
    bucket = Bucket(20, 40)
    assert [bucket.take(1, 5.0) for _ in range(40)] == [0.0] * 40
    assert bucket.take(1, 5.0) == 1 / 20
    assert bucket.take(1, 5.0 + 1 / 20 - 2 * TOLERANCE) > 0
    assert bucket.take(1, 5.0 + 1 / 20) == 0
    assert bucket.take(1, 5.0 + 1 / 20) > 0


def test_it_never_holds_more_than_its_burst() -> None:
    bucket = Bucket(4, 30)
    assert bucket.take(30, 1e6) == 0
    assert bucket.take(30, 2e6) == 0
    assert bucket.take(1, 2e6) == 0.25


def test_an_amount_over_the_burst_is_given_by_a_full_bucket_and_made_up_for() -> None:
    bucket = Bucket(2, 10)
    assert bucket.take(1, 0.0) == 0
    assert bucket.take(16, 0.0) == 0.5
    assert bucket.take(16, 0.5) == 0
    assert bucket.take(1, 0.5) == (6 + 1) / 2


def test_without_a_rate_there_is_no_limit() -> None:
    bucket = Bucket(0, 1)
    assert [bucket.take(1e9, 0.0) for _ in range(3)] == [0.0] * 3


@given(
    rate=st.floats(min_value=0.5, max_value=1000),
    burst=st.floats(min_value=1, max_value=100),
    start=st.floats(min_value=0, max_value=1e6),
    wishes=st.lists(st.tuples(PAUSES, AMOUNTS), min_size=1, max_size=60),
)
def test_what_is_taken_keeps_to_the_rate_and_what_is_told_holds(
    rate: float, burst: float, start: float, wishes: list[tuple[float, float]]
) -> None:
    bucket, now, given_out, most = Bucket(rate, burst), start, 0.0, 0.0
    for pause, amount in wishes:
        now += pause
        wait = bucket.take(amount, now)
        if wait:
            assert bucket.take(amount, now) == wait, "a refusal takes nothing"
            now += wait
            assert bucket.take(amount, now) == 0, "after the told time it is taken"
        given_out += amount
        most = max(most, amount)
        slack = 1e-6 * (1 + rate) * len(wishes)
        assert given_out <= max(burst, most) + rate * (now - start) + slack


@given(rate=st.integers(1, 1000), seconds=st.integers(1, 50), start=st.floats(min_value=0, max_value=1e6))
def test_who_keeps_to_the_rate_never_waits(rate: int, seconds: int, start: float) -> None:
    bucket = Bucket(rate, rate)
    for number in range(rate * min(seconds, 3)):
        assert bucket.take(1, start + number / rate) == 0
