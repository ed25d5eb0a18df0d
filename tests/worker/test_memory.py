from pathlib import Path

import pytest

from hotmic.worker import memory
from hotmic.worker.memory import Room, refuse

GB = 1 << 30


@pytest.mark.parametrize(("host", "fits"), [(None, True), (2 * GB, True), (GB, False)])
def test_host_memory(host: int | None, fits: bool) -> None:
    answer = refuse(GB, Room(host_bytes=host), on_gpu=False, gpu_fraction=0.8)
    assert (answer == "") is fits
    if not fits:
        assert answer == "It needs about 1.4 GB of memory, and 1.0 GB are free."


def test_gpu_memory_within_its_share() -> None:
    room = Room(host_bytes=None, gpu_total_bytes=10 * GB, gpu_used_bytes=5 * GB)
    assert refuse(1 * GB, room, on_gpu=True, gpu_fraction=0.8) == ""
    assert "3.0 GB are free within the allowed share of 0.8" in refuse(2 * GB, room, on_gpu=True, gpu_fraction=0.8)
    assert refuse(2 * GB, room, on_gpu=True, gpu_fraction=1.0) == ""
    assert refuse(2 * GB, room, on_gpu=False, gpu_fraction=0.8) == ""
    full = Room(host_bytes=None, gpu_total_bytes=10 * GB, gpu_used_bytes=9 * GB)
    assert "0.0 GB are free" in refuse(1, full, on_gpu=True, gpu_fraction=0.8)


def test_weights_are_measured(tmp_path: Path) -> None:
    for name, size in (("model.bin", 10), ("model-00001-of-00002.safetensors", 20), ("tokenizer.json", 40)):
        (tmp_path / name).write_bytes(bytes(size))
    assert memory.measure_weights(tmp_path) == 30


def test_the_tighter_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    assert memory.measure_room(with_gpu=False) == Room(host_bytes=None)
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:    1000 kB\n")
    assert memory.measure_room(with_gpu=False).host_bytes == 1_024_000
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("300000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50000\n")
    assert memory.measure_room(with_gpu=False).host_bytes == 250_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.measure_room(with_gpu=False).host_bytes == 1_024_000


@pytest.mark.integration
def test_this_machine_tells() -> None:
    room = memory.measure_room(with_gpu=True)
    assert room.host_bytes is None or room.host_bytes > 1 << 20
