"""Audio as one client sends it: bytes of any encoding, at a rate that may change, turned into 16 kHz samples."""

import numpy as np

from hotmic.audio.pcm import parse
from hotmic.audio.resample import Resampler
from hotmic.values import SAMPLE_RATE, Samples


class Wire:
    """A stream of chunks; where it is cut does not matter."""

    def __init__(self) -> None:
        self.rate = SAMPLE_RATE
        """Hertz of chunks that name no rate themselves."""
        self._resampler: Resampler | None = None

    def receive(self, data: bytes, *, encoding: str, sample_rate: int | None) -> Samples:
        """Return what is ready at 16 kHz after a chunk, possibly nothing.

        Raises:
            BadAudio: The bytes are no samples, or the rate is impossible.
        """
        samples, rate = parse(data, encoding=encoding), sample_rate or self.rate
        if self._resampler is None:
            if rate == SAMPLE_RATE:
                return samples
            self._resampler = Resampler(rate)
        elif self._resampler.rate != rate:
            tail = self._resampler.flush()
            self._resampler = Resampler(rate)
            return np.concatenate([tail, self._resampler.receive(samples)])
        return self._resampler.receive(samples)

    def flush(self) -> Samples:
        """Return what the filter still holds; the next chunk begins afresh."""
        if self._resampler is None:
            return np.zeros(0, dtype=np.int16)
        tail, self._resampler = self._resampler.flush(), None
        return tail
