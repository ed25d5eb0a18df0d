"""Which jobs may share a batch."""

from typing import NamedTuple

from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, Task

WINDOW_BUCKETS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0)
"""Seconds; rows of one batch are padded to the same length, so they should be of one size."""

MARGIN_S = 0.1
"""Padding that the engine keeps behind every window."""

PROMPT_BUCKETS = (0, 64, 160)
"""Characters; engines trim prompts to a few lengths in tokens, and rows of one length are decoded together."""

BEAM_OF_MODEL = 0


class Bucket(NamedTuple):
    """The shape of a batch. Languages and hotwords may differ from row to row."""

    kind: DecodeKind
    seconds: float
    """Window length rounded up."""
    task: Task
    beam: int
    readings: int
    """Texts asked for: one and its alternatives."""
    prompt: int
    """Characters before the start token, rounded up to one of ``PROMPT_BUCKETS``; one more than the last for more."""


def bucket(job: DecodeJob) -> Bucket:
    """Return the batch shape of a job."""
    seconds = len(job.samples) / 2 / SAMPLE_RATE + MARGIN_S
    size = next((b for b in WINDOW_BUCKETS if seconds <= b), WINDOW_BUCKETS[-1])
    options = job.options
    is_final = job.kind == "final"
    beam = options.beam or BEAM_OF_MODEL if is_final else 1
    readings = 1 + options.alternatives if is_final else 1
    length = len(options.prompt) + len(job.previous)
    if options.hotwords:
        length += sum(map(len, options.hotwords))
    prompt = next((b for b in PROMPT_BUCKETS if length <= b), PROMPT_BUCKETS[-1] + 1)
    return Bucket(job.kind, size, options.task, beam, readings, prompt)
