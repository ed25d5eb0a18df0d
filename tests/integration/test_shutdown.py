"""A daemon that is told to stop, and what a service manager hears of it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotmic.engines import echo
from running import RunningDaemon, calling, start_daemon

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc")]

REGISTRY = """
default: echo
models:
  - {id: echo, name: Echo, type: echo, languages: [en]}
  - {id: slow, name: Slow, type: echo, languages: [en], options: {batch_s: 30}}
  - {id: broken, name: Broken, type: echo, languages: [en], options: {fail_load: It is broken.}}
"""


class Manager:
    """The service manager's side of its socket."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000000"}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(60)

    def hear(self, word: str) -> list[str]:
        """Return the states of the first message that has a word."""
        while True:
            states = self._socket.recv(4096).decode().splitlines()
            if any(word in state for state in states):
                return states

    def skip(self) -> None:
        """Forget what came so far."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(4096)
        except BlockingIOError:
            self._socket.settimeout(60)

    def is_silent(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(60)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def start(tmp_path: Path, model: str, *, env: dict[str, str] | None = None, ready: bool = True) -> RunningDaemon:
    (tmp_path / "models.yaml").write_text(REGISTRY)
    registry = str(tmp_path / "models.yaml")
    return start_daemon(tmp_path, "--models", registry, "--model", model, "--vad", "seed", env=env, ready=ready)


def kill(daemon: RunningDaemon) -> None:
    daemon.process.kill()
    daemon.process.wait()


def workers_of(daemon: RunningDaemon) -> list[int]:
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def say_something(daemon: RunningDaemon) -> None:
    async with calling(daemon.control) as control, calling(daemon.audio) as audio:
        for number in range(30):
            await audio.socket.send(echo.chunk(number).tobytes())
        await control.hear("speech_started")


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)],
)
def test_a_second_signal_ends_the_daemon_and_its_workers_at_once(
    tmp_path: Path, first: signal.Signals, second: signal.Signals
) -> None:
    daemon = start(tmp_path, "slow")

    async def main() -> list[int]:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            for number in range(30):
                await audio.socket.send(echo.chunk(number).tobytes())
            await control.hear("speech_started")
            daemon.process.send_signal(first)
            while "A second signal" not in daemon.log.read_text():
                await asyncio.sleep(0.02)
            workers = workers_of(daemon)
            assert workers
            assert all(map(lives, workers)), "what was said is being decoded"
            daemon.process.send_signal(second)
            await asyncio.to_thread(daemon.process.wait, 20)
            while any(map(lives, workers)):
                await asyncio.sleep(0.02)
            return workers

    try:

        async def bounded() -> None:
            async with asyncio.timeout(60):
                await main()

        asyncio.run(bounded())
        # A shell shows it as 128 and the number of the signal.
        assert daemon.process.returncode == -second
    finally:
        kill(daemon)


def test_a_hangup_ends_it_in_good_order_unless_it_is_to_be_ignored(tmp_path: Path) -> None:
    daemon = start(tmp_path, "echo")
    try:
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.process.wait(60) == 0
    finally:
        kill(daemon)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        daemon = start(tmp_path, "echo")
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        daemon.process.send_signal(signal.SIGHUP)
        asyncio.run(say_something(daemon))
        assert daemon.stop() == 0
    finally:
        kill(daemon)


def test_the_service_manager_hears_of_start_and_stop(tmp_path: Path, manager: Manager) -> None:
    daemon = start(tmp_path, "echo", env=manager.environment)
    try:
        assert "STATUS=Serving echo; 0 sessions." in manager.hear("READY=1")
        assert "WATCHDOG=1" in manager.hear("WATCHDOG")
        (worker,) = workers_of(daemon)
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
        daemon.process.send_signal(signal.SIGTERM)
        manager.hear("STOPPING=1")
        assert daemon.process.wait(60) == 0
    finally:
        kill(daemon)


def test_a_daemon_whose_model_is_broken_is_ready_and_says_so(tmp_path: Path, manager: Manager) -> None:
    daemon = start(tmp_path, "broken", env=manager.environment, ready=False)
    try:
        assert "STATUS=No model is serving; 0 sessions." in manager.hear("READY=1")
        assert daemon.stop() == 0
    finally:
        kill(daemon)


def test_a_daemon_that_hangs_does_not_feed_the_watchdog(tmp_path: Path, manager: Manager) -> None:
    daemon = start(tmp_path, "echo", env=manager.environment)
    try:
        manager.hear("READY=1")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
        manager.skip()
        assert manager.is_silent(1.5), "thrice the time between two messages"
        os.kill(daemon.process.pid, signal.SIGCONT)
        manager.hear("WATCHDOG=1")
        assert daemon.stop() == 0
    finally:
        kill(daemon)
