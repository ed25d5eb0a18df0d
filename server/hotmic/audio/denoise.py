"""Take steady noise out of a window before it is decoded."""

import warnings

import numpy as np
import structlog

from hotmic.audio import level, pcm
from hotmic.values import SAMPLE_RATE, Denoise, Samples

LEFT_CONTEXT = SAMPLE_RATE // 2
RIGHT_CONTEXT = SAMPLE_RATE * 64 // 1000
"""With this much audio before and after it, a window comes out as from the whole recording, to within -34 dB."""

AUTO_SNR_DB = 12.0
"""``auto`` leaves speech that is further above the noise alone: gating takes some of the speech with it."""

_FFT = 1024
_EMPTY: Samples = np.zeros(0, dtype=np.int16)

log = structlog.get_logger(__name__)


def reduce_noise(samples: Samples, noise: Samples, *, mode: Denoise, prop_decrease: float = 0.8) -> Samples:
    """Denoise as the session asked: never, always, or when the noise is loud enough to matter."""
    if mode == "off" or (mode == "auto" and estimate_snr_db(samples, noise) >= AUTO_SNR_DB):
        return samples
    return denoise(samples, noise, prop_decrease=prop_decrease)


def denoise(
    samples: Samples,
    noise: Samples,
    *,
    prop_decrease: float = 0.8,
    left_context: Samples = _EMPTY,
    right_context: Samples = _EMPTY,
) -> Samples:
    """Gate each frequency against the noise profile (noisereduce, stationary mode: Sainburg 2020).

    About 1 ms of CPU per 100 ms. The first call imports noisereduce, which takes seconds.

    Args:
        samples: The window.
        noise: The profile. One that is shorter than an FFT (64 ms) or digital silence tells nothing.
        prop_decrease: How much of what counts as noise goes, 0..1.
        left_context: Samples just before the window, best ``LEFT_CONTEXT`` of them.
        right_context: Samples just after it, best ``RIGHT_CONTEXT``.

    Returns:
        As many samples as came in. The input itself when there is nothing to learn from ``noise``, nothing to hear in
        ``samples``, or they are shorter than an FFT.
    """
    whole = np.concatenate((left_context, samples, right_context))
    if len(whole) < _FFT or len(noise) < _FFT or not noise.any() or not samples.any():
        return samples
    with warnings.catch_warnings():
        # The import of a plotting library and a division by a silent bin warn; neither concerns the caller.
        warnings.simplefilter("ignore")
        import noisereduce

        cleaned = noisereduce.reduce_noise(
            pcm.to_float(whole),
            SAMPLE_RATE,
            stationary=True,
            y_noise=pcm.to_float(noise),
            prop_decrease=prop_decrease,
            n_fft=_FFT,
            # Without padding the last fraction of a hop comes back as zeros.
            padding=_FFT,
            # Longer input than this goes through a temporary file, and audio stays in memory.
            chunk_size=max(len(whole), len(noise)) + 1,
        )
    window = cleaned[len(left_context) : len(left_context) + len(samples)]
    if not np.isfinite(window).all():
        log.warning("denoise_not_finite", samples=len(samples), noise=len(noise))
        return samples
    return pcm.from_float(window)


def estimate_snr_db(samples: Samples, noise: Samples) -> float:
    """Return how far the louder half of the window lies above the noise profile, in dB.

    Infinite without a profile; at least -20.
    """
    noise_power = level.power(noise)
    if noise_power <= 10 ** (level.SILENCE_DB / 10):
        return float("inf")
    powers = np.sort(level.block_powers(samples, SAMPLE_RATE // 50))
    if not len(powers):
        return -20.0
    speech_power = float(powers[len(powers) // 2 :].mean()) - noise_power
    return level.to_db(max(speech_power, noise_power / 100)) - level.to_db(noise_power)
