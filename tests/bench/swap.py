"""What a change of the model costs those who speak meanwhile: text, and time between partials.

Streams say the clips of the package in real time; again and again a second copy of the bundled model is loaded beside
the first and takes over. Gaps between two partials of a segment are told apart: those that a change fell into, from its
wish until a second after the new model serves, and all others.

    python tests/bench/swap.py --streams 16 --swaps 10 --json result.json
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server"), str(ROOT / "clients")]

from hotmic.bench.clip import bundled_clips
from hotmic.bench.head import head
from hotmic.bench.measure import Record, StreamFigures, measure_stream, percentiles
from hotmic.bench.sender import STAGGER_S, Target, speak_all
from hotmic.bench.voice import Voice
from hotmic.config.settings import Settings
from hotmic_client import Client
from running import RunningDaemon, running_daemon

SETTLE_S = 1.0
"""The first windows that the new model decodes belong to the change."""
ALLOWED_MORE_S = 0.3
"""What a gap may take longer than the cadence."""

Span = tuple[float, float]


def write_registry(folder: Path) -> Path:
    """Write a registry with the bundled model under two names, as the package has it otherwise."""
    lines = (ROOT / "models.yaml").read_text().splitlines()
    begin = lines.index("  - id: demo-en")
    end = next(n for n in range(begin + 1, len(lines)) if lines[n] and not lines[n].startswith("    "))
    entry = lines[begin:end]
    copies = [[f"  - id: {name}", *entry[1:]] for name in ("one", "two")]
    path = folder / "models.yaml"
    path.write_text("\n".join(["default: one", "models:", *copies[0], *copies[1]]) + "\n")
    return path


async def change_models(daemon: RunningDaemon, count: int, every: float) -> list[Span]:
    """Load one model after the other; return when each was asked for and when it served."""
    spans: list[Span] = []
    async with Client(daemon.control, daemon.audio, channel="swap") as client:
        begin = time.perf_counter() + STAGGER_S
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + (number + 0.5) * every - time.perf_counter()))
            asked = time.perf_counter()
            await client.load_model(("two", "one")[number % 2])
            spans.append((asked, time.perf_counter()))
    return spans


async def speak(daemon: RunningDaemon, options: argparse.Namespace) -> tuple[list[Record], list[Span]]:
    """Speak on all streams while the models change."""
    settings = Settings()
    seconds = STAGGER_S + options.swaps * options.every  # the first wish comes when all have begun
    voices = [
        Voice(
            bundled_clips(),
            seconds=seconds,
            duty=1.0,
            endpoint_delay=settings.min_silence_ms / 1000,
            first=number * 5,
        )
        for number in range(options.streams)
    ]
    target = Target(control=daemon.control, audio=daemon.audio)
    records, spans = await asyncio.gather(
        speak_all(target, voices), change_models(daemon, options.swaps, options.every)
    )
    return records, spans


def split_gaps(figures: StreamFigures, began: float, spans: Sequence[Span]) -> tuple[list[float], list[float]]:
    """Return the gaps between partials of one stream that a change fell into, and the others."""
    during: list[float] = []
    outside: list[float] = []
    for at, gap in figures.partial_gap:
        stop = began + at
        meets = any(stop - gap < served + SETTLE_S and stop > asked for asked, served in spans)
        (during if meets else outside).append(gap)
    return during, outside


def figures_of(records: Sequence[Record], spans: Sequence[Span]) -> dict[str, Any]:
    """Return the figures of a run."""
    streams = [measure_stream(record, endpoint_delay=Settings().min_silence_ms / 1000) for record in records]
    gaps = [split_gaps(stream, record.began, spans) for stream, record in zip(streams, records, strict=True)]
    cadence = percentiles(value for stream in streams for value in stream.cadence)
    during = percentiles(gap for inside, _ in gaps for gap in inside)
    return {
        "streams": len(records),
        "swaps": len(spans),
        "swap_s": percentiles(served - asked for asked, served in spans),
        "cadence_s": cadence,
        "gap_during_swaps_s": during,
        "gap_outside_s": percentiles(gap for _, outside in gaps for gap in outside),
        "p99_above_cadence_s": round(during["p99"] - cadence["p50"], 4),
        "allowed_above_cadence_s": ALLOWED_MORE_S,
        "text": {
            "utterances": sum(stream.utterances for stream in streams),
            "finals": sum(stream.finals for stream in streams),
            "unheard": sum(stream.unheard for stream in streams),
            "lost": sum(stream.lost for stream in streams),
            "duplicates": sum(stream.duplicates for stream in streams),
            "unfinished_streams": sum(not stream.is_finished for stream in streams),
            "words_said": sum(stream.reference_words for stream in streams),
            "word_errors": sum(stream.word_errors for stream in streams),
            "events_missed_by_the_bench": sum(record.dropped for record in records),
            "errors": sorted(code for record in records for code in record.errors),
        },
        "finals_by_model": _finals_by_model(records),
        "sender_lateness_s": percentiles(late for record in records for late in record.lateness),
        "per_stream": [
            {"number": record.number, "during": percentiles(inside), "outside": percentiles(outside)}
            for record, (inside, outside) in zip(records, gaps, strict=True)
        ],
    }


def _finals_by_model(records: Sequence[Record]) -> dict[str, int]:
    models = [h.message["model"] for r in records for h in r.heard if h.message["type"] == "final_transcription"]
    return {model: models.count(model) for model in sorted(set(models))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--every", type=float, default=6.0, help="seconds from one wish to the next")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    above = head()
    with tempfile.TemporaryDirectory() as name:
        models = write_registry(Path(name))
        with running_daemon(Path(name), "--models", str(models)) as daemon:
            figures = figures_of(*asyncio.run(speak(daemon, options)))
    print(json.dumps({key: value for key, value in figures.items() if key != "per_stream"}, indent=2))
    if options.json:
        options.json.write_text(json.dumps(above | figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
