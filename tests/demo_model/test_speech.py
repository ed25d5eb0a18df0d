import numpy as np
import pytest

from demo_model.speech import Utterance, Word, joined, listed, silence, trimmed, with_margins


def _spoken(text: str, *, times: bool = True) -> Utterance:
    words = (Word(text, 0.0, 0.5),) if times else None
    return Utterance(np.ones(8000, np.float32), text, words, "test")


def test_joining_moves_the_second() -> None:
    both = joined(_spoken("one"), _spoken("two"), 0.25)
    assert both.text == "one two"
    assert both.seconds == pytest.approx(1.25)
    assert both.words == (Word("one", 0.0, 0.5), Word("two", 0.75, 1.25))


def test_joining_without_times_has_none() -> None:
    assert joined(_spoken("one"), _spoken("two", times=False), 0.1).words is None


def test_margins_move_words() -> None:
    wide = with_margins(_spoken("one"), 0.5, 1.0)
    assert wide.seconds == pytest.approx(2.0)
    assert wide.words == (Word("one", 0.5, 1.0),)


def test_trimming_finds_the_sound() -> None:
    samples = np.concatenate([silence(0.5), np.ones(1600, np.float32), silence(0.5)])
    first, last = trimmed(samples)
    assert 7000 < first <= 8000
    assert 9600 <= last < 11_000
    assert trimmed(silence(0.1)) == (0, 1600)


def test_lists() -> None:
    assert listed("a  b\nc") == ("a", "b", "c")
    assert listed("new york|delhi", "|") == ("new york", "delhi")
