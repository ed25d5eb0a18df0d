"""Connections that do nothing, and many that come at once."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.asyncio.client import ClientConnection, connect

from reliability_support import Figures, both, percentile, resident, run, write_registry
from running import RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

MOST_KB = 64.0
WARM = 50
"""Connections that were there before: what is loaded with the first is not the others' memory."""


class Idle(NamedTuple):
    """How many connections do nothing, and for how many seconds."""

    connections: int
    seconds: float


class Storm(NamedTuple):
    """How many connections come within how many seconds, and to how many daemons one after the other."""

    connections: int
    seconds: float
    starts: int


async def open_one(uri: str, stack: AsyncExitStack) -> ClientConnection:
    socket = await stack.enter_async_context(connect(uri, compression=None, open_timeout=60, ping_interval=None))
    assert json.loads(await socket.recv())["type"] == "connected"
    return socket


async def open_many(uri: str, count: int, stack: AsyncExitStack) -> list[ClientConnection]:
    opened: list[ClientConnection] = []
    while len(opened) < count:
        opened += await asyncio.gather(*(open_one(uri, stack) for _ in range(min(50, count - len(opened)))))
    return opened


async def ping(socket: ClientConnection) -> bool:
    await socket.send('{"type":"ping"}')
    return bool(json.loads(await socket.recv())["type"] == "pong")


async def be_idle(daemon: RunningDaemon, size: Idle) -> float:
    """Return the bytes that one idle connection costs the gateway."""
    async with AsyncExitStack() as stack:
        await open_many(daemon.control, WARM, stack)
        before = resident(daemon.process.pid)
        idle = await open_many(daemon.control, size.connections, stack)
        await asyncio.sleep(size.seconds)
        grown = resident(daemon.process.pid) - before
        assert all(await asyncio.gather(*(ping(socket) for socket in idle)))
    return grown / size.connections


@pytest.mark.parametrize("size", both(Idle(500, 1), Idle(2000, 1800)))
def test_idle_connections(tmp_path: Path, figures: Figures, size: Idle) -> None:
    with running_daemon(tmp_path, "--models", write_registry(tmp_path, "echo")) as daemon:
        each = run(be_idle(daemon, size))
    assert each < MOST_KB * 1000
    figures.note(connections=size.connections, seconds=size.seconds, kb_each=round(each / 1000, 1))


async def storm(daemon: RunningDaemon, size: Storm) -> list[float]:
    """Connect on schedule; return the seconds each took to its greeting."""
    loop = asyncio.get_running_loop()
    took: list[float] = []

    async def one(number: int, stack: AsyncExitStack) -> None:
        await asyncio.sleep(number * size.seconds / size.connections)
        began = loop.time()
        await open_one(daemon.control, stack)
        took.append(loop.time() - began)

    async with AsyncExitStack() as stack:
        outcomes = await asyncio.gather(
            *(one(number, stack) for number in range(size.connections)), return_exceptions=True
        )
    assert [outcome for outcome in outcomes if outcome is not None] == []
    return took


@pytest.mark.parametrize("size", both(Storm(300, 5, 1), Storm(1000, 5, 2)))
def test_connect_storms(tmp_path: Path, figures: Figures, size: Storm) -> None:
    models, took = write_registry(tmp_path, "echo"), []
    for _ in range(size.starts):
        with running_daemon(tmp_path, "--models", models) as daemon:
            took += run(storm(daemon, size))
    assert len(took) == size.connections * size.starts
    figures.note(
        connections=len(took),
        within_10_s=sum(seconds < 10 for seconds in took),
        greeting_s={"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "max": percentile(took, 1)},
    )
