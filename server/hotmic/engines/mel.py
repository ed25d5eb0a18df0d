"""Log-mel spectrograms as Whisper was trained on, in numpy.

The same numbers as faster-whisper's feature extractor; importing that costs a worker a third of a second for
libraries it does not need (PyAV, onnxruntime, the hub client).
"""

import numpy as np
import numpy.typing as npt

from hotmic.values import SAMPLE_RATE, Samples

FFT = 400
HOP = 160
FRAMES_PER_SECOND = SAMPLE_RATE // HOP

Float32 = npt.NDArray[np.float32]

_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27
_TOP_MEL = _BREAK_MEL + np.log(8000 / _BREAK_HZ) / _LOG_STEP


class MelBank:
    """Slaney mel filters over a Hann-windowed 25 ms transform every 10 ms.

    Args:
        n_mels: Filters: 80, or 128 for large-v3 and its kin.
    """

    def __init__(self, n_mels: int) -> None:
        self.n_mels = n_mels
        self._filters = _slaney_filters(n_mels)
        self._window = np.hanning(FFT + 1)[:-1]

    def features(self, samples: Samples) -> Float32:
        """Return the spectrogram of a window, about 0.2 ms per second.

        Args:
            samples: At least ``FFT // 2`` of them.

        Returns:
            ``[n_mels, len(samples) // HOP]``, each clip scaled by its own loudest bin.
        """
        return scale(self.log_mel(samples, 0, len(samples) // HOP + 1))

    def log_mel(self, samples: Samples, first: int, stop: int) -> Float32:
        """Return some frames of a window before they are scaled: ``[n_mels, stop - first]``.

        A frame looks ``FFT // 2`` samples to both sides of its hop. The window is mirrored at its beginning, and at
        its end after ``HOP`` zeros; ``len(samples) // HOP`` is the last frame there is.
        """
        low, high = first * HOP - FFT // 2, (stop - 1) * HOP + FFT // 2
        inner = samples[max(0, low) : high]
        mirrored = max(0, -low)
        end = len(samples) + HOP
        wave = np.zeros(high - low, dtype=np.float32)
        np.multiply(inner, np.float32(1 / 32768), out=wave[mirrored : mirrored + len(inner)], casting="unsafe")
        if mirrored:
            wave[:mirrored] = wave[2 * mirrored : mirrored : -1]
        if (over := high - end) > 0:
            wave[-over:] = wave[-over - 2 : -2 * over - 2 : -1]
        frames = np.lib.stride_tricks.sliding_window_view(wave, FFT)[::HOP]
        # numpy transforms float64 twice as fast as float32.
        spectrum = np.fft.rfft(frames * self._window, axis=-1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel: Float32 = self._filters @ power.astype(np.float32).T
        return np.log10(np.maximum(mel, 1e-10))


def scale(log_mel: Float32) -> Float32:
    """Scale a window by its loudest bin.

    Its last frame sees only the padding; it takes part in the scaling alone.
    """
    scaled: Float32 = np.maximum(log_mel, log_mel.max() - 8.0)
    scaled += 4.0
    scaled *= 0.25
    return scaled[:, :-1]


def _slaney_filters(n_mels: int) -> Float32:
    # M. Slaney, Auditory Toolbox, Technical Report 1998-010: linear below 1 kHz, logarithmic above, equal area.
    mels = np.linspace(0.0, _TOP_MEL, n_mels + 2)
    edges = np.where(
        mels < _BREAK_MEL,
        mels * _LINEAR_HZ_PER_MEL,
        _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _BREAK_MEL) - _BREAK_MEL)),
    )
    bins = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: Float32 = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return filters
