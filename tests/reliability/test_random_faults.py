"""Speakers under random faults: whatever breaks, every word is told once, in order, and to its own channel."""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from fault_runner import talk_through
from fault_schedule import KINDS, draw
from history import check

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers to kill in /proc"),
]
SHORT, LONG = range(10), range(10, 300)
LANES = 3
"""Runs at a time: most of a run is waiting."""


async def judge(seed: int, folder: Path, lanes: asyncio.Semaphore) -> str:
    """Return what is wrong with the run of a seed, as text; empty where nothing is."""
    schedule = draw(seed)
    async with lanes:
        folder.mkdir()
        try:
            violations = [str(violation) for violation in check(await talk_through(schedule, folder))]
        except Exception as error:  # noqa: BLE001
            violations = [_described(error)]
    again = f"run it again: FAULT_SEEDS={seed} pytest tests/reliability/test_random_faults.py"
    return "\n".join([str(schedule), *violations, again]) if violations else ""


def _described(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_described(one) for one in error.exceptions)
    before = f"{_described(error.__context__)}\nthen " if error.__context__ else ""
    return f"{before}{type(error).__name__}: {error}"


def run(seeds: Iterable[int], folder: Path) -> None:
    async def main() -> list[str]:
        lanes = asyncio.Semaphore(LANES)
        return await asyncio.gather(*(judge(seed, folder / str(seed), lanes) for seed in seeds))

    print("seeds", *seeds)
    failures = [text for text in asyncio.run(main()) if text]
    assert not failures, "\n\n".join(["", *failures])


def test_random_faults(tmp_path: Path) -> None:
    given = os.environ.get("FAULT_SEEDS", "").split()
    run([int(seed) for seed in given] or SHORT, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", LONG[::10])
def test_many_random_faults(first: int, tmp_path: Path) -> None:
    run(range(first, first + 10), tmp_path)


def test_a_seed_draws_the_same_schedule_again_and_ten_draw_every_kind() -> None:
    assert draw(7) == draw(7) != draw(8)
    assert {step.kind for seed in SHORT for step in draw(seed).steps} == set(KINDS)
    assert {draw(seed).ends_gateway for seed in SHORT} == {True, False}
