import numpy as np
import pytest

from hotmic.engines.alignment import fit_to_sound, words_of
from hotmic.values import Word

PATH = [(0, 0), (0, 10), (1, 11), (1, 20), (2, 21), (2, 30), (3, 31), (3, 50)]


def test_words_take_the_frames_of_their_tokens() -> None:
    words = words_of([(" a", 1), (" bc", 2)], path=PATH, probabilities=[0.5, 0.6, 0.8], seconds=2.0)
    assert words == (
        Word(word="a", start=0.0, end=0.22, probability=0.5),
        Word(word="bc", start=0.22, end=0.62, probability=0.7),
    )


def test_no_path_no_words() -> None:
    assert words_of([(" a", 1)], path=[], probabilities=[], seconds=1.0) == ()


def test_no_word_ends_after_the_window() -> None:
    words = words_of([(" a", 2), (" b", 1)], path=PATH, probabilities=[1, 1, 1], seconds=0.5)
    assert [word.end for word in words] == [0.42, 0.5]


def test_more_words_than_the_path_reaches_end_at_its_end() -> None:
    words = words_of([(" a", 3), (" b", 2), (" c", 4)], path=PATH, probabilities=[1, 1, 1], seconds=2.0)
    assert [(word.start, word.end) for word in words] == [(0.0, 0.62), (0.62, 1.0), (1.0, 1.0)]


def test_blank_pieces_are_no_words() -> None:
    assert words_of([(" ", 1), (" b", 1)], path=PATH, probabilities=[1, 1], seconds=2.0)[0].word == "b"


def test_words_shrink_to_what_is_heard() -> None:
    samples = np.zeros(32_000, dtype=np.int16)
    samples[8000:12_000] = 5000
    samples[20_000:24_000] = 500
    words = [Word(word="a", start=0.0, end=1.0, probability=1.0), Word(word="b", start=1.0, end=2.0, probability=1.0)]
    fitted = fit_to_sound(words, samples)
    assert [(w.start, w.end) for w in fitted] == [(0.5, pytest.approx(0.76)), (pytest.approx(1.24), 1.5)]


def test_silent_words_keep_their_times() -> None:
    word = Word(word="a", start=0.0, end=0.3, probability=1.0)
    samples = np.zeros(16_000, dtype=np.int16)
    samples[10_000:] = 3000
    assert fit_to_sound([word], samples) == (word,)
    assert fit_to_sound([word], samples[:100]) == (word,)
