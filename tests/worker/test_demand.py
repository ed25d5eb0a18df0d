from hypothesis import given
from hypothesis import strategies as st

from hotmic.worker.demand import Demand

IDS = ("a", "b", "c", "d")


def test_a_model_expires_when_its_last_session_left_long_ago() -> None:
    demand = Demand(keep_alive=10, most=2)
    demand.receive_pin("a")
    demand.receive_pin("a")
    demand.receive_unpin("a", now=1)
    assert (demand.next_timer(), demand.pins("a"), demand.needs("a")) == (None, 1, True)
    demand.receive_unpin("a", now=5)
    assert (demand.next_timer(), demand.needs("a")) == (15, False)
    assert demand.expired(now=14.9) == []
    assert demand.expired(now=15) == ["a"]
    demand.receive_pin("a")
    assert demand.expired(now=99) == []


def test_the_model_left_longest_ago_goes_first_and_the_wanted_one_never() -> None:
    demand = Demand(keep_alive=10, most=2)
    demand.receive_wish("a")
    for number, model_id in enumerate(("a", "b", "c")):
        demand.receive_pin(model_id)
        demand.receive_unpin(model_id, now=number)
    assert demand.least_recently_used() == "b"
    demand.receive_gone("b")
    assert demand.least_recently_used() == "c"
    demand.receive_gone("c")
    assert demand.least_recently_used() is None
    assert demand.expired(now=99) == []


def test_places_are_for_models_besides_the_wanted_one() -> None:
    demand = Demand(keep_alive=10, most=1)
    demand.receive_wish("a")
    demand.receive_pin("b")
    assert [demand.has_place(m) for m in IDS] == [True, True, False, False]


@given(st.lists(st.tuples(st.sampled_from(("pin", "unpin", "wish", "gone")), st.sampled_from(IDS))))
def test_nobody_loses_a_model_that_is_wanted(steps: list[tuple[str, str]]) -> None:
    demand = Demand(keep_alive=5, most=2)
    pins: dict[str, int] = dict.fromkeys(IDS, 0)
    for now, (step, model_id) in enumerate(steps):
        if step == "pin":
            demand.receive_pin(model_id)
            pins[model_id] += 1
        elif step == "unpin" and pins[model_id]:
            demand.receive_unpin(model_id, now=now)
            pins[model_id] -= 1
        elif step == "wish":
            demand.receive_wish(model_id)
        elif step == "gone" and not pins[model_id]:
            demand.receive_gone(model_id)
        in_use = {m for m, count in pins.items() if count} | {demand.wanted}
        assert not in_use & {*demand.expired(now=now + 1000), demand.least_recently_used()} - {None}
        assert [demand.pins(m) for m in IDS] == list(pins.values())
        assert {m for m in IDS if demand.needs(m)} == in_use - {None}
