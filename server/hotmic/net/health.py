"""What ``/health/extended`` tells: the status, and what the processes of the daemon take of their machine."""

import asyncio
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from hotmic.net.control import Control
from hotmic.net.roster import Roster
from hotmic.values import ModelStatus, Pool

_PROCESSES = Path("/proc")


def verdict(models: Sequence[ModelStatus], *, current: str | None, is_draining: bool) -> str:
    """Return why a daemon does not serve; empty when it does.

    Args:
        models: Every model's state.
        current: The model of all sessions without a choice of their own.
        is_draining: Whether the daemon stops.
    """
    if is_draining:
        return "stopping"
    states = {(model.model_id == current, model.state) for model in models}
    if (True, "serving") in states:
        return ""
    if (True, "unavailable") in states:
        return f"the model {current} keeps crashing and is given up"
    if any(state in ("loading", "warming") for _, state in states):
        return "a model is being loaded"
    return "no model is serving"


class Health:
    """Looks at the daemon and its surroundings when somebody asks.

    Args:
        control: Knows the status.
        pool: Knows the workers.
        roster: Knows the clients.
        places: Folders or files whose disks may become full, by the name of the setting.
        problem: Why the daemon does not serve; empty when it does.
    """

    def __init__(
        self,
        *,
        control: Control,
        pool: Pool,
        roster: Roster,
        places: Mapping[str, Path],
        problem: Callable[[], str],
    ) -> None:
        self._control, self._pool, self._roster = control, pool, roster
        self._places, self._problem = dict(places), problem

    def summary(self) -> dict[str, Any]:
        """Return what everybody may know."""
        return {**self.readiness(), **self._control.status()}

    def readiness(self) -> dict[str, Any]:
        """Return whether new sessions should be sent here."""
        problem = self._problem()
        return {"status": "unavailable", "reason": problem} if problem else {"status": "ok"}

    async def extended(self) -> dict[str, Any]:
        """Return all there is; reading /proc and the disks happens on a thread."""
        report = self.summary()
        statuses = self._pool.status()
        memory, files, disks = await asyncio.to_thread(self._measure, [status.pid for status in statuses])
        report["models"] = [
            {**row, **_worker(status), "memory_bytes": memory.get(status.pid)}
            for row, status in zip(report["models"], statuses, strict=True)
        ]
        report["gateway"] = {
            "pid": os.getpid(),
            "memory_bytes": memory.get(os.getpid()),
            "open_files": files,
            "open_files_limit": file_limit(),
        }
        report["disks"] = disks
        report["clients"] = [to_builtins(client) for client in self._roster.reports()]
        return report

    def sockets(self) -> dict[str, Any]:
        """Return how many connections of each dialect there are; ``active_connections`` are those of ``rnnt``."""
        counts = Counter(report.dialect for report in self._roster.reports())
        return {
            "status": "unavailable" if self._problem() else "active",
            "active_connections": counts["rnnt"],
            "connections": dict(sorted(counts.items())),
        }

    def _measure(self, pids: Sequence[int]) -> tuple[dict[int, int | None], int | None, dict[str, Any]]:
        memory = {pid: resident_bytes(pid) for pid in (os.getpid(), *pids) if pid}
        return memory, open_files(), {name: _disk(path) for name, path in self._places.items()}


def resident_bytes(pid: int) -> int | None:
    """Return the memory of a process; ``None`` where the system does not tell or the process is gone."""
    try:
        return int((_PROCESSES / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def open_files() -> int | None:
    """Return how many descriptors this process has open; ``None`` where the system does not tell."""
    try:
        return len(os.listdir(_PROCESSES / "self" / "fd")) - 1
    except OSError:
        return None


def file_limit() -> int | None:
    """Return how many descriptors this process may have; ``None`` where there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _worker(status: ModelStatus) -> dict[str, Any]:
    return {
        "pid": status.pid or None,
        "in_flight": status.in_flight,
        "quarantined": status.quarantined,
        "breaker": "open" if status.state == "unavailable" else "closed",
    }


def _disk(path: Path) -> dict[str, Any]:
    path = path.absolute()
    existing = next((place for place in (path, *path.parents) if place.exists()), path)
    try:
        free: int | None = shutil.disk_usage(existing).free
    except OSError:
        free = None
    return {"path": str(path), "free_bytes": free}
