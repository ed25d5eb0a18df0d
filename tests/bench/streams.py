"""Many speakers at once against a real daemon: how late are partials and finals?

Open-loop senders pace clips in real time by schedule, with staggered starts; every stream talks all the time, one
second of pause between clips. Latency of a final counts from the true end of speech in the clip (known from its
silence-free extent) and, without the endpoint delay, from the daemon's endpoint (``lag_ms``).

    python tests/bench/streams.py --streams 16 --seconds 30 --json result.json
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from jiwer import process_words
from websockets.asyncio.client import connect

from running import CLIPS, RunningDaemon, running_daemon

CHUNK_S = 0.1
CHUNK = 3200
PAUSE_S = 1.2


class Clip:
    """Audio, its words and where its speech ends."""

    def __init__(self, name: str, text: str) -> None:
        with wave.open(str(CLIPS / f"{name}.wav")) as file:
            self.pcm = file.readframes(file.getnframes())
        self.text = text
        loud = np.flatnonzero(np.abs(np.frombuffer(self.pcm, np.int16)) > 300)
        self.speech_end = float(loud[-1]) / 16_000


class Stream:
    """One speaker and what it heard."""

    def __init__(self, number: int, clips: list[Clip]) -> None:
        self.number, self.clips = number, clips
        self.partial_lags: list[float] = []
        self.endpoint_lags: list[float] = []
        self.speech_lags: list[float] = []
        self.finals: list[str] = []
        self.errors: list[str] = []
        self.expected: list[str] = []
        self._ends: list[float] = []

    async def run(self, uri: str, seconds: float, delay: float) -> None:
        await asyncio.sleep(delay)
        async with connect(f"{uri}?channel=bench-{self.number}", compression=None) as socket:
            listener = asyncio.create_task(self._listen(socket))
            await self._speak(socket, seconds)
            await asyncio.sleep(3.0)
            listener.cancel()

    async def _speak(self, socket: Any, seconds: float) -> None:
        start, sent, turn = time.perf_counter(), 0, self.number
        while sent * CHUNK_S < seconds:
            clip = self.clips[turn % len(self.clips)]
            turn += 1
            began = start + sent * CHUNK_S
            audio = clip.pcm + bytes(int(PAUSE_S * 32_000))
            self._ends.append(began + clip.speech_end)
            self.expected.append(clip.text)
            for offset in range(0, len(audio), CHUNK):
                await asyncio.sleep(start + (sent + 1) * CHUNK_S - time.perf_counter())
                await socket.send(audio[offset : offset + CHUNK].ljust(CHUNK, b"\0"))
                sent += 1

    async def _listen(self, socket: Any) -> None:
        async for message in socket:
            now, body = time.perf_counter(), json.loads(message)
            match body["type"]:
                case "realtime_transcription":
                    self.partial_lags.append(body["lag_ms"] / 1000)
                case "final_transcription":
                    self.finals.append(body["text"])
                    self.endpoint_lags.append(body["lag_ms"] / 1000)
                    ends = [end for end in self._ends if end <= now]
                    if ends:
                        self.speech_lags.append(now - ends[-1])
                case "error":
                    self.errors.append(body["code"])


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the count."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    at = {f"p{p}": round(ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))], 4) for p in (50, 95, 99)}
    return {"count": len(ordered), "mean": round(statistics.fmean(ordered), 4), **at}


async def measure(daemon: RunningDaemon, streams: int, seconds: float) -> dict[str, Any]:
    """Run all streams and return the figures."""
    texts = json.loads((CLIPS / "clips.json").read_text())
    clips = [Clip(name, entry["text"]) for name, entry in texts.items() if "sentences" not in entry]
    speakers = [Stream(number, clips) for number in range(streams)]
    await asyncio.gather(*(s.run(daemon.audio, seconds, s.number * 0.37 % 3.0) for s in speakers))
    reference = [" ".join(s.expected) for s in speakers]
    heard = [" ".join(s.finals) for s in speakers]
    return {
        "streams": streams,
        "seconds": seconds,
        "partial_age": percentiles([lag for s in speakers for lag in s.partial_lags]),
        "final_after_endpoint": percentiles([lag for s in speakers for lag in s.endpoint_lags]),
        "final_after_speech": percentiles([lag for s in speakers for lag in s.speech_lags]),
        "finals_expected": sum(len(s.expected) for s in speakers),
        "finals": sum(len(s.finals) for s in speakers),
        "word_error_rate": round(process_words(reference, heard).wer, 4),
        "errors": sorted({code for s in speakers for code in s.errors}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[16])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("flags", nargs="*", help="further flags of 'hotmic serve', after --")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder, running_daemon(Path(folder), *options.flags) as daemon:
        for streams in options.streams:
            result = asyncio.run(measure(daemon, streams, options.seconds))
            results.append(result)
            print(json.dumps(result, indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
