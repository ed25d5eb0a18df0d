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
        wave = np.zeros(len(samples) + HOP, dtype=np.float32)
        np.multiply(samples, np.float32(1 / 32768), out=wave[: len(samples)], casting="unsafe")
        padded = np.pad(wave, FFT // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][: len(samples) // HOP + 1]
        # numpy transforms float64 twice as fast as float32.
        spectrum = np.fft.rfft(frames * self._window, axis=-1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = self._filters @ power.astype(np.float32).T
        log_mel = np.log10(np.maximum(mel, 1e-10))
        scaled = (np.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0
        # The last frame sees only the padding; it takes part in the scaling alone.
        features: Float32 = scaled[:, :-1].astype(np.float32, copy=False)
        return features


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
