"""Speech is what rises above the noise floor, and the floor follows the room."""

import math
from collections import deque

from hotmic.audio import level
from hotmic.values import Samples

_BLOCK_FRAMES = 8
_BLOCKS = 6


class NoiseFloor:
    """The level of the room, by minimum statistics.

    The floor is the lowest frame of the last ~1.5 s (Martin 2001, "Noise power spectral density estimation based on
    optimal smoothing and minimum statistics", reduced to one band): it falls at once and rises when a louder noise
    has lasted longer than people speak without a gap. A stream may begin in mid-word, so the floor starts low.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over in a quiet room."""
        self._blocks = deque([START_DB] * _BLOCKS, maxlen=_BLOCKS)
        self._lowest_block = START_DB
        self._lowest = math.inf
        self._frames = 0

    def receive(self, level_db: float) -> float:
        """Take the level of the next frame and return the floor in dB, this frame included."""
        self._lowest = min(self._lowest, level_db)
        floor = min(self._lowest, self._lowest_block)
        self._frames += 1
        if self._frames == _BLOCK_FRAMES:
            self._blocks.append(self._lowest)
            self._lowest_block = min(self._blocks)
            self._lowest = math.inf
            self._frames = 0
        return max(floor, LOWEST_DB)


START_DB = -60.0
LOWEST_DB = -72.0
"""Below this the floor is no information: muted microphones and digital silence."""


class EnergyVad:
    """Compares each 32 ms with the noise floor.

    Args:
        rise_db: How far above the floor a frame is as likely speech as not.
        minimum_db: Level under which nothing is speech, in dB of full scale.
    """

    frame = 512

    def __init__(self, *, rise_db: float = 9.0, minimum_db: float = -62.0) -> None:
        self._rise_db = rise_db
        self._minimum_db = minimum_db
        self._floor = NoiseFloor()

    def probabilities(self, samples: Samples) -> list[float]:
        """Return a logistic curve over the rise: 0.5 at ``rise_db``, 0.88 at 4 dB more."""
        return [self._probability(loudness) for loudness in level.frame_levels(samples.reshape(-1, self.frame))]

    def reset(self) -> None:
        """Forget the room."""
        self._floor.reset()

    def _probability(self, loudness: float) -> float:
        floor = self._floor.receive(loudness)
        if loudness < self._minimum_db:
            return 0.0
        return 1.0 / (1.0 + math.exp((self._rise_db - (loudness - floor)) / 2.0))
