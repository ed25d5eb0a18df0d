"""Bring any sample rate to 16 kHz while it streams."""

from typing import Any

import numpy as np

from hotmic.audio import pcm
from hotmic.errors import BadAudio
from hotmic.values import SAMPLE_RATE, Samples

LOWEST_RATE = 4_000
HIGHEST_RATE = 192_000


class Resampler:
    """A stream at one rate, turned into 16 kHz; how the stream is cut into chunks does not change the result.

    The filter looks ahead, so output trails input by some milliseconds until ``flush``. soxr works in float32:
    its int16 mode adds dither, which would depend on the cuts.

    Args:
        rate: Hertz of the incoming samples. 16 kHz passes through untouched.

    Raises:
        BadAudio: The rate is outside 4,000..192,000 Hz.
    """

    def __init__(self, rate: int) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise BadAudio(f"Sample rate {rate} Hz is not possible; allowed are {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        self.rate = rate
        self._stream = self._open_stream()

    def receive(self, samples: Samples) -> Samples:
        """Take samples at the stream's rate and return what is ready at 16 kHz, possibly nothing."""
        if self._stream is None:
            return samples
        return self._convert(samples, last=False)

    def flush(self) -> Samples:
        """Return what the filter still holds and start afresh for the next stream of the same rate."""
        if self._stream is None:
            return np.zeros(0, dtype=np.int16)
        tail = self._convert(np.zeros(0, dtype=np.int16), last=True)
        self._stream = self._open_stream()
        return tail

    def _convert(self, samples: Samples, *, last: bool) -> Samples:
        assert self._stream is not None
        return pcm.from_float(self._stream.resample_chunk(pcm.to_float(samples), last=last))

    def _open_stream(self) -> Any:
        if self.rate == SAMPLE_RATE:
            return None
        import soxr

        return soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
