"""Whether one more model fits."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

from hotmic.values import Value

OVERHEAD = 1.3
"""Memory of a loaded model over the size of its weights: buffers, libraries, one batch."""
BASE_BYTES = 150 << 20
"""What a worker takes without weights."""
GPU_BASE_BYTES = 500 << 20
"""What a CUDA context takes without weights."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


class Room(Value, frozen=True, kw_only=True):
    """Free memory; ``None`` where the system does not tell."""

    host_bytes: int | None
    gpu_total_bytes: int | None = None
    gpu_used_bytes: int | None = None


def refuse(weights: int, room: Room, *, on_gpu: bool, gpu_fraction: float) -> str:
    """Return why a model does not fit, as a sentence; empty when it does or when the system does not tell.

    Args:
        weights: Bytes of its weight files.
        room: Free memory.
        on_gpu: Whether it goes to the GPU.
        gpu_fraction: Share of the GPU's memory that all models together may use.
    """
    need = round(weights * OVERHEAD)
    if room.host_bytes is not None and need + BASE_BYTES > room.host_bytes:
        return f"It needs about {_gigabytes(need + BASE_BYTES)} of memory, and {_gigabytes(room.host_bytes)} are free."
    if on_gpu and room.gpu_total_bytes is not None and room.gpu_used_bytes is not None:
        allowed = room.gpu_total_bytes * gpu_fraction - room.gpu_used_bytes
        if need + GPU_BASE_BYTES > allowed:
            return (
                f"It needs about {_gigabytes(need + GPU_BASE_BYTES)} of GPU memory, and "
                f"{_gigabytes(max(0, round(allowed)))} are free within the allowed share of {gpu_fraction:g}."
            )
    return ""


def measure_weights(directory: Path) -> int:
    """Return the size of the weight files in a directory, in bytes."""
    files = [file for pattern in ("model*.bin", "model*.safetensors") for file in directory.glob(pattern)]
    return sum(file.stat().st_size for file in files)


def measure_room(*, with_gpu: bool) -> Room:
    """Look how much memory is free. With the GPU this starts a program and takes about 50 ms."""
    total, used = _gpu_bytes() if with_gpu else (None, None)
    return Room(host_bytes=_host_bytes(), gpu_total_bytes=total, gpu_used_bytes=used)


def _host_bytes() -> int | None:
    if sys.platform == "win32":
        return _windows_bytes()
    try:
        line = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        # No such file outside Linux: then nobody is refused.
        return None
    available = int(line.split()[1]) << 10
    limit = _cgroup_bytes()
    return available if limit is None else min(available, limit)


def _cgroup_bytes() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        cache = _statistic((_CGROUP / "memory.stat").read_text(), "inactive_file")
    except (OSError, ValueError):
        # Not in a cgroup of its own.
        return None
    return None if limit == "max" else max(0, int(limit) - used + cache)


def _statistic(text: str, key: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == key), 0)


def _gpu_bytes() -> tuple[int | None, int | None]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, None
    try:
        answer = subprocess.run(
            [program, "--query-gpu=memory.total,memory.used", "--format=csv,noheader,nounits", "--id=0"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
        total, used = (int(part) << 20 for part in answer.splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        # The driver does not answer; the load itself will then say what is wrong.
        return None, None
    return total, used


def _windows_bytes() -> int | None:
    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "available", "page", "page_free", "virtual", "v_free", "e")
            ),
        )

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - mypy knows no windll elsewhere
    return int(status.available) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"
