"""Start-up time and memory of a real daemon: idle, per connection, per speaking stream.

    python tests/bench/footprint.py --json result.json

The start is told beside that of a process which loads the same model and does nothing else; they take turns.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server")]

from websockets.asyncio.client import ClientConnection, connect

from hotmic.bench.head import head
from running import CLIPS, RunningDaemon, start_daemon

MODEL = CLIPS.parent / "demo-en"
BARE_LOAD = """
import sys, time
import ctranslate2
began = time.perf_counter()
model = ctranslate2.models.Whisper(sys.argv[1], device="cpu", compute_type="int8")
print(time.perf_counter() - began, flush=True)
"""


def bare_start() -> tuple[float, float]:
    """Return the seconds from the start of a process until it has loaded the model, and those of the load alone."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", BARE_LOAD, str(MODEL)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        load = float(process.stdout.readline())
        return time.perf_counter() - began, load


def daemon_start(folder: Path, *, ready: bool) -> float:
    """Return the seconds from the start of a daemon until its ports listen, or until its model serves."""
    began = time.perf_counter()
    daemon = start_daemon(folder, ready=ready)
    spent = time.perf_counter() - began
    daemon.stop()
    return spent


def measure_starts(folder: Path, turns: int) -> dict[str, Any]:
    """Return the medians of all starts, and how much longer the daemon takes than the bare process of its turn."""
    bare, loads, listening, serving = [], [], [], []
    bare_start()  # the files are in the page cache from here on, for both
    for _ in range(turns):
        start, load = bare_start()
        bare.append(start)
        loads.append(load)
        listening.append(daemon_start(folder, ready=False))
        serving.append(daemon_start(folder, ready=True))
    ratios = [ours / theirs for ours, theirs in zip(serving, bare, strict=True)]
    return {
        "starts": turns,
        "start_to_listening_s": round(statistics.median(listening), 2),
        "start_to_serving_s": round(statistics.median(serving), 2),
        "bare_start_to_loaded_s": round(statistics.median(bare), 2),
        "bare_load_alone_s": round(statistics.median(loads), 3),
        "serving_against_bare_start": round(statistics.median(ratios), 2),
        "serving_against_bare_start_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


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


async def measure_streams(daemon: RunningDaemon, count: int, seconds: float) -> dict[str, Any]:
    """Return what streams that speak take, while nobody else listens: what waits for listeners is not theirs."""
    pid = daemon.process.pid
    idle = await idle_memory(daemon)
    speakers = await open_many(daemon.audio, count)
    await speak(speakers, seconds)
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
    parser.add_argument("--starts", type=int, default=5, help="starts of each kind; the median counts")
    parser.add_argument("--speak", type=float, default=20.0, help="seconds that the streams speak")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    above = head()
    with tempfile.TemporaryDirectory() as folder:
        starts = measure_starts(Path(folder), options.starts)
        daemon = start_daemon(Path(folder))
        try:
            connections = asyncio.run(measure_connections(daemon, options.connections))
        finally:
            daemon.stop()
        daemon = start_daemon(Path(folder))
        try:
            streams = asyncio.run(measure_streams(daemon, options.streams, options.speak))
        finally:
            daemon.stop()
    result = {**above, **starts, **connections, **streams}
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
