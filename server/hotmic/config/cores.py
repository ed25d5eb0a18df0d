"""How many CPU cores there really are for this process."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
"""Where the kernel shows control groups; a container often sees its own there as the root."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""Which of them this process is in: a line ``number:controllers:path`` for each hierarchy (cgroups(7))."""


def count_cores() -> int:
    """Return how many cores this process may really use: affinity and the quotas of control groups respected."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([affinity, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Yield the quota in cores of every group this process is in, directly or through a group around it."""
    try:
        own = MEMBERSHIP.read_text().splitlines()
    except OSError:
        own = []
    for line in ("0::/", "0:cpu:/", *own):
        _, controllers, path = line.split(":", 2)
        is_old = "cpu" in controllers.split(",")
        if controllers and not is_old:
            continue
        folder = GROUPS / "cpu" if is_old else GROUPS
        for part in PurePosixPath(path).parts:
            folder /= part.lstrip("/")
            quota = _old_quota(folder) if is_old else _quota(folder)
            if quota is not None:
                yield quota


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None  # no such file, or "max": no limit


def _old_quota(folder: Path) -> float | None:
    """Return the quota of a group of cgroup v1, where -1 is no limit."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
