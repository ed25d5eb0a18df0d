"""Figures out of what a stream said and what it heard back, each event stamped with the time it came.

Pure: no clock, no sockets. All times count seconds since the stream's audio began by schedule, on the wall and in the
audio alike: an event stamped 3.2 about audio that ends at 3.0 is 0.2 s late, whenever the chunks really left.
"""

import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hotmic.bench.clip import word_errors
from hotmic.bench.voice import Utterance, last_speech
from hotmic.policies import script

Message = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """One event of the wire and when it came."""

    at: float
    message: Message


@dataclass
class Record:
    """All that is known of one stream."""

    number: int
    utterances: tuple[Utterance, ...]
    seconds: float
    """Of audio."""
    began: float = 0.0
    """When its audio began, by the clock of the sender; all other times count from there."""
    heard: list[Heard] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    """How late the sender woke up for each chunk."""
    held_back: int = 0
    """Chunks that left late because the one before did not go through."""
    chunks: int = 0
    round_trips: list[tuple[float, float]] = field(default_factory=list)
    """When a ping was answered, and how long after it was due."""
    errors: list[str] = field(default_factory=list)
    """Codes."""
    is_finished: bool = False
    """Whether the server said that all finals are told."""
    dropped: int = 0
    """Events that the bench itself was too slow for."""


@dataclass
class Words:
    """What became of the words of the finals."""

    count: int = 0
    first_of_segment: list[tuple[float, float]] = field(default_factory=list)
    """When a segment's first word began, and how long after that it was shown."""
    first_shown: list[tuple[float, float]] = field(default_factory=list)
    """When a word ended, and how long after that it was shown."""
    stable: list[tuple[float, float]] = field(default_factory=list)
    unstable_wrong: int = 0
    """Words that were shown otherwise while they could still change."""
    stable_wrong: int = 0
    """Words that were shown otherwise as stable."""
    retracted: int = 0
    """Words that were on the display and no longer were in what replaced it."""


@dataclass
class StreamFigures:
    """One stream, measured; latencies in seconds, as pairs of when and how much."""

    number: int
    seconds: float
    utterances: int = 0
    unheard: int = 0
    """Utterances without any final."""
    lost: int = 0
    """Segments that the server told of in somebody's speech, and of which no final came."""
    unspoken: int = 0
    """Finals where nobody spoke."""
    duplicates: int = 0
    finals: int = 0
    revised: int = 0
    partials: int = 0
    partial_age: list[tuple[float, float]] = field(default_factory=list)
    partial_gap: list[tuple[float, float]] = field(default_factory=list)
    """Between two partials of a segment, from its first sound on and up to its end."""
    daemon_lag: list[tuple[float, float]] = field(default_factory=list)
    after_speech: list[tuple[float, float]] = field(default_factory=list)
    after_endpoint: list[tuple[float, float]] = field(default_factory=list)
    words: Words = field(default_factory=Words)
    word_errors: int = 0
    reference_words: int = 0
    cadence: list[float] = field(default_factory=list)
    partial_lag: list[float] = field(default_factory=list)
    """The server's own account of each partial's age."""
    processing: float = 0.0
    """Seconds that the finals took to decode."""
    decoded: float = 0.0
    """Seconds of audio in them."""
    errors: dict[str, int] = field(default_factory=dict)
    is_finished: bool = False
    texts: list[tuple[str, str]] = field(default_factory=list)
    """References and what was heard instead, where they differ."""


def measure_stream(record: Record, *, endpoint_delay: float) -> StreamFigures:
    """Return the figures of one stream.

    The age of a partial is the server's own account (``lag_ms``, since it cut the window) and the last round trip of a
    ping, which is what the way in and out takes under the same load. A final counts from where the sound of speech in
    its segment ends in the audio; its endpoint is due ``endpoint_delay`` later, or is when the server tells of it, if
    that is sooner.
    """
    figures = StreamFigures(
        record.number,
        record.seconds,
        utterances=len(record.utterances),
        errors=dict(Counter(record.errors)),
        is_finished=record.is_finished,
    )
    partials: dict[str, list[Heard]] = {}
    began: dict[str, float] = {}
    ended: dict[str, Heard] = {}
    finals: dict[str, Heard] = {}
    for heard in record.heard:
        segment = heard.message.get("segment_id", "")
        match heard.message["type"]:
            case "realtime_transcription":
                partials.setdefault(segment, []).append(heard)
                _take_partial(figures, heard, record.round_trips)
            case "speech_started":
                began[segment] = heard.at
            case "speech_ended":
                ended[segment] = heard
            case "final_transcription" if segment in finals:
                figures.duplicates += 1
            case "final_transcription":
                finals[segment] = heard
    for segment, final in finals.items():
        told = ended[segment].at if segment in ended else None
        _take_final(figures, final, record.utterances, told, endpoint_delay)
        measure_words(figures.words, final, partials.get(segment, []))
    for segment, end in ended.items():
        shown = partials.get(segment, [])
        times = [began.get(segment, end.at), *(p.at for p in shown if p.message["text"] and p.at < end.at), end.at]
        figures.partial_gap += [(after, after - before) for before, after in itertools.pairwise(times)]
        if segment not in finals:
            _take_withdrawn(figures, end.message, shown, record.utterances)
    _take_texts(figures, record.utterances, [final.message for final in finals.values()])
    return figures


def measure_words(words: Words, final: Heard, partials: Sequence[Heard]) -> None:
    """Follow the words of a final through the partials of its segment.

    A word counts as shown when a partial first holds it at its place between its neighbours (the longest matching
    blocks of both texts); words that no partial held are shown by the final. Word times are the final's own.
    """
    said = keys(final.message["text"])
    words.count += len(said)
    shown, stable = [final.at] * len(said), [final.at] * len(said)
    otherwise: set[int] = set()
    wrong = 0
    for heard in reversed(partials):
        displayed = keys(heard.message["text"])
        fixed = len(keys(heard.message["stable"]))
        matched, replaced = _align(displayed, said)
        for place, other in matched:
            shown[other] = heard.at
            if place < fixed:
                stable[other] = heard.at
        otherwise.update(other for place, other in replaced if place >= fixed)
        wrong = max(wrong, fixed - sum(place < fixed for place, _ in matched))
    words.unstable_wrong += len(otherwise)
    words.stable_wrong += wrong
    displays = [keys(heard.message["text"]) for heard in partials] + [said]
    for before, after in itertools.pairwise(displays):
        words.retracted += len(before) - len(_align(before, after)[0])
    timed = final.message["words"]
    if [key for word in timed for key in keys(word["word"])] == said:
        ends = [word["end"] for word in timed for _ in keys(word["word"])]
        words.first_shown += [(end, at - end) for end, at in zip(ends, shown, strict=True)]
        words.stable += [(end, at - end) for end, at in zip(ends, stable, strict=True)]
    if timed and shown:
        words.first_of_segment.append((timed[0]["start"], shown[0] - timed[0]["start"]))


def keys(text: str) -> list[str]:
    """Return the words of a text, or the clusters of an unspaced script, without case and punctuation."""
    return [script.normalized(unit) for unit in script.units(text)]


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Return the count, the mean and p50, p95 and p99; only the count where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    at = {f"p{p}": round(float(np.percentile(ordered, p)), 4) for p in (50, 95, 99)}
    return {"count": len(ordered), "mean": round(float(np.mean(ordered)), 4), **at, "max": round(ordered[-1], 4)}


def drift_of(latencies: Sequence[tuple[float, float]], seconds: float) -> dict[str, float]:
    """Return how much a latency grew over a run: least squares, and what it grew at least (two standard errors less).

    Args:
        latencies: When, and how much.
        seconds: Length of the run.
    """
    if len(latencies) < 3:
        return {"grown_s": 0.0, "grown_at_least_s": 0.0}
    when, much = np.array(latencies).T
    centred = when - when.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        return {"grown_s": 0.0, "grown_at_least_s": 0.0}
    slope = float((centred * much).sum()) / spread
    residual = much - much.mean() - slope * centred
    error = float(np.sqrt((residual**2).sum() / (len(when) - 2) / spread))
    surely = max(0.0, abs(slope) - 2 * error) * np.sign(slope)
    return {"grown_s": round(slope * seconds, 4), "grown_at_least_s": round(float(surely) * seconds, 4)}


def _align(shown: Sequence[str], said: Sequence[str]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return pairs of places that match, and pairs of places where something else stands."""
    matched, replaced = [], []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, shown, said, autojunk=False).get_opcodes():
        pairs = list(zip(range(a, b), range(c, d), strict=False))
        if tag == "equal":
            matched += pairs
        elif tag == "replace":
            replaced += pairs
    return matched, replaced


def _take_partial(figures: StreamFigures, heard: Heard, round_trips: Sequence[tuple[float, float]]) -> None:
    figures.partials += 1
    if not heard.message["text"]:
        # It takes back what was shown; no audio is waiting in it.
        return
    figures.cadence.append(heard.message["cadence_ms"] / 1000)
    lag = heard.message["lag_ms"] / 1000
    figures.partial_lag.append(lag)
    before = [trip for at, trip in round_trips if at <= heard.at] or [trip for _, trip in round_trips[:1]]
    figures.partial_age.append((heard.at, lag + (before[-1] if before else 0.0)))


def _take_withdrawn(
    figures: StreamFigures, ended: Message, shown: Sequence[Heard], utterances: Sequence[Utterance]
) -> None:
    """Count a segment without a final: lost where somebody spoke, and all that was shown of it taken back."""
    middle = (ended["start"] + ended["end"]) / 2
    figures.lost += any(u.start <= middle < u.end for u in utterances)
    displays = [keys(heard.message["text"]) for heard in shown] + [[]]
    figures.words.stable_wrong += max((len(keys(heard.message["stable"])) for heard in shown), default=0)
    for before, after in itertools.pairwise(displays):
        figures.words.retracted += len(before) - len(_align(before, after)[0])


def _take_final(
    figures: StreamFigures,
    final: Heard,
    utterances: Sequence[Utterance],
    told: float | None,
    endpoint_delay: float,
) -> None:
    figures.finals += 1
    figures.revised += bool(final.message["revised"])
    figures.processing += final.message["processing_time"]
    figures.decoded += final.message["duration"]
    figures.daemon_lag.append((final.at, final.message["lag_ms"] / 1000))
    spoken = last_speech(utterances, final.message["end"])
    if spoken is None or spoken < final.message["start"]:
        return
    endpoint = spoken + endpoint_delay if told is None else min(spoken + endpoint_delay, told)
    figures.after_speech.append((final.at, final.at - spoken))
    figures.after_endpoint.append((final.at, final.at - endpoint))


def _take_texts(figures: StreamFigures, utterances: Sequence[Utterance], finals: Sequence[Message]) -> None:
    """Lay finals beside what was said: whatever overlaps, directly or through others, is compared together."""
    spans = [(u.start, u.end, u, None) for u in utterances] + [(f["start"], f["end"], None, f) for f in finals]
    group: list[Any] = []
    until = float("-inf")
    for span in [*sorted(spans, key=lambda s: s[0]), (float("inf"), 0.0, None, None)]:
        if span[0] >= until and group:
            _compare(figures, [u for _, _, u, _ in group if u], [f for _, _, _, f in group if f])
            group, until = [], float("-inf")
        group.append(span)
        until = max(until, span[1])


def _compare(figures: StreamFigures, said: Sequence[Utterance], finals: Sequence[Message]) -> None:
    if not said:
        figures.unspoken += len(finals)
    figures.unheard += sum(all(f["end"] <= u.start or f["start"] >= u.end for f in finals) for u in said)
    reference, heard = (" ".join(texts) for texts in ([u.text for u in said], [f["text"] for f in finals]))
    if not reference.strip() and said:
        return
    errors, count = word_errors(reference, heard)
    figures.word_errors += errors
    figures.reference_words += count
    if errors:
        figures.texts.append((reference, heard))
