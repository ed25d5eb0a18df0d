"""What stands above every result: how to repeat it, of which version it is, and what it was measured on."""

import itertools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import hotmic
from hotmic.config.cores import count_cores

PACKAGES = (
    *("hotmic", "ctranslate2", "faster-whisper", "torch", "websockets", "uvloop", "msgspec", "numpy", "onnxruntime"),
)
PROGRAM_WAIT = 10.0
ROOT = Path(hotmic.__file__).parents[2]
"""The checkout, where it is one."""


def head() -> dict[str, Any]:
    """Return ``command``, ``version`` and ``environment`` of this process; call it before anything is measured."""
    return {"command": command_of(sys.argv), "version": find_version(ROOT), "environment": environment()}


def command_of(arguments: Sequence[str]) -> str:
    """Return a command line as one can repeat it elsewhere: no folders of this machine, and no secrets.

    Example:
        >>> command_of(["/opt/bin/hotmic", "bench", "live", "--json", "/tmp/a b.json", "--token", "x"])
        "hotmic bench live --json 'a b.json' --token TOKEN"
        >>> command_of([str(ROOT / "tests/bench/channel.py"), "--tree", "old=/home/me/server"])
        'python tests/bench/channel.py --tree old=server'
    """
    program = Path(arguments[0])
    if program.stem == "hotmic" or program.parts[-2:] == ("hotmic", "__main__.py"):
        words = ["hotmic"]
    else:
        place = program.resolve()
        words = ["python", place.relative_to(ROOT).as_posix() if place.is_relative_to(ROOT) else program.name]
    for before, word in itertools.pairwise(arguments):
        name, equals, value = _last_part(word).partition("=")
        shown = "TOKEN" if before == "--token" else name + equals + _last_part(value)
        words.append(re.sub(r"\b(token=)[^&]*", r"\1TOKEN", shown))
    return shlex.join(words)


def find_version(root: Path) -> str:
    """Return ``git describe`` of a checkout, else the version of the package."""
    if (root / ".git").exists():
        described = _output("git", "-C", str(root), "describe", "--always", "--dirty")
        if described:
            return described[0]
    return hotmic.__version__


def environment() -> dict[str, Any]:
    """Return what a figure is worth nothing without: the machine, the versions, what else it had to do."""
    return {
        "cores": count_cores(),
        "cpu": _cpu_model(),
        "gpu": _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or [],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "load_average": load_average(),
    }


def load_average() -> list[float] | None:
    """Return the load of the last 1, 5 and 15 minutes; ``None`` where the system does not tell."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _last_part(text: str) -> str:
    for kind in (PurePosixPath, PureWindowsPath):
        if (path := kind(text)).is_absolute():
            return path.name
    return text


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _output(name: str, *arguments: str) -> list[str] | None:
    """Return the lines that a program prints; ``None`` where it is not here or fails."""
    program = shutil.which(name)
    if program is None:
        return None
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PROGRAM_WAIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.strip() for line in done.stdout.splitlines()] if done.returncode == 0 else None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
