"""Start-up time and memory of a real daemon: idle, per connection, per speaking stream.

python tests/bench/footprint.py --json result.json
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from websockets.asyncio.client import ClientConnection, connect

from running import CLIPS, RunningDaemon, start_daemon


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


async def open_many(uri: str, count: int) -> list[ClientConnection]:
    """Open connections that only listen."""
    opened: list[ClientConnection] = []
    for begin in range(0, count, 50):
        batch = [connect(uri, compression=None) for _ in range(min(50, count - begin))]
        opened += await asyncio.gather(*batch)
    return opened


async def speak(sockets: list[ClientConnection], seconds: float) -> None:
    """Send speech on every socket in real time."""
    with wave.open(str(CLIPS / "order_latte.wav")) as file:
        pcm = file.readframes(file.getnframes())
    start, sent = time.perf_counter(), 0
    while sent * 0.1 < seconds:
        offset = sent * 3200 % (len(pcm) - 3200)
        await asyncio.gather(*(socket.send(pcm[offset : offset + 3200]) for socket in sockets))
        sent += 1
        await asyncio.sleep(max(0.0, start + sent * 0.1 - time.perf_counter()))


async def idle_memory(daemon: RunningDaemon) -> int:
    """Return the resident bytes of a gateway that has served somebody: what is loaded once is not a stream's."""
    [socket] = await open_many(daemon.audio, 1)
    await speak([socket], 4)
    await socket.close()
    await asyncio.sleep(2)
    return resident(daemon.process.pid)


async def measure_connections(daemon: RunningDaemon, count: int) -> dict[str, Any]:
    """Return what connections that only listen take."""
    idle = await idle_memory(daemon)
    listeners = await open_many(daemon.control, count)
    await asyncio.sleep(1)
    connected = resident(daemon.process.pid)
    for socket in listeners:
        await socket.close()
    return {"connections": count, "per_connection_kb": round((connected - idle) / count / 1024, 1)}


async def measure_streams(daemon: RunningDaemon, count: int) -> dict[str, Any]:
    """Return what streams that speak take, while nobody else listens: what waits for listeners is not theirs."""
    pid = daemon.process.pid
    idle = await idle_memory(daemon)
    speakers = await open_many(daemon.audio, count)
    await speak(speakers, 20)
    speaking = resident(pid)
    for socket in speakers:
        await socket.close()
    return {
        "gateway_idle_mb": round(idle / 2**20, 1),
        "worker_mb": [round(resident(child) / 2**20, 1) for child in children(pid)],
        "streams": count,
        "per_stream_kb": round((speaking - idle) / count / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        daemon = start_daemon(Path(folder), ready=False)
        listening = time.perf_counter() - started
        daemon.stop()
        started = time.perf_counter()
        daemon = start_daemon(Path(folder))
        ready = time.perf_counter() - started
        try:
            connections = asyncio.run(measure_connections(daemon, options.connections))
        finally:
            daemon.stop()
        daemon = start_daemon(Path(folder))
        try:
            streams = asyncio.run(measure_streams(daemon, options.streams))
        finally:
            daemon.stop()
    result = {
        "start_to_listening_s": round(listening, 2),
        "start_to_serving_s": round(ready, 2),
        **connections,
        **streams,
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
