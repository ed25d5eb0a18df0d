"""What the machine offers, and whether that is enough."""

import ctypes.util
import errno
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotmic.config.cores import count_cores
from hotmic.config.finding import Finding
from hotmic.config.settings import Settings

PYTHON_FLOOR = (3, 11)
_LOW_DISK_BYTES = 1 << 30
FILES = 16_384
"""Open files the daemon asks for: the default limits allow 4,096 connections on each of the two sockets."""
FILES_BESIDE_CONNECTIONS = 48
"""Sockets, pipes and libraries: 20 with one worker, twice that during a switch."""


@dataclass(frozen=True)
class Machine:
    """The facts the checks judge; tests build their own."""

    python: tuple[int, int]
    cores: int
    memory_bytes: int
    """0 when unknown."""
    open_files: int
    """Limit of open files that the daemon will have; 0 when there is none."""
    requirements: tuple[str, ...] = ()
    """What the package asks for, as written in its metadata."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the required distributions that are installed."""
    libraries: frozenset[str] = frozenset()
    """Which of the CUDA libraries can be found."""
    modules: frozenset[str] = frozenset()
    """Which of the optional modules can be imported."""

    @classmethod
    def look(cls) -> "Machine":
        """Read the facts of this machine."""
        requirements = _requirements()
        return cls(
            python=sys.version_info[:2],
            cores=count_cores(),
            memory_bytes=_memory_bytes(),
            open_files=_open_files(),
            requirements=requirements,
            versions=_versions(requirements),
            libraries=frozenset(name for name in ("cuda", "cublas") if _find_library(name)),
            modules=frozenset(name for name in ("torch", "transformers") if importlib.util.find_spec(name)),
        )


def check_python(machine: Machine) -> Finding:
    """Judge the version of Python."""
    shown = ".".join(map(str, machine.python))
    if machine.python < PYTHON_FLOOR:
        floor = ".".join(map(str, PYTHON_FLOOR))
        return Finding(
            subject="python",
            severity="error",
            sentence=f"Python {shown} is older than {floor}.",
            mend=f"Install Python {floor} or newer and set hotmic up anew.",
        )
    return Finding(subject="python", severity="good", sentence=f"Python {shown}.")


def check_packages(machine: Machine) -> Iterator[Finding]:
    """Judge the installed packages by the floors of the package's own metadata."""
    from packaging.requirements import Requirement

    wrong = 0
    for text in machine.requirements:
        wanted = Requirement(text)
        version = machine.versions.get(wanted.name, "")
        if version and wanted.specifier.contains(version, prereleases=True):
            continue
        wrong += 1
        sentence = f"{wanted.name} {version} is too old ({wanted.specifier})." if version else f"{wanted.name} lacks."
        mend = f'Run: pip install "{wanted.name}{wanted.specifier}"'
        yield Finding(subject="packages", severity="error", sentence=sentence, mend=mend)
    if not machine.requirements:
        yield Finding(
            subject="packages",
            severity="warning",
            sentence="hotmic is not installed, so the versions of its packages are unknown.",
            mend="Run: pip install hotmic, or pip install -e . in a checkout.",
        )
    elif not wrong:
        yield Finding(subject="packages", severity="good", sentence=f"{len(machine.requirements)} packages fit.")


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Try to listen where the daemon would."""
    for key in ("control_port", "audio_port", "http_port"):
        port = getattr(settings, key)
        flag = "--" + key.replace("_", "-")
        problem = _bind_problem(settings.host, port)
        if problem is None:
            yield Finding(subject=key, severity="good", sentence=f"{settings.host}:{port} is free.")
        elif problem == errno.EADDRINUSE:
            sentence = f"Port {port} of {settings.host} is in use."
            mend = f"Stop the program that uses it, or choose another with {flag}."
            yield Finding(subject=key, severity="error", sentence=sentence, mend=mend)
        elif problem == errno.EACCES:
            sentence = f"Port {port} is reserved for the system."
            yield Finding(subject=key, severity="error", sentence=sentence, mend=f"Choose one above 1023 with {flag}.")
        else:
            sentence = f"{settings.host!r} is no address of this machine."
            mend = "Set --host to 127.0.0.1, or to an address that this machine has."
            yield Finding(subject="host", severity="error", sentence=sentence, mend=mend)
            return


def check_directories(settings: Settings) -> Iterator[Finding]:
    """Judge whether weights and log can be written, and the space there is."""
    directory = _existing(settings.models_dir)
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(
            subject="models_dir",
            severity="error",
            sentence=f"{settings.models_dir} cannot be written, so no model can be downloaded.",
            mend="Set models_dir (HOTMIC_MODELS_DIR) to a directory of yours.",
        )
    else:
        yield _check_disk(settings.models_dir, shutil.disk_usage(directory).free)
    if settings.log_file:
        folder = settings.log_file.absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK) or settings.log_file.is_dir():
            sentence = f"{settings.log_file} cannot be written."
            mend = "Make its directory, or set log_file to another place."
            yield Finding(subject="log_file", severity="error", sentence=sentence, mend=mend)


def check_limits(settings: Settings, machine: Machine) -> Finding:
    """Judge the limit of open files by the connections that are allowed."""
    needed = settings.max_connections_per_address + FILES_BESIDE_CONNECTIONS
    free = connections_that_fit(machine.open_files)
    if free is not None and machine.open_files < needed:
        return Finding(
            subject="open files",
            severity="warning",
            sentence=f"At most {machine.open_files} files may be open, enough for about {free} connections.",
            mend=f"Run: ulimit -n {needed} (or LimitNOFILE={needed} in a service file).",
        )
    return Finding(subject="open files", severity="good", sentence="The limit of open files is high enough.")


def connections_that_fit(open_files: int) -> int | None:
    """Return how many connections a limit of open files leaves room for; ``None`` where there is no limit (0)."""
    return max(8, open_files - FILES_BESIDE_CONNECTIONS) if open_files else None


def raise_file_limit() -> int:
    """Allow as many open files as the system grants, and return how many; 0 where there is no limit.

    Every connection is one, and the usual soft limit is 1,024.
    """
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = attainable_files(soft, hard)
    if limit > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def new_loop() -> Any:
    """Return what makes the event loop: uvloop where it exists."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def check_cuda(settings: Settings, machine: Machine) -> Finding:
    """Judge whether the GPU that the settings ask for can be used."""
    if settings.device == "cpu":
        return Finding(subject="cuda", severity="good", sentence="Not used: device is cpu.")
    if "cuda" not in machine.libraries:
        if settings.device == "auto":
            return Finding(subject="cuda", severity="good", sentence="No NVIDIA driver here; the CPU will be used.")
        return Finding(
            subject="cuda",
            severity="error",
            sentence="device is cuda, but no NVIDIA driver is installed.",
            mend="Install the driver, or set device to auto or cpu.",
        )
    if "cublas" not in machine.libraries:
        return Finding(
            subject="cuda",
            severity="error" if settings.device == "cuda" else "warning",
            sentence="There is an NVIDIA driver, but the library libcublas.so.12 lacks.",
            mend='Run: pip install "hotmic[cuda]"',
        )
    return Finding(subject="cuda", severity="good", sentence="NVIDIA driver and cuBLAS found.")


def _check_disk(directory: Path, free: int) -> Finding:
    sentence = f"{free / 1e9:.1f} GB free at {directory}."
    if free < _LOW_DISK_BYTES:
        mend = "Make room, or set models_dir to another disk."
        return Finding(subject="disk", severity="warning", sentence=sentence, mend=mend)
    return Finding(subject="disk", severity="good", sentence=sentence)


def _bind_problem(host: str, port: int) -> int | None:
    """Return why nothing can listen there: an errno, -1 for a name that means nothing, or ``None``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        return -1
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":
            # Without it the ports of a daemon that has just ended would count as in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            return error.errno or -1
    return None


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _requirements() -> tuple[str, ...]:
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("hotmic") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    parsed = ((line, Requirement(line).marker) for line in lines)
    return tuple(line for line, marker in parsed if marker is None or marker.evaluate({"extra": ""}))


def _versions(requirements: tuple[str, ...]) -> dict[str, str]:
    from packaging.requirements import Requirement

    found = {}
    for text in requirements:
        name = Requirement(text).name
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _memory_bytes() -> int:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(memory, int(text)) if text.isdigit() else memory


def attainable_files(soft: int, hard: int) -> int:
    """Return the limit of open files that the daemon comes to from a soft and a hard one; 0 is none, -1 in is none.

    >>> attainable_files(1024, 4096)
    4096
    """
    if soft < 0:
        return 0
    return max(soft, FILES if hard < 0 else min(FILES, hard))


def _open_files() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    return attainable_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def _find_library(name: str) -> bool:
    found = ctypes.util.find_library(name)
    if found and not (name == "cublas" and ".so." in found and not found.endswith(".so.12")):
        return True
    # The CUDA wheels keep their libraries in the package tree, where the loader of the worker looks for them.
    folders = [Path(entry) / "nvidia" / name for entry in sys.path]
    return any(True for folder in folders if folder.is_dir() for _ in folder.glob(f"**/*{name}*12*"))
