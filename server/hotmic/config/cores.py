"""How many CPU cores there really are for this process."""

import math
import os
import sys
from pathlib import Path


def count_cores() -> int:
    """Return how many cores this process may really use: affinity and cgroup quota respected."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _cgroup_cores(Path("/sys/fs/cgroup"))))


def _cgroup_cores(root: Path) -> int:
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        # No cgroup v2 here: the older layout, or none at all.
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return sys.maxsize
    if quota in ("max", "-1"):
        return sys.maxsize
    return math.ceil(int(quota) / int(period))
