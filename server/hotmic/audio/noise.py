"""The newest audio that is surely no speech."""

from collections import deque

import numpy as np

from hotmic.values import SAMPLE_RATE, Samples

_SURE = 0.25


class NoiseProfile:
    """Collects frames without speech, and none from within ``guard`` samples before speech began.

    Args:
        frame: Samples of a frame.
        guard: Samples before a speech frame that may already hold its onset.
        length: Most samples kept.
    """

    def __init__(self, *, frame: int, guard: int, length: int = SAMPLE_RATE // 2) -> None:
        self._length = length
        self._guarded = -(-guard // frame)
        self._waiting: deque[Samples] = deque()
        self._kept: deque[Samples] = deque(maxlen=-(-length // frame))

    def receive(self, frame: Samples, probability: float) -> None:
        """Take the next frame that was not speech; one the VAD is in doubt about counts as the onset of speech."""
        if probability >= _SURE:
            self.interrupt()
            return
        # A copy: a view would keep the whole chunk it was cut from alive.
        self._waiting.append(frame.copy())
        if len(self._waiting) > self._guarded:
            self._kept.append(self._waiting.popleft())

    def interrupt(self) -> None:
        """Speech began: what came just before is not surely noise."""
        self._waiting.clear()

    def samples(self) -> Samples:
        """Return the newest ``length`` samples collected, oldest first; the stretches need not be adjacent."""
        if not self._kept:
            return np.zeros(0, dtype=np.int16)
        return np.concatenate(self._kept)[-self._length :]
