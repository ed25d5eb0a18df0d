"""One speaker and many listeners, a tenth of whom read nothing: the others hear everything, at once."""

import asyncio
import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from reliability_support import Figures, both, percentile, resident, run, series, write_registry
from running import RunningDaemon, running_daemon
from speaking import Voice, wrong

pytestmark = pytest.mark.integration

MOST_MB = 60.0
CHANNEL = "talk"
LONG_NAME = 39_999
"""Number of the speaker: its words are long, so that the buffers on the way to a stalled listener fill."""


class FanOut(NamedTuple):
    """How many listen, a tenth of them stalled; how many chunks one speaks, and the seconds between two."""

    listeners: int
    chunks: int
    pace: float


class Ear:
    """A listener that reads: the finals it heard, and how old each message was when it came."""

    def __init__(self) -> None:
        self.finals: list[tuple[int, str]] = []
        self.ages: list[float] = []
        self.over = asyncio.Event()

    async def listen(self, uri: str) -> None:
        async with connect(f"{uri}?channel={CHANNEL}", compression=None, open_timeout=60) as socket:
            async for frame in socket:
                now = datetime.now(UTC)
                message: dict[str, Any] = json.loads(frame)
                if message["type"] == "final_transcription":
                    self.finals.append((message["event_id"], message["text"]))
                if message["type"] in ("final_transcription", "realtime_transcription"):
                    self.ages.append((now - datetime.fromisoformat(message["timestamp"])).total_seconds())
                if message["type"] == "recording_stopped":
                    self.over.set()


def stall(uri: str) -> socket.socket:
    """Open a WebSocket that is never read; its small buffer fills soon."""
    parts = urlsplit(uri)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    request = (
        f"GET /?channel={CHANNEL} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    connection.sendall(request.encode())
    return connection


async def speak_to_all(daemon: RunningDaemon, size: FanOut) -> tuple[Voice, list[Ear], float]:
    ears = [Ear() for _ in range(size.listeners - size.listeners // 10)]
    before = resident(daemon.process.pid)
    stalled = [stall(daemon.control) for _ in range(size.listeners // 10)]
    listening = [asyncio.create_task(ear.listen(daemon.control)) for ear in ears]
    try:
        async with Voice(daemon.audio, LONG_NAME, channel=CHANNEL) as voice:
            await connected(daemon, size.listeners + 1)
            await voice.talk(size.chunks, pace=size.pace, burst=300)
            await voice.end()
            grown = (resident(daemon.process.pid) - before) / 1e6
            async with asyncio.timeout(60):
                await asyncio.gather(*(ear.over.wait() for ear in ears))
            await cut(daemon, len(stalled))
        assert not any(task.done() for task in listening), "a healthy listener was cut"
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        for connection in stalled:
            connection.close()
    return voice, ears, grown


async def connected(daemon: RunningDaemon, count: int) -> None:
    """Wait until the daemon counts so many connections."""
    async with asyncio.timeout(60):
        while await series(daemon, "hotmic_connections") < count:
            await asyncio.sleep(0.05)


async def cut(daemon: RunningDaemon, count: int) -> None:
    """Wait until the daemon has cut so many clients that do not read."""
    async with asyncio.timeout(60):
        while await series(daemon, "hotmic_slow_clients_total") < count:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("size", both(FanOut(100, 900, 0.02), FanOut(500, 3000, 0.1)))
def test_stalled_listeners_hold_up_nobody(tmp_path: Path, figures: Figures, size: FanOut) -> None:
    models = write_registry(tmp_path, "echo")
    env = {"HOTMIC_SLOW_CLIENT_S": "2"}
    with running_daemon(tmp_path, "--models", models, "--vad", "seed", env=env, plant="narrow") as daemon:
        voice, ears, grown = run(speak_to_all(daemon, size))
    assert wrong([voice]) == {}
    expected = [(final["event_id"], final["text"]) for final in voice.finals]
    assert len(expected) >= 3
    assert all(ear.finals == expected for ear in ears)
    assert grown < MOST_MB
    ages = [age for ear in ears for age in ear.ages]
    figures.note(
        listeners=len(ears),
        stalled=size.listeners - len(ears),
        messages=len(ages),
        age_s={"p50": percentile(ages, 0.5), "p99": percentile(ages, 0.99), "max": percentile(ages, 1)},
        memory_mb=round(grown, 1),
    )
