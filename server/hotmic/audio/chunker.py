"""Cover a segment that is longer than a model's window."""

import numpy as np
import numpy.typing as npt

from hotmic.audio import level
from hotmic.values import SAMPLE_RATE, Samples

_BLOCK = SAMPLE_RATE // 100
_SMOOTHING = 6
_PAUSE_BLOCKS = 12
_PAUSE_DB = 20.0
"""A pause lies this far under the loud parts of its window; in worse noise windows overlap instead."""

_FIRST, _LAST = 1 / 2, 0.95
"""Where in a window the cut may be: not so late that the next window begins with a scrap."""


def windows(samples: Samples, *, max_window: int, overlap: int = SAMPLE_RATE) -> list[tuple[int, int]]:
    """Choose the windows of a segment from its audio alone.

    A window ends in the middle of a pause of 120 ms or more if its second half has one, and the next begins on the same
    sample. Else it ends ``overlap / 2`` behind the quietest 60 ms and the next begins as much before it, so that the
    word at the cut is whole in one of them. A window depends on its own samples only: all but the last stay as they
    are while the segment grows, and may be decoded early.

    Args:
        samples: The segment so far.
        max_window: Longest window in samples.
        overlap: Samples two windows share when there is no pause between them.

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
        cut, paused = _choose_cut(samples[start : start + max_window])
        margin = 0 if paused else overlap // 2
        stop = min(cut + margin, max_window)
        found.append((start, start + stop))
        start += cut - margin
    found.append((start, len(samples)))
    return found


def _choose_cut(window: Samples) -> tuple[int, bool]:
    """Return where to cut this window, and whether that is a real pause."""
    powers = level.smooth(level.block_powers(window, _BLOCK), _SMOOTHING)
    first, last = int(len(powers) * _FIRST), int(len(powers) * _LAST)
    loud = float(np.percentile(powers, 95))
    pause = _longest_run(powers[first:last] <= loud * 10 ** (-_PAUSE_DB / 10))
    if pause[1] - pause[0] >= _PAUSE_BLOCKS:
        return (2 * first + pause[0] + pause[1]) * _BLOCK // 2, True
    return (first + int(np.argmin(powers[first:last]))) * _BLOCK + _BLOCK // 2, False


def _longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return ``[start, stop)`` of the longest stretch of true values; the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    if not len(edges):
        return 0, 0
    starts, stops = edges[::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return int(starts[best]), int(stops[best])
