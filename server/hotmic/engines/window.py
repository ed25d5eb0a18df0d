"""From a job to the samples a model hears, and the length they are padded to."""

import numpy as np

from hotmic.engines.mel import FRAMES_PER_SECOND
from hotmic.values import SAMPLE_RATE, DecodeJob, Samples

BUCKETS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0)
"""Window lengths in seconds; rows of one bucket share a batch, so each is padded to the same length in any company."""

SHORTEST = SAMPLE_RATE // 10
"""Fewer samples than this hold no word."""


def samples_of(job: DecodeJob) -> Samples:
    """Return what the model should hear of a job, denoised when the session asked for it."""
    samples = np.frombuffer(job.samples, dtype="<i2")
    if job.options.denoise == "off" or not job.noise:
        return samples
    # Imported where it is needed: most workers never denoise.
    from hotmic.audio.denoise import reduce_noise

    return reduce_noise(samples, np.frombuffer(job.noise, dtype="<i2"), mode=job.options.denoise)


def bucket_frames(samples: int, *, floor: float, n_mels: int) -> int:
    """Return how many mel frames a window is padded to.

    CTranslate2 tells features from encoder output by shape alone: an output as long as there are mel filters is taken
    for features and encoded again, and the text is garbage. No bucket has that length.

    Args:
        samples: Length of the window.
        floor: Shortest bucket, in seconds.
        n_mels: Mel filters of the model.
    """
    frames = -(-samples * FRAMES_PER_SECOND // SAMPLE_RATE)
    sizes = sorted({round(b * FRAMES_PER_SECOND) for b in (floor, *BUCKETS) if b >= floor})
    chosen = next((size for size in sizes if frames <= size), sizes[-1])
    return chosen + 2 if -(-chosen // 2) == n_mels else chosen
