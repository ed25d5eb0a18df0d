"""Many speakers at once against one server, in real time: how late, how steady and how right is the text?"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from hotmic.bench.clip import Clip
from hotmic.bench.head import load_average
from hotmic.bench.measure import Record, StreamFigures, drift_of, measure_stream, percentiles
from hotmic.bench.meter import Meter
from hotmic.bench.sender import Target, Wire, speak_all
from hotmic.bench.server import Kind, Server, ServerOptions, running_server
from hotmic.bench.voice import Voice
from hotmic.values import PolicyName, Value

SAMPLE_EVERY_S = 1.0

Report = Callable[[str, float], None]
"""Told what is going on, and how much of it is done (0 to 1)."""


class Limits(Value, frozen=True, kw_only=True):
    """What must hold for streams to count as sustained. Lost text, errors and unfinished streams break a run always."""

    partial_age_s: float = 1.0
    """Of 95 % of the partials."""
    partial_gap_s: float = 2.3
    """Between 95 % of the partials: the longest cadence and what the machine adds. Without it the ones that never come
    cost nothing."""
    final_after_endpoint_s: float = 0.8
    """Of 95 % of the finals."""
    drift_s: float = 0.1
    """What finals may get later over the run, beyond doubt."""
    sender_lateness_s: float = 0.1
    """Of 99 % of the chunks; a sender later than that measures itself."""


class LiveOptions(Value, frozen=True, kw_only=True):
    """What to measure."""

    clips: tuple[Any, ...]
    """Recordings (``Clip``) to speak."""
    server: ServerOptions = ServerOptions()
    running: Target | None = None
    """A server that runs already; else one is started."""
    seconds: float = 30.0
    """How long each stream speaks at least."""
    duty: float = 1.0
    chunk_ms: int = 100
    wire: Wire = "binary"
    policy: PolicyName | None = None
    endpoint_delay: float = 0.6
    """Silence that ends a segment, as the server is set or ``server.min_silence_ms`` asks."""
    drain: float = 30.0
    """Seconds to wait for the last finals."""
    limits: Limits = Limits()


async def run_live(
    options: LiveOptions, streams: Sequence[int], *, baseline: bool = False, report: Report = lambda _what, _done: None
) -> dict[str, Any]:
    """Measure each number of streams; return a plain mapping for JSON.

    Args:
        options: What to measure.
        streams: Numbers of streams, one run for each.
        baseline: Whether the lock baseline is measured beside it.
        report: Told what is going on.

    Raises:
        HotmicError: The server does not start.
    """
    kinds: tuple[Kind, ...] = ("hotmic", "lock") if baseline else ("hotmic",)
    runs = [await measure(options, kind, count, report) for kind in kinds for count in streams]
    return {
        "load_average_after": load_average(),
        "options": describe(options),
        "runs": runs,
    }


def describe(options: LiveOptions) -> dict[str, Any]:
    """Return the options as they go into a result: without secrets, and of paths the last part."""
    plain: dict[str, Any] = msgspec.to_builtins(
        msgspec.structs.replace(options, clips=(), running=None), enc_hook=lambda path: path.name, str_keys=True
    )
    if options.running is not None:
        plain["server"] = {"control": options.running.control, "audio": options.running.audio}
    return plain | {"clips": len(options.clips), "speech_s": round(sum(clip.seconds for clip in options.clips), 1)}


async def measure(options: LiveOptions, kind: Kind, streams: int, report: Report) -> dict[str, Any]:
    """Measure one number of streams against one server, started for it unless one is given.

    Raises:
        HotmicError: The server does not start.
    """
    report(f"{kind}: starting", 0.0)
    async with _serving(options, kind) as server:
        meter = Meter(server.pid)
        records = await _speak(options, server, streams, meter, report)
    figures = [measure_stream(record, endpoint_delay=options.endpoint_delay) for record in records]
    return summarise(figures, records, kind=kind, limits=options.limits, cost=meter)


@contextlib.asynccontextmanager
async def _serving(options: LiveOptions, kind: Kind) -> AsyncIterator[Server]:
    if options.running is not None and kind == "hotmic":
        yield Server(kind=kind, control=options.running.control, audio=options.running.audio)
        return
    async with running_server(kind, options.server) as server:
        yield server


async def _speak(options: LiveOptions, server: Server, streams: int, meter: Meter, report: Report) -> list[Record]:
    clips: Sequence[Clip] = options.clips
    voices = [
        Voice(
            clips,
            seconds=options.seconds,
            duty=options.duty,
            endpoint_delay=options.endpoint_delay,
            first=number * 5,
        )
        for number in range(streams)
    ]
    target = Target(
        control=server.control,
        audio=server.audio,
        token=options.running.token if options.running is not None and server.kind == "hotmic" else None,
        chunk_ms=options.chunk_ms,
        wire=options.wire,
        policy=options.policy if server.kind == "hotmic" else None,
        min_silence_ms=options.server.min_silence_ms if server.kind == "hotmic" else None,
        drain=options.drain,
    )
    longest = max(voice.seconds for voice in voices)

    async def watch() -> None:
        elapsed = 0.0
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            elapsed += SAMPLE_EVERY_S
            meter.sample()
            report(f"{server.kind}: {streams} streams", min(1.0, elapsed / longest))

    meter.sample()
    watching = asyncio.create_task(watch())
    try:
        return await speak_all(target, voices)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        meter.sample()


def summarise(
    figures: Sequence[StreamFigures], records: Sequence[Record], *, kind: Kind, limits: Limits, cost: Meter
) -> dict[str, Any]:
    """Put the streams of one run together and judge it."""
    audio_s = sum(stream.seconds for stream in figures)
    words = sum(stream.words.count for stream in figures)
    finals = sum(stream.finals for stream in figures)
    reference_words = sum(stream.reference_words for stream in figures)
    longest = max(stream.seconds for stream in figures)
    summary: dict[str, Any] = {
        "server": kind,
        "streams": len(figures),
        "audio_s": round(audio_s, 1),
        "final_after_endpoint_s": _pooled(figures, "after_endpoint"),
        "final_after_speech_s": _pooled(figures, "after_speech"),
        "final_lag_by_server_s": _pooled(figures, "daemon_lag"),
        "partial_age_s": _pooled(figures, "partial_age"),
        "partial_gap_s": _pooled(figures, "partial_gap"),
        "partial_cadence_s": percentiles(cadence for stream in figures for cadence in stream.cadence),
        "first_word_after_its_start_s": percentiles(much for s in figures for _, much in s.words.first_of_segment),
        "word_first_shown_after_its_end_s": percentiles(much for s in figures for _, much in s.words.first_shown),
        "word_stable_after_its_end_s": percentiles(much for s in figures for _, much in s.words.stable),
        "flicker": {
            "stable": _share(sum(s.words.stable_wrong for s in figures), words),
            "unstable": _share(sum(s.words.unstable_wrong for s in figures), words),
            "retracted": _share(sum(s.words.retracted for s in figures), words),
        },
        "finals_revised": _share(sum(stream.revised for stream in figures), finals),
        "word_error_rate": _share(sum(stream.word_errors for stream in figures), reference_words),
        "text": {
            "utterances": sum(stream.utterances for stream in figures),
            "unheard": sum(stream.unheard for stream in figures),
            "lost": sum(stream.lost for stream in figures),
            "finals": finals,
            "duplicates": sum(stream.duplicates for stream in figures),
            "unspoken": sum(stream.unspoken for stream in figures),
            "unfinished_streams": sum(not stream.is_finished for stream in figures),
        },
        "errors": dict(sum((Counter(stream.errors) for stream in figures), Counter())),
        "drift": drift_of([pair for stream in figures for pair in stream.after_speech], longest),
        "real_time_factor": ask_of_one_stream(figures) if kind == "lock" else None,
        "sender": _sender(records),
        "cost": cost.figures(audio_s),
    }
    summary["broken"] = judge(summary, limits)
    return summary | {"per_stream": [_plain(stream) for stream in figures]}


def judge(summary: dict[str, Any], limits: Limits) -> list[str]:
    """Return what broke the limits, in words; nothing for a run that was sustained."""
    broken = []
    for name, limit in (
        ("partial_age_s", limits.partial_age_s),
        ("partial_gap_s", limits.partial_gap_s),
        ("final_after_endpoint_s", limits.final_after_endpoint_s),
    ):
        found = summary[name].get("p95")
        if found is None:
            broken.append(f"{name}: there were none")
        elif found > limit:
            broken.append(f"{name} p95 {found:g} > {limit:g}")
    text = summary["text"]
    broken += [f"{text[name]} {name}" for name in ("unheard", "lost", "duplicates", "unfinished_streams") if text[name]]
    broken += [f"{count} x error {code}" for code, count in summary["errors"].items()]
    if summary["drift"]["grown_at_least_s"] > limits.drift_s:
        broken.append(f"finals grew later by {summary['drift']['grown_at_least_s']:g} s over the run")
    lateness = summary["sender"]["lateness_s"].get("p99", 0.0)
    if lateness > limits.sender_lateness_s:
        broken.append(f"the sender itself was late: p99 {lateness:g} s")
    if summary["sender"]["dropped"]:
        broken.append(f"the bench missed {summary['sender']['dropped']} events")
    return broken


def ask_of_one_stream(figures: Sequence[StreamFigures]) -> float | None:
    """Return how many seconds of decoding a second of one stream's audio asks for, behind a lock.

    That is its finals, and partials at the cadence it is meant to have while a segment is open; a partial's lag is its
    decode there, as the audio is taken when the lock is free. Above 1 the lock cannot carry a single stream.
    """
    lags = [lag for stream in figures for lag in stream.partial_lag]
    cadences = [cadence for stream in figures for cadence in stream.cadence]
    audio_s = sum(stream.seconds for stream in figures)
    if not lags or not audio_s:
        return None
    open_share = sum(stream.decoded for stream in figures) / audio_s
    partials = open_share * (sum(lags) / len(lags)) / (sum(cadences) / len(cadences))
    return round(partials + sum(stream.processing for stream in figures) / audio_s, 3)


def _pooled(figures: Sequence[StreamFigures], name: str) -> dict[str, float]:
    return percentiles(much for stream in figures for _, much in getattr(stream, name))


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _sender(records: Sequence[Record]) -> dict[str, Any]:
    chunks = sum(record.chunks for record in records)
    return {
        "lateness_s": percentiles(late for record in records for late in record.lateness),
        "chunks": chunks,
        "held_back": _share(sum(record.held_back for record in records), chunks),
        "round_trip_s": percentiles(trip for record in records for _, trip in record.round_trips),
        "dropped": sum(record.dropped for record in records),
    }


def _plain(stream: StreamFigures) -> dict[str, Any]:
    """Return all figures of one stream, latencies as pairs of when and how much."""
    plain: dict[str, Any] = msgspec.to_builtins(stream)
    cadence = plain.pop("cadence")
    rounded: dict[str, Any] = _rounded(plain | {"cadence_s": percentiles(cadence)})
    return rounded


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_rounded(inner) for inner in value]
        case _:
            return value
