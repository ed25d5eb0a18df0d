"""The first system's VAD: a fixed threshold on the energy of 1024 samples."""

from hotmic.audio import level
from hotmic.values import Samples


class SeedVad:
    """Speech is any chunk whose root mean square passes 0.02 of full scale (-34 dB)."""

    frame = 1024

    def __init__(self, *, threshold: float = 0.02) -> None:
        self._power = threshold * threshold

    def probabilities(self, samples: Samples) -> list[float]:
        """Return 1 or 0 for each frame."""
        powers = level.frame_powers(samples.reshape(-1, self.frame))
        return [1.0 if power > self._power else 0.0 for power in powers]

    def reset(self) -> None:
        """There is no state."""
