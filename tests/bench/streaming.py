"""What streaming costs in text: word errors against offline decoding of the same segments, flicker, word latency.

Each clip is spoken in real time, several speakers at once. The segments that the daemon cut are decoded again by stock
faster-whisper with the same weights, so the difference is the streaming path's alone.

    python tests/bench/streaming.py --speech DIR --policy local_agreement align_att --json result.json
"""

import argparse
import asyncio
import difflib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server"), str(ROOT / "tests" / "bench")]

from jiwer import process_words
from recognition import Case, build_sets, pcm

from hotmic.bench.head import head
from hotmic.policies import script
from running import RunningDaemon, calling, running_daemon

CHUNK = 3200
CHUNK_S = 0.1
SPEAKERS = 6
MODEL = ROOT / "server" / "hotmic" / "models" / "demo-en"
Heard = dict[str, Any]


async def speak(daemon: RunningDaemon, audio: bytes, policy: str, name: str) -> Heard:
    """Speak one clip in real time and return its partials with their times, and its finals."""
    channel = f"?channel={name}"
    partials: list[dict[str, Any]] = []
    finals: list[dict[str, Any]] = []
    async with calling(daemon.audio + channel) as speaker, calling(daemon.control + channel) as control:
        await speaker.say(type="configure", policy=policy)
        began = time.perf_counter()

        async def listen() -> None:
            async for text in control.socket:
                message = json.loads(text) | {"at": time.perf_counter() - began}
                match message["type"]:
                    case "realtime_transcription":
                        partials.append(message)
                    case "final_transcription":
                        finals.append(message)
                    case "recording_stopped":
                        return

        listener = asyncio.create_task(listen())
        for number, begin in enumerate(range(0, len(audio), CHUNK)):
            await asyncio.sleep(max(0.0, began + (number + 1) * CHUNK_S - time.perf_counter()))
            await speaker.socket.send(audio[begin : begin + CHUNK])
        await speaker.say(type="audio_end")
        await asyncio.wait_for(listener, 60)
    return {"partials": partials, "finals": finals}


async def speak_all(daemon: RunningDaemon, clips: list[bytes], policy: str) -> list[Heard]:
    """Speak all clips, several at a time."""
    heard: list[Heard] = [{}] * len(clips)
    turns = iter(range(len(clips)))

    async def speaker() -> None:
        for turn in turns:
            heard[turn] = await speak(daemon, clips[turn], policy, f"{policy}-{turn}")

    await asyncio.gather(*(speaker() for _ in range(SPEAKERS)))
    return heard


class Offline:
    """Stock faster-whisper on the segments that the daemon cut."""

    def __init__(self) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(MODEL), device="cpu", compute_type="int8", cpu_threads=2)

    def transcribe(self, audio: bytes, finals: list[dict[str, Any]]) -> str:
        """Return the text of the segments of one clip."""
        samples = np.frombuffer(audio, np.int16).astype(np.float32) / 32768
        texts = []
        for final in finals:
            part = samples[int(final["start"] * 16_000) : int(final["end"] * 16_000)]
            segments, _ = self._model.transcribe(
                part, language="en", beam_size=3, temperature=0.0, condition_on_previous_text=False
            )
            texts += [segment.text.strip() for segment in segments]
        return " ".join(texts)


def keys(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return [script.normalized(unit) for unit in script.units(text)]


def flicker(clip: Heard) -> dict[str, Any]:
    """Count the final words of a clip that were ever shown otherwise, and time what was shown."""
    counted: dict[str, Any] = {
        "words": 0,
        "stable_wrong": 0,
        "shown_otherwise": 0,
        "first": [],
        "shown": [],
        "stable": [],
    }
    for final in clip["finals"]:
        said = keys(final["text"])
        counted["words"] += len(said)
        shown = [p for p in clip["partials"] if p["segment_id"] == final["segment_id"]]
        otherwise: set[int] = set()
        for partial in shown:
            for tag, _, _, first, last in difflib.SequenceMatcher(
                None, keys(partial["text"]), said, autojunk=False
            ).get_opcodes():
                if tag == "replace":
                    otherwise.update(range(first, last))
        counted["shown_otherwise"] += len(otherwise)
        if shown:
            stable = keys(shown[-1]["stable"])
            matched = sum(
                b.size for b in difflib.SequenceMatcher(None, stable, said, autojunk=False).get_matching_blocks()
            )
            counted["stable_wrong"] += len(stable) - matched
            if final["words"]:
                counted["first"].append(shown[0]["at"] - final["words"][0]["start"])
        for number, word in enumerate(final["words"]):
            for kind, field in (("shown", "text"), ("stable", "stable")):
                when = next(
                    (p["at"] for p in shown if keys(p[field])[number : number + 1] == said[number : number + 1]),
                    final["at"],
                )
                counted[kind].append(when - word["end"])
    return counted


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50 and p95 in seconds."""
    return {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 95)} if values else {}


def figures_of(cases: list[Case], clips: list[bytes], heard: list[Heard], offline: Offline) -> dict[str, Any]:
    """Return the figures of one set under one policy."""
    reference = [text for _, text in cases]
    streamed = [" ".join(f["text"] for f in clip["finals"]) for clip in heard]
    again = [offline.transcribe(audio, clip["finals"]) for audio, clip in zip(clips, heard, strict=True)]
    counts = [flicker(clip) for clip in heard]
    words = max(1, sum(c["words"] for c in counts))
    finals = [final for clip in heard for final in clip["finals"]]
    return {
        "clips": len(cases),
        "word_error_rate_streaming": round(process_words(reference, streamed).wer, 4),
        "word_error_rate_offline": round(process_words(reference, again).wer, 4),
        "stable_words_not_in_final": round(sum(c["stable_wrong"] for c in counts) / words, 4),
        "final_words_shown_otherwise": round(sum(c["shown_otherwise"] for c in counts) / words, 4),
        "finals_revised": round(sum(f.get("revised", False) for f in finals) / max(1, len(finals)), 4),
        "first_word_s": percentiles([v for c in counts for v in c["first"]]),
        "word_first_shown_s": percentiles([v for c in counts for v in c["shown"]]),
        "word_stable_s": percentiles([v for c in counts for v in c["stable"]]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--policy", nargs="+", default=["local_agreement", "align_att"])
    parser.add_argument("--sets", nargs="+", default=["synthetic voices", "coffee orders"])
    parser.add_argument("--clips", type=int, default=100, help="most clips of a set")
    parser.add_argument("--json", type=Path)
    parser.add_argument("flags", nargs="*", help="further flags of 'hotmic serve', after --")
    options = parser.parse_args()
    above = head()
    sets = {name: cases[: options.clips] for name, cases in build_sets(options.speech).items() if name in options.sets}
    offline = Offline()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running_daemon(Path(folder), *options.flags) as daemon:
        for policy in options.policy:
            for snr_db in (None, 10.0):
                for name, cases in sets.items():
                    rng = random.Random(7)
                    clips = [pcm(samples, rng, snr_db) for samples, _ in cases]
                    heard = asyncio.run(speak_all(daemon, clips, policy))
                    label = f"{policy}, {name}, " + ("clean" if snr_db is None else f"{snr_db:g} dB")
                    results[label] = figures_of(cases, clips, heard, offline)
                    print(label, json.dumps(results[label]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(above | results, indent=2) + "\n")


if __name__ == "__main__":
    main()
