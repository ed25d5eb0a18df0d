from typing import Any

import pytest

from hotmic.config.model import Guards
from hotmic.engines import guard
from hotmic.engines.guard import Hypothesis, judge


def hypothesis(text: str = "turn on the lights", **fields: Any) -> Hypothesis:
    values = {
        "tokens": tuple(range(len(text.split()))),
        "seconds": 2.0,
        "language": "en",
        "no_speech_probability": 0.0,
        "average_logprob": -0.2,
        "speech_probability": 1.0,
        **fields,
    }
    return Hypothesis(text=text, **values)


def test_speech_passes() -> None:
    assert judge(hypothesis()) == ""


def test_no_text_needs_no_guard() -> None:
    assert judge(hypothesis("", no_speech_probability=1.0, average_logprob=-9.0)) == ""


def test_a_model_that_knows_silence_is_believed_alone() -> None:
    sure = {"no_speech_probability": 0.4, "average_logprob": -0.1, "speech_probability": 1.0}
    assert judge(hypothesis(**sure)) == ""
    assert judge(hypothesis(**sure, no_speech_threshold=0.5)) == ""
    assert judge(hypothesis(**sure, no_speech_threshold=0.3)) == "no_speech"


@pytest.mark.parametrize(
    ("no_speech", "logprob", "vad", "verdict"),
    [(0.7, -1.1, 1.0, "no_speech"), (0.7, -0.9, 1.0, ""), (0.7, -0.9, 0.4, "no_speech"), (0.5, -1.1, 0.4, "")],
)
def test_no_speech_needs_a_second_witness(no_speech: float, logprob: float, vad: float, verdict: str) -> None:
    told = hypothesis(no_speech_probability=no_speech, average_logprob=logprob, speech_probability=vad)
    assert judge(told) == verdict


@pytest.mark.parametrize(
    ("tokens", "looping"),
    [
        ([7] * 11, False),
        ([7] * 12, True),
        ([1, 2, 3] * 3, False),
        ([1, 2, 3] * 4, True),
        ([9, 8, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 9], True),
        (list(range(16)) * 3, False),
        (list(range(16)) * 4, True),
        (list(range(40)), False),
        ([], False),
    ],
)
def test_loops(tokens: list[int], looping: bool) -> None:
    assert guard.is_loop(tokens) is looping
    verdict = judge(hypothesis(tokens=tuple(tokens), seconds=20.0))
    assert verdict == ("loop" if looping else "")


def test_more_tokens_than_can_be_spoken() -> None:
    limit = guard.token_limit(1.0, dense=False)
    assert judge(hypothesis(tokens=tuple(range(limit)), seconds=1.0)) == ""
    assert judge(hypothesis(tokens=tuple(range(limit + 1)), seconds=1.0)) == "token_rate"
    assert judge(hypothesis(tokens=tuple(range(limit + 1)), seconds=1.0, language="th")) == ""


def test_more_letters_than_tokens_spell() -> None:
    """A vocabulary may hold words of any length; what goes over the text of a window takes time with each letter."""
    most = guard.token_limit(1.0, dense=False) * guard.TOKEN_LETTERS
    assert judge(hypothesis("x" * most, seconds=1.0)) == ""
    assert judge(hypothesis("x" * (most + 1), seconds=1.0)) == "token_rate"


@pytest.mark.parametrize("text", ["Thank you.", "Thanks for watching!", "ขอบคุณครับ", "谢谢观看。"])
def test_known_phrases_fall_only_when_the_vad_doubts(text: str) -> None:
    assert judge(hypothesis(text, speech_probability=0.3)) == "known_phrase"
    assert judge(hypothesis(text, speech_probability=0.9)) == ""


def test_known_phrases_are_folded() -> None:
    assert {guard.fold(phrase) for phrase in guard.KNOWN_PHRASES} == guard.KNOWN_PHRASES


def test_a_longer_sentence_is_no_known_phrase() -> None:
    assert judge(hypothesis("thank you for the coffee", speech_probability=0.3)) == ""


BITTEN: dict[str, dict[str, Any]] = {
    "no_speech": {"no_speech_probability": 0.9, "average_logprob": -1.5},
    "loop": {"tokens": (7,) * 12},
    "token_rate": {"tokens": tuple(range(90))},
    "known_phrase": {"text": "Thank you.", "speech_probability": 0.3},
}


@pytest.mark.parametrize("name", Guards.__struct_fields__)
def test_each_guard_bites_and_has_a_switch_of_its_own(name: str) -> None:
    told = BITTEN[name]
    assert judge(hypothesis(**told)) == name
    assert judge(hypothesis(**told, guards=Guards(**{name: False}))) == ""
    others = {other: False for other in Guards.__struct_fields__ if other != name}
    assert judge(hypothesis(**told, guards=Guards(**others))) == name
