"""The search for the most streams that are sustained."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.bench.capacity import ratio_of, sweep


def search(limit: int, most: int) -> tuple[int, bool, list[int]]:
    asked: list[int] = []

    async def sustains(streams: int) -> bool:
        asked.append(streams)
        return streams <= limit

    return *asyncio.run(sweep(sustains, most=most)), asked


@given(limit=st.integers(0, 2000), most=st.integers(1, 1000))
def test_the_limit_is_found(limit: int, most: int) -> None:
    found, is_open, asked = search(limit, most)
    assert found <= limit
    assert max(asked) <= most
    assert is_open == (limit >= most)
    assert min(limit, most) - found <= max(0, int(found * 0.05))
    assert len(asked) == len(set(asked)) <= 20


@pytest.mark.parametrize(
    ("limit", "steps"), [(0, [1]), (1, [1, 2]), (5, [1, 2, 4, 8, 6, 5]), (100, [1, 2, 4, 8, 16, 32, 64, 100])]
)
def test_it_doubles_and_then_halves(limit: int, steps: list[int]) -> None:
    assert search(limit, 100)[2] == steps


def test_the_ratio_needs_a_baseline_that_carries_something() -> None:
    assert ratio_of({"sustained": 64}, {"sustained": 5}) == 12.8
    assert ratio_of({"sustained": 64}, {"sustained": 0}) is None
