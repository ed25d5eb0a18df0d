"""A real daemon in a process of its own, for tests and benchmarks."""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CLIPS = Path(__file__).parents[1] / "server" / "hotmic" / "models" / "clips"
START_LIMIT = 120.0


USUAL = ("control", "audio", "http")


class RunningDaemon:
    """Addresses of a started daemon and the end of it."""

    def __init__(self, process: "subprocess.Popen[str]", addresses: dict[str, str], log: Path) -> None:
        self.process = process
        self.control, self.audio, self.http = (addresses[name] for name in USUAL)
        self.addresses = addresses
        self.log = log

    def stop(self) -> int:
        """End it as a service manager would; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


PLANTED = Path(__file__).with_name("planted.py")


def start_daemon(
    folder: Path,
    *args: str,
    env: dict[str, str] | None = None,
    ready: bool = True,
    limit: str = "",
    errors: str = "",
    plant: str = "",
) -> RunningDaemon:
    """Start ``hotmic serve`` on free loopback ports.

    Args:
        folder: Where its log goes.
        args: Further flags.
        env: Further environment variables.
        ready: Wait until the default model is warm, not only until the ports listen.
        limit: A limit of the system it runs under, as prlimit(1) takes it.
        errors: Where its stderr goes; by default into the folder.
        plant: What is wrong with it on purpose, a name of tests/planted.py.

    Raises:
        RuntimeError: It ended, or was not ready in time; carries its log.
    """
    log = folder / f"daemon-{time.monotonic_ns()}.log"
    program = [str(PLANTED), plant] if plant else ["-m", "hotmic"]
    command = [sys.executable, *program, "serve", "--control-port", "0", "--audio-port", "0", "--http-port", "0"]
    if limit:
        command = ["prlimit", limit, *command]
    with Path(errors or log).open("w") as stderr:
        process = subprocess.Popen(
            [*command, *args], stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **(env or {})}
        )
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    addresses: dict[str, str] = {}
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            words = lines.get(timeout=max(0.1, deadline - time.monotonic())).split()
        except queue.Empty:
            words = []
        match words:
            case ["listening", name, url]:
                addresses[name] = url
                if addresses.keys() >= set(USUAL) and not ready:
                    return RunningDaemon(process, addresses, log)
            case ["ready"] if addresses.keys() >= set(USUAL):
                return RunningDaemon(process, addresses, log)
            case ["ready"]:
                lines.put("ready")
            case _:
                process.kill()
                process.wait()
                reader.join()
                raise RuntimeError(f"the daemon did not start:\n{log.read_text()}")


@contextmanager
def running_daemon(folder: Path, *args: str, **more: Any) -> Iterator[RunningDaemon]:
    """Start a daemon and end it."""
    daemon = start_daemon(folder, *args, **more)
    try:
        yield daemon
    finally:
        daemon.stop()


class Caller:
    """One WebSocket whose messages are read as they come."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def say(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, kind: str, *, limit: float = 20.0, **fields: object) -> dict[str, Any]:
        """Wait for a message of a type whose fields match; keeps all it passes in ``heard``."""
        async with asyncio.timeout(limit):
            while True:
                message = json.loads(await self.socket.recv())
                self.heard.append(message)
                if message["type"] == kind and all(message.get(k) == v for k, v in fields.items()):
                    return message  # type: ignore[no-any-return]


@asynccontextmanager
async def calling(uri: str, **options: Any) -> AsyncIterator[Caller]:
    """Open a WebSocket for a test."""
    async with connect(uri, **options) as socket:
        yield Caller(socket)
