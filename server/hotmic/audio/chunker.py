"""Cover a segment that is longer than a model's window."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hotmic.audio import level
from hotmic.values import SAMPLE_RATE, Pause, Samples

_Powers = npt.NDArray[np.floating]

_BLOCK = SAMPLE_RATE // 100
_SMOOTHING = 6
_PAUSE_BLOCKS = 12
_PAUSE_DB = 20.0
"""A pause lies this far under the loud parts of its window; in worse noise windows overlap instead."""

_FIRST, _LAST = 1 / 2, 0.95
"""Where in a window the cut may be: not so late that the next window begins with a scrap."""
_SILENCE_DB, _SURE_BLOCKS = 35.0, 25
"""Silence lies this far under the loud parts. So much of it ends a sentence."""
_DIP_DB, _DIP_BLOCKS, _MOST_DIPS = 30.0, 6, 3
"""What may end a sentence as well as lie within one: the longest such dips of a window."""
_FLOOR_PERCENTILE, _FLOOR_DB, _LOUD_DB = 5, 4.0, 12.0
"""Where a room is never silent, a pause holds what it is like when it is most quiet, and little more, if that is so
far under the loud parts."""
_SCRAP = SAMPLE_RATE // 2
"""Samples that a window has at least before and behind a pause."""


class _Run(NamedTuple):
    """A stretch of blocks."""

    start: int
    stop: int

    @property
    def blocks(self) -> int:
        """Its length."""
        return self.stop - self.start

    @property
    def middle(self) -> int:
        """In samples."""
        return (self.start + self.stop) * _BLOCK // 2


def windows(
    samples: Samples,
    *,
    max_window: int,
    overlap: int = SAMPLE_RATE,
    pause_after: int | None = None,
    is_over: bool = False,
) -> list[tuple[int, int]]:
    """Choose the windows of a segment from its audio alone.

    A window ends in the middle of a pause of 120 ms or more if its second half has one, and the next begins on the same
    sample. Else it ends ``overlap / 2`` behind the quietest 60 ms and the next begins as much before it, so that the
    word at the cut is whole in one of them. With ``pause_after`` it ends at the first silence of 300 ms, and at a
    shorter one rather than with an overlap. Each looks at ``max_window`` samples at the most: all windows but the last
    stay as they are while the segment grows, and may be decoded early.

    Args:
        samples: The segment so far.
        max_window: Longest window in samples.
        overlap: Samples two windows share when there is no pause between them.
        pause_after: Samples behind which a window ends where a sentence does; ``None``: as late as can be.
        is_over: Whether the segment has ended: then its last window is looked at for ends of sentences, too.

    Returns:
        ``(start, stop)`` within ``samples``, in order, without holes; the last one ends with the samples.

    Raises:
        ValueError: ``max_window`` is too short to hold the overlap.
    """
    if max_window < max(4 * overlap, SAMPLE_RATE):
        raise ValueError(f"max_window {max_window} must be at least four overlaps ({overlap}) and one second")
    found: list[tuple[int, int]] = []
    start = 0
    while len(samples) - start > max_window:
        cut, paused = _choose_cut(samples[start : start + max_window], pause_after)
        margin = 0 if paused else overlap // 2
        stop = min(cut + margin, max_window)
        found.append((start, start + stop))
        start += cut - margin
    while is_over and pause_after is not None:
        early = _early_cut(_powers(samples[start:]), pause_after)
        if early is None or len(samples) - start - early < _SCRAP:
            break
        found.append((start, start + early))
        start += early
    found.append((start, len(samples)))
    return found


def pauses(window: Samples) -> list[Pause]:
    """Return where a sentence may end within one of the windows that end between sentences, in order."""
    powers = _powers(window)
    inner = [run for run in _dips(powers) if run.start and run.stop < len(powers)]
    runs = [run for run in inner if _SCRAP <= run.middle <= len(window) - _SCRAP]
    longest = sorted(runs, key=lambda run: run.blocks, reverse=True)[:_MOST_DIPS]
    # What is smoothed is quiet for shorter than it was.
    return [Pause(middle=run.middle, length=(run.blocks + _SMOOTHING - 1) * _BLOCK) for run in sorted(longest)]


def _powers(window: Samples) -> _Powers:
    return level.smooth(level.block_powers(window, _BLOCK), _SMOOTHING)


def _choose_cut(window: Samples, pause_after: int | None) -> tuple[int, bool]:
    """Return where to cut this window, and whether that is a real pause."""
    powers = _powers(window)
    first, last = int(len(powers) * _FIRST), int(len(powers) * _LAST)
    dip = _Run(0, 0)
    if pause_after is not None:
        early = _early_cut(powers[:last], pause_after)
        if early is not None:
            return early, True
        dip = _longest([run for run in _dips(powers[:last]) if run.middle >= pause_after])
    if dip.blocks >= _PAUSE_BLOCKS:
        return dip.middle, True
    loud = float(np.percentile(powers, 95))
    pause = _longest(_runs(powers[first:last] <= loud * 10 ** (-_PAUSE_DB / 10)))
    if pause.blocks >= _PAUSE_BLOCKS:
        return first * _BLOCK + pause.middle, True
    if dip.blocks:
        return dip.middle, True
    return (first + int(np.argmin(powers[first:last]))) * _BLOCK + _BLOCK // 2, False


def _early_cut(powers: _Powers, pause_after: int) -> int | None:
    """Return the middle of the first pause behind ``pause_after`` samples that surely ends a sentence."""
    sure = (run.middle for run in _quiet_runs(powers, _SILENCE_DB) if run.blocks >= _SURE_BLOCKS)
    return next((middle for middle in sure if middle >= pause_after), None)


def _dips(powers: _Powers) -> list[_Run]:
    return [run for run in _quiet_runs(powers, _DIP_DB) if run.blocks >= _DIP_BLOCKS]


def _quiet_runs(powers: _Powers, under_db: float) -> list[_Run]:
    """Return the stretches so far under the loud parts; in a room without silence those that are most quiet."""
    if not len(powers):
        return []
    loud = float(np.percentile(powers, 95))
    if powers.min() <= loud * 10 ** (-_SILENCE_DB / 10):
        return _runs(powers <= loud * 10 ** (-under_db / 10))
    floor = float(np.percentile(powers, _FLOOR_PERCENTILE)) * 10 ** (_FLOOR_DB / 10)
    return _runs(powers <= min(floor, loud * 10 ** (-_LOUD_DB / 10)))


def _runs(flags: npt.NDArray[np.bool_]) -> list[_Run]:
    """Return every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8))).tolist()
    return [_Run(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _longest(runs: list[_Run]) -> _Run:
    """Return the longest stretch, the first of equals; an empty one where there is none."""
    return max(runs, key=lambda run: run.blocks, default=_Run(0, 0))
