from typing import Any

import pytest

from hotmic.engines.fallback import ATTEMPTS, MAX_BEAM, Reading, better, read, widen
from hotmic.engines.guard import Hypothesis


def told(text: str = "turn on the lights", **fields: Any) -> Hypothesis:
    values = {
        "tokens": tuple(range(len(text.split()))),
        "seconds": 3.0,
        "language": "en",
        "no_speech_probability": 0.0,
        "average_logprob": -0.2,
        "speech_probability": 1.0,
        **fields,
    }
    return Hypothesis(text=text, **values)


LOOP = told("la " * 20, tokens=(7,) * 20)
TORRENT = told("many", tokens=tuple(range(100)))
UNLIKELY = told(average_logprob=-1.2)


@pytest.mark.parametrize(
    ("hypothesis", "doubtful"),
    [
        (told(), False),
        (LOOP, True),
        (TORRENT, True),
        (UNLIKELY, True),
        (told(average_logprob=-1.2, no_speech_probability=0.9), False),
        (told("thank you", average_logprob=-0.2, speech_probability=0.1), False),
        (told("", average_logprob=-3.0), False),
    ],
)
def test_circles_and_unlikely_texts_are_doubtful_and_silence_is_not(hypothesis: Hypothesis, doubtful: bool) -> None:
    assert read([hypothesis]).is_doubtful is doubtful


def test_other_readings_differ_and_pass_the_guards() -> None:
    others = [told("turn off the lights"), told(), LOOP, told(""), told("turn off the lights"), told("turn up")]
    assert read([told(), *others]).others == ("turn off the lights", "turn up")


def test_the_better_reading_is_the_one_that_may_be_shown_then_the_likelier() -> None:
    fine, unlikely, loop, empty = (read([h]) for h in (told(), UNLIKELY, LOOP, told("", average_logprob=0.0)))
    assert better(loop, unlikely) is unlikely
    assert better(unlikely, loop) is unlikely
    assert better(unlikely, fine) is fine
    assert better(fine, unlikely) is fine
    assert better(unlikely, empty) is unlikely
    assert better(loop, Reading(told(average_logprob=0.0), "loop")) is loop


def test_tries_grow_bolder() -> None:
    assert [a.repetition_penalty for a in ATTEMPTS] == sorted(a.repetition_penalty for a in ATTEMPTS)
    assert [a.no_repeat_ngram for a in ATTEMPTS] == sorted((a.no_repeat_ngram for a in ATTEMPTS), reverse=True)
    assert not ATTEMPTS[-1].prompted


def test_beams_widen_within_bounds() -> None:
    wide = ATTEMPTS[0]
    assert [widen(beam, wide) for beam in (1, 3, 8, 20)] == [2, 6, MAX_BEAM, 20]
