import sys

from hypothesis import given
from hypothesis import strategies as st

from hotmic.scheduler.scheduler import FINALS_IN_A_ROW, LATE, STARVED, Scheduler
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, DecodeOptions


def job(
    number: int,
    kind: DecodeKind = "partial",
    *,
    session: str = "a",
    seconds: float = 1.0,
    segment: str = "",
    tenant: str = "",
    deadline: float | None = None,
    is_from_file: bool = False,
    **options: str,
) -> DecodeJob:
    return DecodeJob(
        job_id=str(number),
        session_id=session,
        segment_id=segment or session,
        kind=kind,
        samples=bytes(int(seconds * SAMPLE_RATE) * 2),
        start=0,
        deadline=float(number) if deadline is None else deadline,
        tenant=tenant,
        is_from_file=is_from_file,
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
    assert scheduler.waiting == {"final": 1, "partial": 0, "file": 0}
    scheduler.receive_job(job(3, segment="new"), now=0.0)
    scheduler.receive_job(job(4, "final", segment="old"), now=0.0)
    assert scheduler.waiting == {"final": 2, "partial": 1, "file": 0}


def test_a_batch_holds_rows_of_one_shape_oldest_first() -> None:
    scheduler = Scheduler(max_rows=3)
    rows = [job(5, "final", session="e"), job(1, "final", session="a"), job(2, "final", session="b", seconds=9.0)]
    rows += [job(3, "final", session="c"), job(4, "final", session="d"), job(6, "final", session="f", task="translate")]
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


def run_one(scheduler: Scheduler, *, now: float, takes: float = 0.1) -> list[DecodeJob]:
    (batch,) = scheduler.batches_to_run(now=now)
    scheduler.receive_done(batch, now=now + takes)
    return list(batch.jobs)


def test_a_refreshed_partial_keeps_its_turn() -> None:
    scheduler = Scheduler(max_rows=1)
    scheduler.receive_job(job(1, session="a", deadline=0.3), now=0.0)
    scheduler.receive_job(job(2, session="b", deadline=0.4), now=0.1)
    scheduler.receive_job(job(3, session="a", deadline=0.6), now=0.3)
    assert [j.job_id for j in run_one(scheduler, now=0.3)] == ["3"]
    assert [j.job_id for j in run_one(scheduler, now=0.4)] == ["2"]


def test_a_turn_that_a_final_took_goes_to_the_next_segment() -> None:
    scheduler = Scheduler(max_rows=1)
    scheduler.receive_job(job(1, session="a", segment="a1", deadline=0.3), now=0.0)
    scheduler.receive_job(job(2, "final", session="a", segment="a1", deadline=0.1), now=0.1)
    scheduler.receive_job(job(3, session="b", deadline=0.5), now=0.2)
    scheduler.receive_job(job(4, session="a", segment="a2", deadline=0.7), now=0.4)
    assert [run_one(scheduler, now=0.4 + n / 10)[0].job_id for n in range(3)] == ["2", "4", "3"]


def test_a_partial_that_nobody_refreshed_is_dropped() -> None:
    scheduler = Scheduler(cadence=0.3, max_cadence=2.0)
    scheduler.receive_job(job(1, session="a"), now=0.0)
    scheduler.receive_job(job(2, session="b"), now=1.0)
    assert [j.job_id for j in run_one(scheduler, now=2.4)] == ["2"]
    assert scheduler.dropped == 1
    scheduler.receive_job(job(3, session="a"), now=2.5)
    assert [j.job_id for j in run_one(scheduler, now=2.5)] == ["3"]


def test_a_flood_of_finals_leaves_partials_one_batch_in_eight() -> None:
    scheduler = Scheduler(max_rows=1)
    kinds = []
    for number in range(160):
        scheduler.receive_job(job(number, "final", session=f"f{number % 9}", deadline=0.0), now=0.0)
    for step in range(80):
        now = 10.0 + step / 10
        scheduler.receive_job(job(1000 + step, session="p", deadline=now), now=now)
        kinds.append(run_one(scheduler, now=now)[0].kind)
    assert FINALS_IN_A_ROW == 7
    assert kinds == (["final"] * 7 + ["partial"]) * 10


def test_late_partials_go_before_fresh_finals_and_not_before_old_ones() -> None:
    scheduler = Scheduler(max_rows=4)
    scheduler.receive_job(job(1, session="warm", deadline=0.0), now=0.0)
    run_one(scheduler, now=0.0, takes=0.05)

    def kind_after(wait: float, *, final_waited: float) -> str:
        fresh = Scheduler(max_rows=4, capacity=scheduler.capacity)
        fresh.receive_job(job(2, session="p", deadline=100.0), now=100.0 - wait)
        fresh.receive_job(job(3, "final", session="f", deadline=100.0), now=100.0 - final_waited)
        return run_one(fresh, now=100.0, takes=0.05)[0].kind

    assert kind_after(LATE + 0.1, final_waited=0.0) == "partial"
    assert kind_after(LATE - 0.1, final_waited=0.0) == "final", "it is not late"
    assert kind_after(LATE + 0.1, final_waited=0.24) == "final", "it would have waited too long"


def test_a_tenant_with_many_streams_does_not_starve_one_with_two() -> None:
    scheduler = Scheduler(max_rows=4)
    served = {"crowd": 0, "pair": 0}
    for step in range(200):
        now = step / 10
        if step % 3 == 0:
            for number in range(102):
                tenant = "pair" if number >= 100 else "crowd"
                scheduler.receive_job(
                    job(step * 1000 + number, session=f"{number}", tenant=tenant, deadline=now), now=now
                )
        for row in run_one(scheduler, now=now):
            served[row.tenant] += 1
    asked = -(-200 // 3)
    assert served["pair"] >= 0.95 * 2 * asked, "what it asks for is less than its share"
    assert served["crowd"] >= 4 * 200 - 2 * asked, "and the rest goes to the others"


def test_finals_of_a_pushed_file_do_not_hold_up_a_speaker() -> None:
    scheduler = Scheduler(max_rows=1)
    for number in range(100):
        scheduler.receive_job(job(number, "final", session="file", deadline=0.0), now=0.0)
    now = 0.0
    for _ in range(20):
        now += 0.1
        run_one(scheduler, now=now)
    scheduler.receive_job(job(1000, "final", session="speaker", deadline=now), now=now)
    order = [run_one(scheduler, now=now + n / 10)[0].session_id for n in range(81)]
    assert order.index("speaker") <= 4
    assert order.count("file") == 80


def test_with_two_in_flight_a_batch_costs_only_its_own_time() -> None:
    scheduler = Scheduler(max_rows=1, max_in_flight=2)
    for number in range(2):
        scheduler.receive_job(job(number, session=str(number)), now=0.0)
    first, second = scheduler.batches_to_run(now=0.0)
    scheduler.receive_done(first, now=0.1)
    scheduler.receive_done(second, now=0.2)
    cost = scheduler.capacity.costs["partial"]
    assert abs(cost.of(1, first.shape.seconds) - 0.1) < 1e-9


def test_a_failed_batch_and_another_model_teach_no_cost() -> None:
    scheduler = Scheduler()
    scheduler.receive_job(job(1), now=0.0)
    (batch,) = scheduler.batches_to_run(now=0.0)
    scheduler.receive_done(batch, now=9.0, has_failed=True)
    assert scheduler.capacity.costs["partial"].count == 0
    scheduler.receive_job(job(2), now=9.0)
    run_one(scheduler, now=9.0)
    assert scheduler.capacity.costs["partial"].count == 1
    scheduler.receive_model(batches_in_flight=2)
    assert scheduler.max_in_flight == 2
    assert scheduler.capacity.costs["partial"].count == 0


def test_a_session_that_is_gone_leaves_its_finals() -> None:
    scheduler = Scheduler()
    scheduler.receive_job(job(1, "final", segment="one"), now=0.0)
    scheduler.receive_job(job(2, segment="two"), now=0.0)
    scheduler.forget("a", now=0.0)
    scheduler.forget("unknown", now=0.0)
    assert scheduler.waiting == {"final": 1, "partial": 0, "file": 0}


def test_files_go_when_nothing_that_is_spoken_waits() -> None:
    scheduler = Scheduler(max_rows=1)
    scheduler.receive_job(job(1, "final", session="file", is_from_file=True, deadline=0.0), now=5.0)
    scheduler.receive_job(job(2, session="a", deadline=100.0), now=5.0)
    scheduler.receive_job(job(3, "final", session="b", deadline=100.0), now=5.0)
    assert [run_one(scheduler, now=5.0 + n / 10)[0].job_id for n in range(3)] == ["3", "2", "1"]


def test_files_run_in_brief_batches_one_at_a_time_while_somebody_speaks() -> None:
    scheduler = Scheduler(max_rows=8, max_in_flight=2)
    for number in range(40):
        scheduler.receive_job(job(number, "final", session="file", is_from_file=True), now=0.0)
    for step in range(2):
        for batch in scheduler.batches_to_run(now=float(step)):
            scheduler.receive_done(batch, now=float(step) + 0.04 * len(batch.jobs))
    alone = scheduler.batches_to_run(now=2.0)
    assert [len(batch.jobs) for batch in alone] == [8, 8]
    for batch in alone:
        scheduler.receive_done(batch, now=2.3)
    scheduler.receive_session("speaker", now=2.3)
    (beside,) = scheduler.batches_to_run(now=2.3)
    assert len(beside.jobs) < 8


def test_files_keep_nobody_out_and_teach_nothing_of_the_load() -> None:
    scheduler = Scheduler(max_rows=1)
    for number in range(100):
        scheduler.receive_job(job(number, "final", session=f"f{number}", is_from_file=True), now=0.0)
    for step in range(60):
        run_one(scheduler, now=float(step), takes=1.0)
    assert scheduler.retry_after(now=60.0) is None
    assert scheduler.capacity.costs["final"].count == 0
    assert scheduler.capacity.utilisation("final", now=60.0) == 0


def test_files_starve_for_so_long_where_partials_fill_the_device_and_wait_for_finals_always() -> None:
    scheduler = Scheduler(max_rows=1)
    for number in range(9):
        scheduler.receive_job(job(number, "final", session="file", is_from_file=True), now=0.0)
    served = []
    for step in range(101):
        now = step / 10
        scheduler.receive_job(job(1000 + step, session="a", deadline=now), now=now)
        if run_one(scheduler, now=now)[0].is_from_file:
            served.append(now)
    assert served == [STARVED, 2 * STARVED]
    scheduler.receive_job(job(2000, "final", session="b", deadline=20.0), now=20.0)
    assert run_one(scheduler, now=20.0)[0].job_id == "2000"


def test_what_waits_of_a_file_can_be_withdrawn() -> None:
    scheduler = Scheduler(max_rows=1)
    for number in range(4):
        scheduler.receive_job(job(number, "final", session="ab"[number % 2], is_from_file=True), now=0.0)
    (batch,) = scheduler.batches_to_run(now=0.0)
    scheduler.withdraw("a")
    scheduler.withdraw("unknown")
    assert scheduler.waiting["file"] == 2
    scheduler.receive_done(batch, now=0.1)
    assert [run_one(scheduler, now=0.2 + n)[0].session_id for n in range(2)] == ["b", "b"]
    assert scheduler.batches_to_run(now=9.0) == []


def calls_with(pending: int) -> int:
    scheduler = Scheduler(max_rows=32)
    for number in range(pending):
        scheduler.receive_job(job(number, session=str(number), tenant=str(number % 50), deadline=0.0), now=0.0)
        kind: DecodeKind = "final" if number % 4 else "partial"
        scheduler.receive_job(job(-number - 1, kind, session=str(number), segment="x", deadline=0.0), now=0.0)
    count = 0

    def see(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        for step in range(20):
            scheduler.receive_job(job(10**6 + step, session=str(step), deadline=0.0), now=0.0)
            run_one(scheduler, now=0.1 + step / 100, takes=0.01)
    finally:
        sys.setprofile(None)
    return count


def test_work_per_job_does_not_grow_with_those_that_wait() -> None:
    assert calls_with(5000) < 1.5 * calls_with(1000)


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
