"""Read a final as one sentence or as several, whichever is likelier.

A model that knows short sentences reads two of them run together badly, and so it does the halves of one. Where a pause
does not tell which it is, the stretches before, between and behind such pauses are decoded as well as the whole, and
the likeliest division is taken: by the probability of its texts, which the model tells, and of its pauses, which their
length tells. The search is dynamic programming from pause to pause (Bellman 1957).
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from hotmic.policies.joining import join_text
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeResult, Pause, Word

Decode = Callable[[Sequence[DecodeJob]], list[DecodeResult]]

EVEN_ODDS = 0.21
"""Seconds of a pause that lies between sentences as often as within one."""
ODDS = 5.0
"""How fast that changes: natural logarithm of the odds, per second that the pause is longer."""
SHORTEST = 3 * SAMPLE_RATE // 10
"""Samples that a stretch has at least."""

_BYTES = 2


class _Stretch(NamedTuple):
    """From one pause to another; the edges of the window count as pauses. Positions in samples of the window."""

    start: int
    stop: int
    result: DecodeResult


def decode_divided(jobs: Sequence[DecodeJob], decode: Decode) -> list[DecodeResult]:
    """Decode windows: one result per job, in order; those with pauses in every way that may be the likeliest.

    Three pauses make nine stretches, together four times as long as the window.

    Args:
        jobs: Those without pauses are decoded as they are.
        decode: The engine's. It gets the windows first, and then the stretches of those where any division could be
            likelier than the whole, if there are any.
    """
    results = decode(jobs)
    spans = [_spans(job) if _is_doubtful(job, whole) else [] for job, whole in zip(jobs, results, strict=True)]
    parts = [_part(job, whole, *span) for job, whole, own in zip(jobs, results, spans, strict=True) for span in own]
    if not parts:
        return results
    decoded = decode(parts)
    more, following = max(part.decode_s for part in decoded), iter(decoded)
    likeliest = [
        _likeliest(job, whole, [_Stretch(*span, next(following)) for span in own])
        for job, whole, own in zip(jobs, results, spans, strict=True)
    ]
    return [
        msgspec.structs.replace(result, decode_s=whole.decode_s + more)
        for result, whole in zip(likeliest, results, strict=True)
    ]


def _is_doubtful(job: DecodeJob, whole: DecodeResult) -> bool:
    """Whether a division could be likelier. Where nobody spoke in the whole, nobody did in a part of it."""
    return bool(job.pauses and whole.text) and _score(whole) < _most_odds(job)


def _score(result: DecodeResult) -> float:
    """Return the log probability of a text; a stretch without one is nothing that a division may rest on."""
    return result.average_logprob * result.tokens if result.text else -math.inf


def _odds(pause: Pause) -> float:
    return ODDS * (pause.length / SAMPLE_RATE - EVEN_ODDS)


def _most_odds(job: DecodeJob) -> float:
    """Return what a division of this window could come to if all its texts were certain."""
    odds = [_odds(pause) for pause in job.pauses]
    return sum(value for value in odds if value > 0) or max(odds)


def _spans(job: DecodeJob) -> list[tuple[int, int]]:
    """Return all stretches of a window but its whole, by where they start and stop."""
    edges = [0, *(pause.middle for pause in job.pauses), _length(job)]
    return [(start, stop) for start, stop in combinations(edges, 2) if SHORTEST <= stop - start < _length(job)]


def _length(job: DecodeJob) -> int:
    return len(job.samples) // _BYTES


def _part(job: DecodeJob, whole: DecodeResult, start: int, stop: int) -> DecodeJob:
    """Return the job of a stretch: in the language of the whole, and with no further try where it runs in circles."""
    return msgspec.structs.replace(
        job,
        samples=job.samples[_BYTES * start : _BYTES * stop],
        start=job.start + start,
        options=msgspec.structs.replace(job.options, language=whole.language or None, fallback=False),
        pauses=(),
    )


def _likeliest(job: DecodeJob, whole: DecodeResult, stretches: list[_Stretch]) -> DecodeResult:
    """Return the result of the likeliest way through a window."""
    odds = {pause.middle: _odds(pause) for pause in job.pauses}
    best: dict[int, tuple[float, list[_Stretch]]] = {0: (0.0, []), _length(job): (_score(whole), [])}
    for stretch in sorted(stretches):
        if stretch.start in best:
            score, way = best[stretch.start]
            score += _score(stretch.result) + odds.get(stretch.stop, 0.0)
            if score > best.get(stretch.stop, (-math.inf,))[0]:
                best[stretch.stop] = score, [*way, stretch]
    _, way = best[_length(job)]
    return _joined(job, whole, way) if way else whole


def _joined(job: DecodeJob, whole: DecodeResult, way: list[_Stretch]) -> DecodeResult:
    results = [stretch.result for stretch in way]
    text = ""
    for result in results:
        text = join_text(text, result.text)
    others = dict.fromkeys(other for other in (whole.text, *whole.alternatives) if other not in ("", text))
    tokens = sum(result.tokens for result in results)
    return msgspec.structs.replace(
        whole,
        text=text,
        words=tuple(word for stretch in way for word in _moved(stretch)),
        alternatives=tuple(others)[: job.options.alternatives],
        no_speech_probability=min(result.no_speech_probability for result in results),
        average_logprob=sum(result.average_logprob * result.tokens for result in results) / tokens,
        tokens=tokens,
    )


def _moved(stretch: _Stretch) -> list[Word]:
    offset = stretch.start / SAMPLE_RATE
    return [
        msgspec.structs.replace(word, start=word.start + offset, end=word.end + offset) for word in stretch.result.words
    ]
