"""Word times from cross-attention (OpenAI Whisper, timing.py: dynamic time warping over the alignment heads)."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from hotmic.values import SAMPLE_RATE, Samples, Word

SECONDS_PER_STEP = 0.02
"""One encoder output frame."""
AUDIBLE_DB = -35.0
"""Sound this far below the loudest of the window is a pause."""

_BLOCK = round(SECONDS_PER_STEP * SAMPLE_RATE)


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
    if not path:
        return ()
    starts = _token_starts(np.asarray(path, dtype=np.int64))
    words = []
    first = 0
    for text, count in pieces:
        start, end = (
            min(seconds, round(float(starts[min(token, len(starts) - 1)]) * SECONDS_PER_STEP, 3))
            for token in (first, first + count)
        )
        chosen = probabilities[first : first + count]
        # Beyond three digits it is the noise of floating point.
        probability = round(float(np.mean(chosen)), 3) if len(chosen) else 0.0
        first += count
        if text.strip():
            words.append(Word(word=text.strip(), start=start, end=end, probability=probability))
    return tuple(words)


def _token_starts(path: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # Where each token begins, and where the last one ends.
    begins = np.concatenate(([True], np.diff(path[:, 0]) > 0))
    starts = np.full(path[-1, 0] + 2, path[-1, 1], dtype=np.int64)
    starts[path[begins, 0]] = path[begins, 1]
    return starts


def fit_to_sound(words: Sequence[Word], samples: Samples) -> tuple[Word, ...]:
    """Shrink words to the part that can be heard: the warping path gives each pause to one of its neighbours.

    A word that is silent as a whole keeps its times.
    """
    count = len(samples) // _BLOCK
    if not count:
        return tuple(words)
    blocks = samples[: count * _BLOCK].reshape(count, _BLOCK).astype(np.float32)
    power = np.square(blocks).mean(axis=1)
    audible = power > power.max() * 10 ** (AUDIBLE_DB / 10)
    fitted = []
    for word in words:
        first, last = round(word.start / SECONDS_PER_STEP), round(word.end / SECONDS_PER_STEP)
        heard = np.flatnonzero(audible[first:last])
        if len(heard):
            start = round((first + int(heard[0])) * SECONDS_PER_STEP, 3)
            end = round((first + int(heard[-1]) + 1) * SECONDS_PER_STEP, 3)
            word = msgspec.structs.replace(word, start=max(word.start, start), end=min(word.end, end))
        fitted.append(word)
    return tuple(fitted)
