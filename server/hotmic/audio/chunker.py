"""Cover a segment that is longer than a model's window."""

import numpy as np
import numpy.typing as npt

from hotmic.audio import level
from hotmic.values import SAMPLE_RATE, Samples

_Powers = npt.NDArray[np.floating]

_BLOCK = SAMPLE_RATE // 100
_SMOOTHING = 6
_PAUSE_BLOCKS = 12
_PAUSE_DB = 20.0
"""A pause lies this far under the loud parts of its window; in worse noise windows overlap instead."""

_FIRST, _LAST = 1 / 2, 0.95
"""Where in a window the cut may be: not so late that the next window begins with a scrap."""
_SILENCE_DB, _SILENCE_BLOCKS = 35.0, 9
"""Silence lies this far under the loud parts. Between sentences there are 90 ms, within a sentence hardly ever."""
_FLOOR_PERCENTILE, _FLOOR_DB = 5, 4.0
"""Where a room is never silent, a pause holds what it is like when it is most quiet, and little more."""
_NOISY_PAUSE_DB, _NOISY_PAUSE_BLOCKS = 12.0, 20
"""Such a pause is this far under the loud parts, and longer than the soft sounds within a sentence."""
_SCRAP = SAMPLE_RATE // 2
"""Samples that the last window of a segment has at least."""


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
    word at the cut is whole in one of them. A window depends on its own samples only: all but the last stay as they
    are while the segment grows, and may be decoded early.

    Args:
        samples: The segment so far.
        max_window: Longest window in samples.
        overlap: Samples two windows share when there is no pause between them.
        pause_after: Samples after which a window ends at the first pause between sentences; ``None``: late.
        is_over: Whether the segment has ended: then its last window is looked at for such pauses, too.

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


def _powers(window: Samples) -> _Powers:
    return level.smooth(level.block_powers(window, _BLOCK), _SMOOTHING)


def _choose_cut(window: Samples, pause_after: int | None) -> tuple[int, bool]:
    """Return where to cut this window, and whether that is a real pause."""
    powers = _powers(window)
    first, last = int(len(powers) * _FIRST), int(len(powers) * _LAST)
    early = None if pause_after is None else _early_cut(powers[:last], pause_after)
    if early is not None:
        return early, True
    loud = float(np.percentile(powers, 95))
    pause = _longest_run(powers[first:last] <= loud * 10 ** (-_PAUSE_DB / 10))
    if pause[1] - pause[0] >= _PAUSE_BLOCKS:
        return (2 * first + pause[0] + pause[1]) * _BLOCK // 2, True
    return (first + int(np.argmin(powers[first:last]))) * _BLOCK + _BLOCK // 2, False


def _early_cut(powers: _Powers, pause_after: int) -> int | None:
    """Return the middle of the first pause between sentences behind ``pause_after`` samples, if there is one."""
    if not len(powers):
        return None
    loud = float(np.percentile(powers, 95))
    quiet, least = powers <= loud * 10 ** (-_SILENCE_DB / 10), _SILENCE_BLOCKS
    if not quiet.any():
        floor = float(np.percentile(powers, _FLOOR_PERCENTILE)) * 10 ** (_FLOOR_DB / 10)
        quiet, least = powers <= min(floor, loud * 10 ** (-_NOISY_PAUSE_DB / 10)), _NOISY_PAUSE_BLOCKS
    middles = ((start + stop) * _BLOCK // 2 for start, stop in _runs(quiet) if stop - start >= least)
    return next((middle for middle in middles if middle >= pause_after), None)


def _longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return ``[start, stop)`` of the longest stretch of true values; the first of equals."""
    return max(_runs(flags), key=lambda run: run[1] - run[0], default=(0, 0))


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return ``[start, stop)`` of every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
