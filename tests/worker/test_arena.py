"""Audio that is written on one side and read on the other."""

import os
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest

from hotmic.values import DecodeJob
from hotmic.worker.arena import ROW_BYTES, Arena, create_arena

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd")
Build = Callable[..., DecodeJob]


@pytest.fixture
def sides() -> Iterator[tuple[Arena, Arena]]:
    """The same two slots as both processes see them."""
    created = create_arena(2, 4)
    assert created is not None
    near, descriptor = created
    far = Arena(os.dup(descriptor), 2)
    os.close(descriptor)
    yield near, far
    near.close()
    far.close()


def bare(jobs: list[DecodeJob]) -> list[DecodeJob]:
    return [msgspec.structs.replace(job, samples=b"") for job in jobs]


def test_jobs_come_out_as_they_went_in(sides: tuple[Arena, Arena], job: Build) -> None:
    near, far = sides
    batches = [[job(b"ab", "1"), job(b"", "2"), job(b"cdef", "3")], [job(b"xy" * 1000, "4")]]
    slots = [near.write(jobs) for jobs in batches]
    assert sorted(slot for slot in slots if slot is not None) == [0, 1]
    for slot, jobs in zip(slots, batches, strict=True):
        assert slot is not None
        assert far.read(slot, bare(jobs), [len(j.samples) for j in jobs]) == tuple(jobs)


def test_a_slot_is_taken_until_it_is_released(sides: tuple[Arena, Arena], job: Build) -> None:
    near, _ = sides
    first, second = near.write([job(b"ab")]), near.write([job(b"cd")])
    assert near.write([job(b"ef")]) is None
    assert first is not None
    near.release(first)
    assert near.write([job(b"ef")]) == first != second


def test_what_does_not_fit_stays_outside(sides: tuple[Arena, Arena], job: Build) -> None:
    near, _ = sides
    half = bytes(2 * ROW_BYTES)
    assert near.write([job(half), job(half), job(bytes(100_000))]) is None
    assert near.write([job(half), job(half)]) is not None


def test_a_closed_arena_takes_nothing(sides: tuple[Arena, Arena], job: Build) -> None:
    near, _ = sides
    near.close()
    assert near.write([job(bytes(100_000))]) is None
