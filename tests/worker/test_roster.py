from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.values import ModelState
from hotmic.worker.roster import TRANSITIONS, Roster, Trigger, advance, diagram

IDS = ("a", "b", "c", "d")


def test_every_state_can_be_reached_and_left() -> None:
    reached = {"loading", *TRANSITIONS.values()}
    assert reached == set(get_args(ModelState))
    assert {before for before, _ in TRANSITIONS} == reached - {"retiring"}


def test_what_cannot_happen_is_our_own_mistake() -> None:
    assert advance("loading", Trigger.LOADED) == "warming"
    with pytest.raises(ValueError, match="retiring cannot be told: every bucket warm"):
        advance("retiring", Trigger.WARMED)


def test_the_diagram_in_the_docs_is_this_table() -> None:
    assert diagram().count("-->") == len(TRANSITIONS) + 2
    assert diagram() in (Path(__file__).parents[2] / "docs" / "design.md").read_text("utf-8"), "the docs are stale"


def test_a_model_expires_when_its_last_session_left_long_ago() -> None:
    roster = Roster(keep_alive=10, most=2)
    roster.receive_pin("a")
    roster.receive_pin("a")
    roster.receive_unpin("a", now=1)
    assert (roster.next_timer(), roster.pins("a"), roster.needs("a")) == (None, 1, True)
    roster.receive_unpin("a", now=5)
    assert (roster.next_timer(), roster.needs("a")) == (15, False)
    assert roster.expired(now=14.9) == []
    assert roster.expired(now=15) == ["a"]
    roster.receive_pin("a")
    assert roster.expired(now=99) == []


def test_the_model_left_longest_ago_goes_first_and_the_wanted_one_never() -> None:
    roster = Roster(keep_alive=10, most=2)
    roster.receive_wish("a")
    for number, model_id in enumerate(("a", "b", "c")):
        roster.receive_pin(model_id)
        roster.receive_unpin(model_id, now=number)
    assert roster.least_recently_used() == "b"
    roster.receive_gone("b")
    assert roster.least_recently_used() == "c"
    roster.receive_gone("c")
    assert roster.least_recently_used() is None
    assert roster.expired(now=99) == []


def test_places_are_for_models_besides_the_wanted_one() -> None:
    roster = Roster(keep_alive=10, most=1)
    roster.receive_wish("a")
    roster.receive_pin("b")
    assert [roster.has_place(m) for m in IDS] == [True, True, False, False]


@given(st.lists(st.tuples(st.sampled_from(("pin", "unpin", "wish", "gone")), st.sampled_from(IDS))))
def test_nobody_loses_a_model_that_is_wanted(steps: list[tuple[str, str]]) -> None:
    roster = Roster(keep_alive=5, most=2)
    pins: dict[str, int] = dict.fromkeys(IDS, 0)
    for now, (step, model_id) in enumerate(steps):
        if step == "pin":
            roster.receive_pin(model_id)
            pins[model_id] += 1
        elif step == "unpin" and pins[model_id]:
            roster.receive_unpin(model_id, now=now)
            pins[model_id] -= 1
        elif step == "wish":
            roster.receive_wish(model_id)
        elif step == "gone" and not pins[model_id]:
            roster.receive_gone(model_id)
        in_use = {m for m, count in pins.items() if count} | {roster.wanted}
        assert not in_use & {*roster.expired(now=now + 1000), roster.least_recently_used()} - {None}
        assert [roster.pins(m) for m in IDS] == list(pins.values())
        assert {m for m in IDS if roster.needs(m)} == in_use - {None}
