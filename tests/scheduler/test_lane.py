import random

from hypothesis import given
from hypothesis import strategies as st

from hotmic.scheduler.lane import SESSION_QUANTUM, Lane
from hotmic.values import SAMPLE_RATE, DecodeJob


def job(number: int, *, session: str, tenant: str = "", seconds: float = 0.5) -> DecodeJob:
    return DecodeJob(
        job_id=str(number),
        session_id=session,
        segment_id=session,
        kind="final",
        samples=bytes(int(seconds * SAMPLE_RATE) * 2),
        start=0,
        deadline=0.0,
        tenant=tenant,
    )


def test_alike_served_sessions_go_by_deadline() -> None:
    lane = Lane()
    for number, deadline in enumerate((3.0, 1.0, 2.0)):
        lane.put(job(number, session=str(number)), deadline=deadline)
    assert lane.head[0] == 1.0
    assert [j.job_id for j in lane.take(8)] == ["1", "2", "0"]
    assert lane.take(8) == []


def test_the_first_row_decides_the_shape() -> None:
    lane = Lane()
    lane.put(job(1, session="a", seconds=4.0), deadline=2.0)
    lane.put(job(2, session="b"), deadline=1.0)
    lane.put(job(3, session="c", seconds=4.0), deadline=3.0)
    assert [j.job_id for j in lane.take(8)] == ["2"]
    assert [j.job_id for j in lane.take(8)] == ["1", "3"]


def test_a_session_gives_way_after_its_quantum() -> None:
    lane = Lane()
    for number in range(12):
        lane.put(job(number, session="many"), deadline=0.0)
    lane.put(job(99, session="one"), deadline=5.0)
    order = [lane.take(1)[0].session_id for _ in range(13)]
    assert order.index("one") == SESSION_QUANTUM


def test_where_sessions_are_not_counted_the_deadline_decides() -> None:
    lane = Lane(by_session=False)
    for number in range(12):
        lane.put(job(number, session="many"), deadline=0.0)
    lane.put(job(99, session="one"), deadline=5.0)
    assert [lane.take(1)[0].session_id for _ in range(13)][-1] == "one"


def test_tenants_share_by_audio_not_by_streams() -> None:
    lane = Lane()
    for number in range(1600):
        lane.put(job(number, session=f"a{number % 100}", tenant="crowd", seconds=4.0), deadline=0.0)
        lane.put(job(1000 + number, session=f"b{number % 2}", tenant="pair", seconds=4.0), deadline=0.0)
    rows = [j.tenant for _ in range(200) for j in lane.take(8)]
    assert 0.45 <= rows.count("pair") / len(rows) <= 0.55


def test_long_rows_cost_a_tenant_more() -> None:
    lane = Lane()
    for number in range(1500):
        lane.put(job(number, session=f"a{number}", tenant="long", seconds=29.0), deadline=0.0)
        lane.put(job(1000 + number, session=f"b{number}", tenant="short", seconds=2.5), deadline=0.0)
    rows = [lane.take(1)[0].tenant for _ in range(900)]
    assert 8 <= rows.count("short") / rows.count("long") <= 12


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.sampled_from([0.5, 4.0]), st.integers(0, 9)),
        max_size=80,
    ),
    st.integers(0, 1000),
)
def test_nothing_is_lost_or_doubled(rows: list[tuple[str, int, float, int]], seed: int) -> None:
    chance, lane, waiting, taken = random.Random(seed), Lane(), {}, []
    for number, (tenant, session, seconds, deadline) in enumerate(rows):
        row = job(number, session=f"{tenant}{session}", tenant=tenant, seconds=seconds)
        lane.put(row, deadline=float(deadline))
        waiting[row.job_id] = row
        if chance.random() < 0.2:
            lane.remove(waiting.pop(chance.choice(list(waiting))))
        if chance.random() < 0.2:
            for row in lane.take(3):
                taken.append(waiting.pop(row.job_id).job_id)
        assert len(lane) == len(waiting)
    while batch := lane.take(4):
        assert len({(len(row.samples)) for row in batch}) == 1
        taken += [waiting.pop(row.job_id).job_id for row in batch]
    assert not waiting
    assert len(taken) == len(set(taken))
    assert not lane._shelves
    assert not lane._waiting


def test_idle_tenants_are_forgotten() -> None:
    lane = Lane()
    for number in range(1000):
        lane.put(job(number, session=str(number), tenant=str(number)), deadline=0.0)
        lane.take(1)
    assert len(lane._sessions) < 100
