"""Which jobs may share a batch."""

from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, DecodeOptions

WINDOW_BUCKETS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0)
"""Seconds; rows of one batch are padded to the same length, so they should be of one size."""

MARGIN_S = 0.1
"""Padding that the engine keeps behind every window."""

Bucket = tuple[DecodeKind, float, DecodeOptions]


def bucket(job: DecodeJob) -> Bucket:
    """Return the batch shape of a job: lane, window length rounded up, decode options."""
    seconds = len(job.samples) / 2 / SAMPLE_RATE + MARGIN_S
    size = next((b for b in WINDOW_BUCKETS if seconds <= b), WINDOW_BUCKETS[-1])
    return job.kind, size, job.options
