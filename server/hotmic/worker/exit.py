"""How a worker ended: what its exit status, its last words and the kernel's counters say together."""

import re
import signal
from pathlib import Path
from typing import NamedTuple

from hotmic.values import WorkerExit

EXIT_UNCAUGHT = 1
"""Python's own status after an exception that nobody caught."""
EXIT_LOAD_FAILED = 3
EXIT_OUT_OF_MEMORY = 4
"""The child's status after an allocation that failed while it decoded."""

FAILED_ALLOCATION = re.compile(r"std::bad_alloc|MemoryError|out of memory|cannot allocate memory", re.IGNORECASE)
"""What libraries print before they give up."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_VMSTAT = Path("/proc/vmstat")


class KernelKills(NamedTuple):
    """Processes that the kernel killed for their memory, ever; ``None`` where it does not tell."""

    own: int | None
    """In the control group of the daemon, so almost certainly a worker of ours."""
    machine: int | None


def count_kernel_kills() -> KernelKills:
    """Read the kernel's counters; they only grow. Costs two small files of /proc and one of /sys."""
    return KernelKills(own=_own_kills(), machine=_counter(_VMSTAT, "oom_kill"))


def explain(status: int, *, last_words: str, before: KernelKills, after: KernelKills, at: float) -> WorkerExit:
    """Return how a process ended that we did not end.

    Args:
        status: Its exit status; negative is a signal.
        last_words: The end of what it wrote to stderr.
        before: The kernel's counters when it began.
        after: The counters now.
        at: Monotonic seconds.
    """
    if status == -getattr(signal, "SIGKILL", 9):
        if _has_grown(before.own, after.own):
            message = "The kernel ended the worker because memory ran out (SIGKILL)."
            return WorkerExit(kind="out_of_memory", message=message, at=at)
        if _has_grown(before.machine, after.machine):
            message = "The worker was ended by SIGKILL, probably by the kernel because memory ran out."
            return WorkerExit(kind="out_of_memory", message=message, at=at)
    if status == EXIT_OUT_OF_MEMORY or (status != 0 and FAILED_ALLOCATION.search(last_words)):
        return WorkerExit(kind="out_of_memory", message="The worker got no more memory and ended.", at=at)
    if status < 0:
        return WorkerExit(kind="signal", message=describe_exit(status), at=at)
    if status == EXIT_UNCAUGHT:
        message = "The worker ended with an exception; the log has it."
        return WorkerExit(kind="exception", message=message, at=at)
    return WorkerExit(kind="exit", message=describe_exit(status), at=at)


def describe_exit(status: int) -> str:
    """Return how a process ended, as a sentence.

    >>> describe_exit(3)
    'The worker ended with exit code 3.'
    """
    if status < 0:
        try:
            return f"The worker was ended by {signal.Signals(-status).name}."
        except ValueError:
            return f"The worker was ended by signal {-status}."
    return f"The worker ended with exit code {status}."


def _has_grown(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _own_kills() -> int | None:
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        # No such file outside Linux.
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = path.lstrip("/")
        if controllers == "memory":
            return _counter(_CGROUPS / "memory" / folder / "memory.oom_control", "oom_kill")
        if not controllers:
            # Version 2; beside version 1 it has no such file, and the line of ``memory`` came before.
            return _counter(_CGROUPS / folder / "memory.events", "oom_kill")
    return None


def _counter(file: Path, name: str) -> int | None:
    try:
        text = file.read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == [name]), None)
