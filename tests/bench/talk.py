"""A talk without an end: one voice after another for half an hour, hardly a pause, faster than real time.

Shows that nothing piles up: the lag of finals and the memory of the processes over the talk, and the word error rate
of the talk beside that of its sentences spoken one by one.

    python tests/bench/talk.py --minutes 30 --speed 6 --json result.json
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server"), str(ROOT / "tests" / "bench")]

from jiwer import process_words
from recognition import discard, pcm, transcribe

from demo_model import evaluate
from demo_model.voices import Espeak, Speakers
from hotmic.bench.head import head
from running import RunningDaemon, calling, running_daemon

RATE = 16_000
CHUNK = 3200
SAMPLE_EVERY_S = 10.0

Sentence = tuple[Any, str]
IntArray = npt.NDArray[np.int_]


def sentences(seconds: float, rng: random.Random) -> list[tuple[Sentence, float]]:
    """Return sentences by held-out voices and the pause after each; most pauses are too short to end an utterance."""
    speakers = Speakers(Espeak(), held=True)
    said: list[tuple[Sentence, float]] = []
    total = 0.0
    while total < seconds:
        utterance = evaluate.held_out_sentence(speakers, rng)
        pause = rng.uniform(0.1, 0.5) if rng.random() < 0.9 else rng.uniform(0.5, 1.0)
        said.append(((utterance.samples, utterance.text), pause))
        total += utterance.seconds + pause
    return said


def talk_of(said: list[tuple[Sentence, float]], rng: random.Random) -> bytes:
    """Return the whole talk as PCM16."""
    parts = []
    for (samples, _), pause in said:
        parts += [samples * (0.25 / max(float(np.abs(samples).max()), 1e-6)), np.zeros(int(pause * RATE))]
    talk = np.concatenate(parts)
    talk += np.random.default_rng(rng.randrange(2**32)).normal(0, 3e-4, len(talk))
    return (np.clip(talk, -1, 1) * 32767).astype("<i2").tobytes()


def resident_mb(pids: list[int]) -> float:
    """Return the memory of processes in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return round(pages * 4096 / 1e6, 1)


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


async def give(daemon: RunningDaemon, talk: bytes, speed: float) -> dict[str, Any]:
    """Speak the talk by schedule and return what was heard, and how the daemon fared."""
    finals: list[dict[str, Any]] = []
    memory: list[tuple[float, float]] = []
    began = time.perf_counter()

    async def listen(socket: Any) -> None:
        async for message in socket:
            body = json.loads(message)
            if body["type"] == "final_transcription":
                finals.append(body | {"at": time.perf_counter() - began})
            elif body["type"] == "recording_stopped":
                return

    async def watch() -> None:
        pids = family(daemon.process.pid)
        while True:
            memory.append((round(time.perf_counter() - began, 1), resident_mb(pids)))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async with calling(daemon.audio + "?channel=talk") as audio, calling(daemon.control + "?channel=talk") as control:
        listener = asyncio.create_task(listen(control.socket))
        # The texts count from the other socket.
        reader = asyncio.create_task(discard(audio.socket))
        watcher = asyncio.create_task(watch())
        for number, begin in enumerate(range(0, len(talk), CHUNK)):
            delay = began + number * 0.1 / speed - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            await audio.socket.send(talk[begin : begin + CHUNK])
        await audio.say(type="audio_end")
        async with asyncio.timeout(120):
            await listener
        watcher.cancel()
        reader.cancel()
    return {"finals": finals, "memory": memory}


def errors_by_word(reference: str, heard: str) -> IntArray:
    """Return how many mistakes stand at each word of a reference; a word too many counts at the one before it."""
    errors = np.zeros(len(reference.split()), dtype=int)
    for chunk in process_words(reference, heard).alignments[0]:
        if chunk.type == "insert":
            errors[max(0, chunk.ref_start_idx - 1)] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            errors[chunk.ref_start_idx : chunk.ref_end_idx] += 1
    return errors


def difference(texts: list[str], talk: str, pieces: list[str]) -> dict[str, float]:
    """Return by how many points the word error rate of the talk is above that of the pieces.

    The interval is that of a paired difference over sentences, 1.96 standard errors to both sides.
    """
    sizes = [len(text.split()) for text in texts]
    in_talk = np.add.reduceat(errors_by_word(" ".join(texts), talk), np.cumsum([0, *sizes[:-1]]))
    alone = [errors_by_word(text, piece).sum() for text, piece in zip(texts, pieces, strict=True)]
    extra = in_talk - np.array(alone)
    scale = 100 / sum(sizes)
    points, margin = extra.sum() * scale, 1.96 * np.sqrt(len(texts)) * extra.std(ddof=1) * scale
    named = {"points": points, "low": points - margin, "high": points + margin}
    return {name: round(float(value), 3) for name, value in named.items()}


def report(
    said: list[tuple[Sentence, float]], heard: dict[str, Any], pieces: list[str], talk_s: float
) -> dict[str, Any]:
    """Return the figures."""
    finals = heard["finals"]
    lags = [final["lag_ms"] / 1000 for final in finals]
    half = len(lags) // 2
    memory = [megabytes for _, megabytes in heard["memory"]]
    texts = [text for (_, text), _ in said]
    reference, talk = " ".join(texts), " ".join(final["text"] for final in finals)
    return {
        "minutes": round(talk_s / 60, 2),
        "sentences": len(said),
        "words": len(reference.split()),
        "finals": len(finals),
        "longest_segment_s": round(max(final["end"] - final["start"] for final in finals), 2),
        "word_error_rate_talk": round(process_words(reference, talk).wer, 4),
        "word_error_rate_pieces": round(process_words(texts, pieces).wer, 4),
        "difference_points": difference(texts, talk, pieces),
        "final_lag_s": {
            "p50": round(float(np.percentile(lags, 50)), 3),
            "p95": round(float(np.percentile(lags, 95)), 3),
            "mean_first_half": round(float(np.mean(lags[:half])), 3),
            "mean_second_half": round(float(np.mean(lags[half:])), 3),
        },
        "memory_mb": {"early": memory[:2][-1], "highest": max(memory), "last": memory[-1]},
        "memory_over_time": heard["memory"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=6.0, help="times real time")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("flags", nargs="*", help="further flags of 'hotmic serve', after --")
    options = parser.parse_args()
    above = head()
    rng = random.Random(options.seed)
    said = sentences(options.minutes * 60, rng)
    talk = talk_of(said, rng)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_daemon(Path(folder), *options.flags, env={"HOTMIC_MAX_AUDIO_SPEED": "0"}) as daemon,
    ):
        heard = asyncio.run(give(daemon, talk, options.speed))
        pieces = asyncio.run(transcribe(daemon, [pcm(samples, rng, None) for (samples, _), _ in said]))
    figures = report(said, heard, pieces, len(talk) / 2 / RATE)
    print(json.dumps({k: v for k, v in figures.items() if k != "memory_over_time"}, indent=2))
    if options.json:
        options.json.write_text(json.dumps(above | figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
