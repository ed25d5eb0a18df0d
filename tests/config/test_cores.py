"""Cores within affinity and the quotas of control groups."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hotmic.config import cores

PLENTY = 4096
SERVICE = "0::/system.slice/hotmic.service\n"
V1 = "3:memory:/elsewhere\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"

Count = Callable[[dict[str, str], str | None], int]


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Count:
    """Count the cores with these files under the root of control groups, and this membership."""

    def count(files: dict[str, str], membership: str | None) -> int:
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        if membership is not None:
            (tmp_path / "own").write_text(membership)
        return cores.count_cores()

    monkeypatch.setattr(cores, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(PLENTY)), raising=False)
    return count


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "max 100000"}, PLENTY),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/\n", {"cpu.max": "0 100000"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, PLENTY),
        (SERVICE, {"system.slice/hotmic.service/cpu.max": "100000 100000"}, 1),
        (SERVICE, {"system.slice/cpu.max": "300000 100000", "system.slice/hotmic.service/cpu.max": "max 100000"}, 3),
        (SERVICE, {"system.slice/cpu.max": "600000 100000", "system.slice/hotmic.service/cpu.max": "50000 10000"}, 5),
        (SERVICE, {"cpu.max": "200000 100000", "system.slice/hotmic.service/cpu.max": "500000 100000"}, 2),
        (SERVICE, {"system.slice/other.service/cpu.max": "100000 100000"}, PLENTY),
        # The path is the host's where a container mounts its own group as the root.
        ("0::/docker/abc\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/../abc (deleted)\n", {"cpu.max": "200000 100000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, PLENTY),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "150000", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"elsewhere/cpu.max": "100000 100000"}, PLENTY),
        # Both layouts at once: the older one holds the quota.
        (f"{V1}0::/\n", {"cpu/docker/cpu.cfs_quota_us": "700000", "cpu/docker/cpu.cfs_period_us": "100000"}, 7),
        (None, {"cpu.max": "200000 100000"}, 2),
        (None, {}, PLENTY),
    ],
)
def test_the_smallest_quota_of_the_groups_around_counts(
    count: Count, membership: str | None, files: dict[str, str], expected: int
) -> None:
    assert count(files, membership) == expected


@pytest.mark.parametrize(("allowed", "quota", "expected"), [(3, "max", 3), (3, "200000", 2), (2, "800000", 2)])
def test_affinity_counts_too(
    count: Count, monkeypatch: pytest.MonkeyPatch, allowed: int, quota: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    assert count({"cpu.max": f"{quota} 100000"}, "0::/\n") == expected


def test_without_affinity_all_cores_count(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert count({}, None) == 6


def test_there_is_a_core() -> None:
    assert cores.count_cores() >= 1
