"""How long does a window take to the worker and back, without the decoding?

One job of ten seconds (320 kB) at a time through a real worker with the echo engine; the time the engine itself took,
as its result says, is subtracted. What it costs that a process wakes after the ten milliseconds of that decoding,
whatever it is sent, is shown beside it: a window of one second with an engine that is made to take as long. Given
several source trees, it measures them in turns: before and after a change, in one run.

    python tests/bench/channel.py --json tests/bench/results/channel.json
    python tests/bench/channel.py --tree before=../old/server --tree after=server
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "server"))

from hotmic.bench.head import head

WINDOWS: dict[str, tuple[int, float]] = {"1 s": (1, 0.0), "1 s, engine 10 ms": (1, 0.01), "10 s": (10, 0.0)}
"""Seconds of audio, and the least time the engine takes."""
WARM_UP = 20


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each round trip, by window."""
    return {name: await _measure(seconds, engine_s, rounds) for name, (seconds, engine_s) in WINDOWS.items()}


async def _measure(seconds: int, engine_s: float, rounds: int) -> list[float]:
    from hotmic.config.model import Bundled, ModelSpec
    from hotmic.values import DecodeJob
    from hotmic.worker.messages import Start
    from hotmic.worker.process import WorkerProcess

    spec = ModelSpec(
        id="echo",
        name="Echo",
        type="echo",
        source=Bundled(name="echo"),
        languages=("en",),
        options={"batch_s": engine_s},
    )
    start = Start(
        spec=spec, directory=Path(), device="cpu", compute_type="auto", threads=1, batch_size=8, num_workers=1
    )
    # Noise: the engine finds no word in it, and what it does is in the time it tells.
    samples = np.random.default_rng(0).normal(0, 300, seconds * 16_000).astype("<i2").tobytes()
    ids = {"session_id": "s", "segment_id": "g"}
    times: list[float] = []
    worker = WorkerProcess()
    await worker.start(start, lambda _: None)
    try:
        for number in range(rounds + WARM_UP):
            job = DecodeJob(job_id=str(number), kind="partial", samples=samples, start=0, deadline=0.0, **ids)
            began = time.perf_counter()
            (result,) = await worker.decode([job])
            if number >= WARM_UP:
                times.append((time.perf_counter() - began - result.decode_s) * 1000)
            await asyncio.sleep(0.002)
    finally:
        await worker.stop()
    return times


def run_tree(tree: Path, loop: str, rounds: int) -> dict[str, list[float]]:
    """Measure a source tree in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", loop, "--rounds", str(rounds)]
    env = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=tree)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def summarise(times: list[float]) -> dict[str, float]:
    """Return milliseconds: the median, the 95th percentile, the least."""
    ordered = sorted(times)
    at = {f"p{p}_ms": round(ordered[int(len(ordered) * p / 100)], 3) for p in (50, 95)}
    return {"count": len(ordered), "least_ms": round(ordered[0], 3), **at}


def compare(trees: dict[str, Path], rounds: int, turns: int) -> dict[str, Any]:
    """Measure all trees on both event loops in turns."""
    spent: dict[str, dict[str, list[float]]] = {}
    for _ in range(turns):
        for name, tree in trees.items():
            for loop in ("asyncio", "uvloop"):
                for window, times in run_tree(tree, loop, rounds).items():
                    spent.setdefault(f"{name} {loop}", {}).setdefault(window, []).extend(times)
    return {name: {w: summarise(times) for w, times in windows.items()} for name, windows in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", action="append", default=[], help="NAME=FOLDER that holds the package")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", choices=("asyncio", "uvloop"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        import uvloop

        factory = uvloop.new_event_loop if options.measure == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            print(json.dumps(runner.run(measure(options.rounds))))
        return
    above = head()
    named = dict(entry.split("=", 1) for entry in options.tree) or {"now": Path(__file__).parents[2] / "server"}
    result = compare({name: Path(tree) for name, tree in named.items()}, options.rounds, options.turns)
    text = json.dumps(above | {"round_trip": result}, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
