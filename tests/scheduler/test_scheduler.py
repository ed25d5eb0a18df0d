import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.scheduler.bucket import bucket
from hotmic.scheduler.scheduler import Scheduler
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, DecodeOptions


def job(
    number: int,
    kind: DecodeKind = "partial",
    *,
    session: str = "a",
    seconds: float = 1.0,
    segment: str = "",
    **options: str,
) -> DecodeJob:
    return DecodeJob(
        job_id=str(number),
        session_id=session,
        segment_id=segment or session,
        kind=kind,
        samples=bytes(int(seconds * SAMPLE_RATE) * 2),
        start=0,
        deadline=float(number),
        options=DecodeOptions(**options),  # type: ignore[arg-type]
    )


def test_finals_go_first() -> None:
    scheduler = Scheduler()
    scheduler.receive_job(job(1, session="a"), now=0.0)
    scheduler.receive_job(job(2, "final", session="b"), now=0.0)
    (batch,) = scheduler.batches_to_run(now=0.0)
    assert batch.kind == "final"
    assert scheduler.batches_to_run(now=0.0) == [], "one batch in flight"
    scheduler.receive_done(batch, now=1.0)
    assert scheduler.batches_to_run(now=1.0)[0].kind == "partial"


def test_only_the_newest_partial_of_a_session_waits() -> None:
    scheduler = Scheduler()
    for number in range(5):
        scheduler.receive_job(job(number), now=0.0)
    (batch,) = scheduler.batches_to_run(now=0.0)
    assert [j.job_id for j in batch.jobs] == ["4"]
    assert scheduler.dropped == 4


def test_a_final_withdraws_the_partial_of_its_segment_alone() -> None:
    scheduler = Scheduler()
    scheduler.receive_job(job(1, segment="old"), now=0.0)
    scheduler.receive_job(job(2, "final", segment="old"), now=0.0)
    assert scheduler.waiting == {"final": 1, "partial": 0}
    scheduler.receive_job(job(3, segment="new"), now=0.0)
    scheduler.receive_job(job(4, "final", segment="old"), now=0.0)
    assert scheduler.waiting == {"final": 2, "partial": 1}


def test_a_batch_holds_rows_of_one_shape_oldest_first() -> None:
    scheduler = Scheduler(max_rows=3)
    rows = [job(5, "final", session="e"), job(1, "final", session="a"), job(2, "final", session="b", seconds=9.0)]
    rows += [job(3, "final", session="c"), job(4, "final", session="d"), job(6, "final", session="f", language="th")]
    for row in rows:
        scheduler.receive_job(row, now=0.0)
    order = []
    while batches := scheduler.batches_to_run(now=0.0):
        order.append([j.job_id for j in batches[0].jobs])
        scheduler.receive_done(batches[0], now=0.0)
    assert order == [["1", "3", "4"], ["2"], ["5"], ["6"]]


def test_two_batches_may_be_in_flight_where_allowed() -> None:
    scheduler = Scheduler(max_rows=1, max_in_flight=2)
    for number in range(3):
        scheduler.receive_job(job(number, session=str(number)), now=0.0)
    assert len(scheduler.batches_to_run(now=0.0)) == 2
    assert scheduler.rows_in_flight == 2


def test_cadence_follows_the_wait_between_its_bounds() -> None:
    scheduler = Scheduler(cadence=0.3, max_cadence=2.0)
    assert scheduler.cadence == 0.3
    for number in range(60):
        scheduler.receive_job(job(number), now=float(number))
        (batch,) = scheduler.batches_to_run(now=number + 0.4)
        scheduler.receive_done(batch, now=number + 0.8)
    assert scheduler.cadence == pytest.approx(1.2, abs=0.01)
    for number in range(60):
        scheduler.receive_job(job(number), now=float(number))
        (batch,) = scheduler.batches_to_run(now=float(number))
        scheduler.receive_done(batch, now=number + 50.0)
    assert scheduler.cadence == 2.0


def test_a_session_that_is_gone_leaves_its_finals() -> None:
    scheduler = Scheduler()
    scheduler.receive_job(job(1, "final", segment="one"), now=0.0)
    scheduler.receive_job(job(2, segment="two"), now=0.0)
    scheduler.forget("a")
    scheduler.forget("unknown")
    assert scheduler.waiting == {"final": 1, "partial": 0}


def test_buckets_round_up() -> None:
    assert bucket(job(1, seconds=0.4))[1] == 1.0
    assert bucket(job(1, seconds=4.9))[1] == 5.0
    assert bucket(job(1, seconds=5.0))[1] == 10.0
    assert bucket(job(1, seconds=31.0))[1] == 30.0


@given(
    st.lists(
        st.tuples(st.sampled_from(["partial", "final"]), st.integers(0, 5), st.sampled_from([0.5, 4.0, 12.0])),
        max_size=60,
    )
)
def test_every_final_runs_once_and_nothing_runs_twice(work: list[tuple[DecodeKind, int, float]]) -> None:
    scheduler, ran, finals = Scheduler(max_rows=4), [], set()
    for number, (kind, session, seconds) in enumerate(work):
        scheduler.receive_job(job(number, kind, session=str(session), seconds=seconds), now=float(number))
        if kind == "final":
            finals.add(str(number))
        if number % 3 == 0:
            for batch in scheduler.batches_to_run(now=float(number)):
                ran += [j.job_id for j in batch.jobs]
                scheduler.receive_done(batch, now=float(number))
    while batches := scheduler.batches_to_run(now=100.0):
        ran += [j.job_id for j in batches[0].jobs]
        scheduler.receive_done(batches[0], now=100.0)
    assert len(ran) == len(set(ran))
    assert finals <= set(ran)
    assert len(ran) + scheduler.dropped == len(work)
