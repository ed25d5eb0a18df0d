"""Memory that a pool and a worker's child share, so that audio is not pushed through the pipe between them.

A pipe costs a window of ten seconds four copies and, at 64 KiB a time, a handful of wake-ups on either side; here it
is written once and read once. The memory has no name: it goes when both processes have, however they ended.
"""

import mmap
import os
import sys
from collections.abc import Sequence

import msgspec

from hotmic.values import SAMPLE_RATE, DecodeJob

ROW_BYTES = 30 * SAMPLE_RATE * 2
"""The longest window. Pages that were never written take no memory."""


class Arena:
    """Slots for the audio of the batches that are under way.

    Args:
        descriptor: An open file; closed once it is mapped.
        slots: Batches that fit in together, each an equal part of the file.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        try:
            self._slot_bytes = os.fstat(descriptor).st_size // slots
            self._memory = mmap.mmap(descriptor, slots * self._slot_bytes)
        finally:
            os.close(descriptor)
        self._free = list(range(slots))

    def write(self, jobs: Sequence[DecodeJob]) -> int | None:
        """Put the jobs' audio into a free slot and return it; ``None`` when there is none or it is too small."""
        if not self._free or sum(len(job.samples) for job in jobs) > self._slot_bytes:
            return None
        slot = self._free.pop()
        position = slot * self._slot_bytes
        for job in jobs:
            end = position + len(job.samples)
            self._memory[position:end] = job.samples
            position = end
        return slot

    def read(self, slot: int, jobs: Sequence[DecodeJob], sizes: Sequence[int]) -> tuple[DecodeJob, ...]:
        """Return the jobs with their audio, which lies in a slot.

        Args:
            slot: Where ``write`` put it.
            jobs: Without audio.
            sizes: Bytes of each.
        """
        whole = []
        position = slot * self._slot_bytes
        for job, size in zip(jobs, sizes, strict=True):
            whole.append(msgspec.structs.replace(job, samples=self._memory[position : position + size]))
            position += size
        return tuple(whole)

    def release(self, slot: int) -> None:
        """Let the next batch have a slot whose audio nobody will read any more."""
        self._free.append(slot)

    def close(self) -> None:
        """Give the memory back."""
        self._free.clear()
        self._memory.close()


def create_arena(slots: int, rows: int) -> tuple[Arena, int] | None:
    """Return an arena and a descriptor for the child to inherit, the caller's to close; ``None`` outside Linux.

    Args:
        slots: Batches that fit in together.
        rows: Windows of a batch.
    """
    if sys.platform != "linux":
        return None
    descriptor = os.memfd_create("hotmic-audio")
    try:
        page = mmap.ALLOCATIONGRANULARITY
        os.ftruncate(descriptor, slots * (rows * ROW_BYTES + page - 1) // page * page)
        return Arena(os.dup(descriptor), slots), descriptor
    except OSError:
        os.close(descriptor)
        raise
