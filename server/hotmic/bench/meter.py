"""What a server's processes use: CPU time and memory, as Linux tells them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


@dataclass
class _Usage:
    cpu: dict[int, tuple[float, float]] = field(default_factory=dict)
    """First and last CPU time by process: one that was replaced keeps what it used."""
    resident_mb: list[float] = field(default_factory=list)

    def add(self, readings: dict[int, tuple[float, float]]) -> None:
        for pid, (cpu, _) in readings.items():
            self.cpu[pid] = (self.cpu.get(pid, (cpu, cpu))[0], cpu)
        self.resident_mb.append(sum(resident for _, resident in readings.values()))

    def figures(self, audio_s: float) -> dict[str, Any]:
        spent = sum(last - first for first, last in self.cpu.values())
        memory = self.resident_mb or [0.0]
        return {
            "cpu_s": round(spent, 2),
            "cpu_s_per_audio_s": round(spent / audio_s, 5) if audio_s else 0.0,
            "resident_mb": {
                "first": round(memory[0], 1),
                "highest": round(max(memory), 1),
                "last": round(memory[-1], 1),
            },
        }


class Meter:
    """Watches a server: its own process (the gateway) and those it started (the workers).

    Args:
        pid: The server's process; ``None`` where it is not ours to look at, or not on this machine.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid if (_PROC / "self" / "stat").exists() else None
        self._usages = {"gateway": _Usage(), "workers": _Usage()}

    def sample(self) -> None:
        """Look once; call it before, after and now and then in between."""
        if self._pid is None:
            return
        for name, pids in (("gateway", [self._pid]), ("workers", find_children(self._pid))):
            self._usages[name].add({pid: reading for pid in pids if (reading := _read(pid)) is not None})

    def figures(self, audio_s: float) -> dict[str, Any] | None:
        """Return what was used, per second of audio too; ``None`` where nothing could be seen."""
        if self._pid is None:
            return None
        return {name: usage.figures(audio_s) for name, usage in self._usages.items()}


def find_children(pid: int) -> list[int]:
    """Return all processes that a process started, directly or through others."""
    found: list[int] = []
    for task in sorted((_PROC / str(pid) / "task").glob("*")):
        try:
            children = [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            # A thread that ended just now has no children to show.
            continue
        for child in children:
            found += [child, *find_children(child)]
    return found


def _read(pid: int) -> tuple[float, float] | None:
    """Return CPU seconds and resident megabytes; ``None`` for a process that has ended."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces; what follows its closing bracket does not.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6
