"""Spectrograms of windows that grow: what one partial has computed, the next one of its segment keeps."""

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from hotmic.engines.mel import FFT, HOP, Float32, MelBank, scale
from hotmic.values import Samples

MAX_BYTES = 128 << 20
"""About 64 KB for each second of each window; past this the segment that was quiet for longest is computed anew."""

_EDGE = -(-FFT // 2 // HOP)
"""Frames at the beginning of a window that see its mirror image."""

Key = tuple[str, str]
"""Session and segment."""


class Seen(NamedTuple):
    """The last window of a segment."""

    start: int
    samples: Samples
    log_mel: Float32
    """All its frames, before scaling."""

    @property
    def size(self) -> int:
        """Bytes it holds."""
        return self.samples.nbytes + self.log_mel.nbytes


class GrowingSpectrum:
    """Log-mel features of successive windows of one segment, of which only new frames are computed.

    Frames inside a window depend on the audio around them alone; they are kept before scaling and scaled anew in every
    window. They are used again only where the audio is the same sample by sample, so a key that means something else
    by now costs time and never changes a text. Results agree with ``MelBank.features`` to the rounding of float32: use
    it where a bit counts.

    Calls from several threads are safe.

    Args:
        bank: Computes the frames.
        max_bytes: What it may keep.
    """

    def __init__(self, bank: MelBank, *, max_bytes: int = MAX_BYTES) -> None:
        self._bank, self._max_bytes = bank, max_bytes
        self._seen: OrderedDict[Key, Seen] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def features(self, key: Key, samples: Samples, *, start: int) -> Float32:
        """Return the spectrogram of a window, as ``MelBank.features`` does.

        Args:
            key: Whose window.
            samples: At least ``FFT // 2`` of them.
            start: Position of the first since the session began. Windows whose starts differ by anything but whole
                hops share no frame.
        """
        with self._lock:
            seen = self._seen.get(key)
        last = len(samples) // HOP
        log_mel = np.empty((self._bank.n_mels, last + 1), dtype=np.float32)
        known = self._reuse(seen, samples, start, log_mel) if seen else _EDGE
        if known > _EDGE:
            log_mel[:, :_EDGE] = self._bank.log_mel(samples, 0, _EDGE)
            log_mel[:, known:] = self._bank.log_mel(samples, known, last + 1)
        else:
            log_mel[:] = self._bank.log_mel(samples, 0, last + 1)
        # A copy: the caller's memory may hold other audio by the next call, and would then be compared with itself.
        self._keep(key, Seen(start, samples.copy(), log_mel))
        return scale(log_mel)

    def forget(self, key: Key) -> None:
        """Drop a segment that is over."""
        with self._lock:
            if seen := self._seen.pop(key, None):
                self._bytes -= seen.size

    def _reuse(self, seen: Seen, samples: Samples, start: int, log_mel: Float32) -> int:
        # Copies the frames both windows have inside; returns the first frame that is not known.
        shift, odd = divmod(start - seen.start, HOP)
        if odd or shift < 0:
            return _EDGE
        # The last frame that sees neither the padding of its window nor its mirror image.
        stop = min(_inner_stop(seen.samples) - shift, _inner_stop(samples))
        if stop <= _EDGE:
            return _EDGE
        low, high = _EDGE * HOP - FFT // 2, (stop - 1) * HOP + FFT // 2
        if not np.array_equal(samples[low:high], seen.samples[low + shift * HOP : high + shift * HOP]):
            return _EDGE
        log_mel[:, _EDGE:stop] = seen.log_mel[:, _EDGE + shift : stop + shift]
        return stop

    def _keep(self, key: Key, seen: Seen) -> None:
        with self._lock:
            if old := self._seen.pop(key, None):
                self._bytes -= old.size
            self._seen[key] = seen
            self._bytes += seen.size
            while self._bytes > self._max_bytes:
                _, oldest = self._seen.popitem(last=False)
                self._bytes -= oldest.size


def _inner_stop(samples: Samples) -> int:
    return (len(samples) - FFT // 2) // HOP + 1
