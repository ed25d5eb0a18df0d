"""How fast something grows, from samples that jump."""

from collections.abc import Sequence
from statistics import median

Sample = tuple[float, float]
"""When, in seconds, and how much."""


def second_half(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the second half of the time: what is filled once is filled by then.

    Raises:
        ValueError: There are fewer than two of them.
    """
    middle = (samples[0][0] + samples[-1][0]) / 2 if samples else 0.0
    half = [sample for sample in samples if sample[0] >= middle]
    if len(half) < 2:
        raise ValueError("two samples in the second half are the least")
    return half


def slope(samples: Sequence[Sample]) -> float:
    """Return the growth per second: the median of the slopes of all pairs (Theil 1950, Sen 1968).

    A few samples that stand out, such as a swap of models, do not move it. Costs O(n²) for n samples.

    Raises:
        ValueError: No two samples differ in time.
    """
    rises = [
        (later - earlier) / (end - begin)
        for index, (begin, earlier) in enumerate(samples)
        for end, later in samples[index + 1 :]
        if end > begin
    ]
    if not rises:
        raise ValueError("a slope needs two points in time")
    return median(rises)
