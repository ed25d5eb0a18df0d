"""What the reliability rows share: short and long sizes, figures on disk, a daemon's processes and metrics."""

import asyncio
import contextlib
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hotmic.config.machine import new_loop, raise_file_limit
from running import RunningDaemon

T = TypeVar("T")
Note = Callable[..., None]

WORKER = b"hotmic.worker.child"


def both(short: object, long: object) -> list[Any]:
    """Return the sizes of a row: the short form of every run, and the long form behind ``-m slow``."""
    return [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.slow)]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a client on the daemon's own kind of loop: many streams share two cores with the daemon."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        return runner.run(work)


def write_registry(folder: Path, *entries: str) -> str:
    """Write a models.yaml of echo models, the first the default; each entry is ``id`` or ``id: options``."""
    lines = []
    for entry in entries:
        name, _, options = entry.partition(":")
        lines.append(
            f"  - {{id: {name}, name: {name}, type: echo, languages: [en], {options.strip() or 'options: {}'}}}"
        )
    path = folder / "models.yaml"
    path.write_text(f"default: {entries[0].partition(':')[0]}\nmodels:\n" + "\n".join(lines) + "\n")
    return str(path)


class Figures:
    """Measured values, kept in ``DIR/reliability.json`` by test: a row that runs again replaces its own alone."""

    def __init__(self, folder: Path | None, test: str) -> None:
        self._folder, self._test = folder, test

    def note(self, **values: object) -> None:
        """Add values to the entry of this test; without a folder they are only printed."""
        print(json.dumps(values))
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "reliability.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        known[self._test] = known.get(self._test, {}) | values
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share of all lie; 0 where there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else 0.0


# processes


def children(pid: int) -> list[int]:
    """Return the child processes of a process that still live."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def workers(daemon: RunningDaemon) -> list[int]:
    """Return the workers of a daemon, those that are just starting too."""
    return [pid for pid in children(daemon.process.pid) if is_worker(pid)]


def is_worker(pid: int) -> bool:
    """Return whether a process is a worker; one that has just ended is none."""
    try:
        return WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def send_signal(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            print(f"process {pid} was gone before {number.name}")


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


async def until(condition: Callable[[], object], *, limit: float = 60.0, what: str = "") -> None:
    """Wait for something that nobody announces, such as a process that ends."""
    try:
        async with asyncio.timeout(limit):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"it did not come within {limit} s: {what or condition}")


# what the daemon says of itself


def fetch(url: str) -> str:
    """Return the body of a page, of one that says 'unavailable' too."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


async def health(daemon: RunningDaemon) -> dict[str, Any]:
    """Return the daemon's /health."""
    body: dict[str, Any] = json.loads(await asyncio.to_thread(fetch, f"{daemon.http}/health"))
    return body


async def series(daemon: RunningDaemon, name: str) -> float:
    """Return the sum of a series of /metrics."""
    text = await asyncio.to_thread(fetch, f"{daemon.http}/metrics")
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
