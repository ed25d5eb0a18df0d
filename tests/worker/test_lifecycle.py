from pathlib import Path
from typing import get_args

import pytest

from hotmic.values import ModelState
from hotmic.worker.lifecycle import TRANSITIONS, Trigger, advance, diagram


def test_every_state_can_be_reached_and_left() -> None:
    reached = {"loading", *TRANSITIONS.values()}
    assert reached == set(get_args(ModelState))
    assert {before for before, _ in TRANSITIONS} == reached - {"retiring"}


def test_what_cannot_happen_is_our_own_mistake() -> None:
    assert advance("loading", Trigger.LOADED) == "warming"
    with pytest.raises(ValueError, match="retiring cannot be told: warmed up"):
        advance("retiring", Trigger.WARMED)


def test_the_diagram_in_the_docs_is_this_table() -> None:
    assert diagram().count("-->") == len(TRANSITIONS) + 2
    assert diagram() in (Path(__file__).parents[2] / "docs" / "design.md").read_text("utf-8"), "the docs are stale"
