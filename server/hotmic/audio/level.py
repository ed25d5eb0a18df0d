"""How loud a stretch of audio is."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hotmic.audio.pcm import FULL_SCALE
from hotmic.values import Samples

SILENCE_DB = -96.0
"""The level of digital silence: one step of 16 bits."""

_POWER_FLOOR = 10 ** (SILENCE_DB / 10)


def power(samples: Samples) -> float:
    """Return the mean square around the mean, full scale 1.0; a constant offset is not sound. Empty is 0."""
    count = len(samples)
    if not count:
        return 0.0
    values = samples.astype(np.float32)
    # A product with ones is a sum at half the cost on frames this short.
    mean = float(values @ _ones(count)) / count
    return max(float(values @ values) / count - mean * mean, 0.0) / (FULL_SCALE * FULL_SCALE)


def frame_powers(frames: Samples) -> list[float]:
    """Return the ``power`` of each frame to the last bit, whatever the company it is measured in.

    Args:
        frames: Shape ``[n, size]``.
    """
    count = frames.shape[1]
    values = frames.astype(np.float32)
    # One product of vectors per frame, the very one that ``power`` makes: sums along an axis would round otherwise.
    sums = values[:, None, :] @ _ones(count)[:, None]
    squares = values[:, None, :] @ values[:, :, None]
    found = []
    for total, square in zip(sums.ravel().tolist(), squares.ravel().tolist(), strict=True):
        mean = total / count
        found.append(max(square / count - mean * mean, 0.0) / (FULL_SCALE * FULL_SCALE))
    return found


def frame_levels(frames: Samples) -> list[float]:
    """Return the ``level_db`` of each frame, shape ``[n, size]``."""
    return [to_db(mean_square) for mean_square in frame_powers(frames)]


@lru_cache(maxsize=32)
def _ones(count: int) -> npt.NDArray[np.float32]:
    return np.ones(count, dtype=np.float32)


def level_db(samples: Samples) -> float:
    """Return the level in dB below full scale, never under ``SILENCE_DB``."""
    return to_db(power(samples))


def to_db(mean_square: float) -> float:
    """Turn a mean square into dB, never under ``SILENCE_DB``."""
    return 10.0 * math.log10(max(mean_square, _POWER_FLOOR))


def block_powers(samples: Samples, block: int) -> npt.NDArray[np.float32]:
    """Return the mean square of each whole block, full scale 1.0, shape ``[len(samples) // block]``."""
    count = len(samples) // block
    values = samples[: count * block].reshape(count, block).astype(np.float32)
    # Full scale is a power of two: dividing by it at the end rounds nothing otherwise.
    powers: npt.NDArray[np.float32] = np.einsum("ij,ij->i", values, values) / np.float32(block * FULL_SCALE**2)
    return powers


def smooth(powers: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Average over ``width`` neighbours, centred; at the ends over those that exist."""
    if len(powers) == 0 or width <= 1:
        return powers
    kernel = np.ones(width, dtype=np.float32)
    total = np.convolve(powers, kernel)[(width - 1) // 2 :][: len(powers)]
    count = np.convolve(np.ones(len(powers), dtype=np.float32), kernel)[(width - 1) // 2 :][: len(powers)]
    smoothed: npt.NDArray[np.float32] = (total / count).astype(np.float32)
    return smoothed
