"""Word times from cross-attention (OpenAI Whisper, timing.py: dynamic time warping over the alignment heads)."""

from collections.abc import Sequence

import numpy as np

from hotmic.values import Word

SECONDS_PER_STEP = 0.02
"""One encoder output frame."""


def words_of(
    pieces: Sequence[tuple[str, int]],
    *,
    path: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    seconds: float,
) -> tuple[Word, ...]:
    """Place words in time.

    Args:
        pieces: Words with their numbers of tokens, as ``Vocabulary.split_words`` cuts them.
        path: The warping path: pairs of token index and encoder frame, both rising.
        probabilities: One per text token.
        seconds: Length of the window; no word ends later.
    """
    if not path or not pieces:
        return ()
    steps = np.asarray(path, dtype=np.int64)
    begins = np.concatenate(([True], np.diff(steps[:, 0]) > 0))
    # Where each token begins; tokens the path never reached begin at its end.
    starts = np.full(steps[-1, 0] + 2, steps[-1, 1], dtype=np.float64)
    starts[steps[begins, 0]] = steps[begins, 1]
    words = []
    first = 0
    previous_end = 0.0
    for text, count in pieces:
        last = first + count
        start = _time(starts, first, seconds)
        end = max(start, _time(starts, last, seconds))
        start = max(start, previous_end)
        chosen = probabilities[first:last]
        probability = float(np.mean(chosen)) if len(chosen) else 0.0
        words.append(Word(word=text.strip(), start=start, end=max(end, start), probability=probability))
        first, previous_end = last, max(end, start)
    return tuple(word for word in words if word.word)


def _time(starts: np.ndarray, token: int, seconds: float) -> float:  # type: ignore[type-arg]
    return min(seconds, round(float(starts[min(token, len(starts) - 1)]) * SECONDS_PER_STEP, 3))
