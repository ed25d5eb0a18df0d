from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from hotmic.config.model import Guards
from hotmic.engines import guard
from hotmic.engines.engine import Engine
from hotmic.engines.guard import Hypothesis, judge
from hotmic.values import DecodeJob, DecodeResult
from sound import not_speech
from talker import Talker


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


class Told(NamedTuple):
    """What a model that talks on anything says of a sound, and how sure it and the VAD are."""

    sound: str
    seconds: float
    text: str
    no_speech: float
    score: float
    vad: float
    verdict: str = ""
    threshold: float = 1.0
    """The model's ``no_speech_threshold``."""


MANY = "set a timer for two minutes and send the report to alice then move on to the next one on monday at ten in the"
LOVE = "i love you and you know it " * 6

# As Whisper's models talk on such sounds: thanks and goodbyes over silence, long sentences over a thump, and the same
# line again and again over tones, of which they are sure.
SOUNDS = [
    Told("silence", 2.0, "Thank you.", 0.82, -0.95, 0.2, "no_speech"),
    Told("silence", 2.0, "you", 0.35, -0.6, 0.1, "known_phrase"),
    Told("silence", 0.5, MANY, 0.3, -0.7, 0.6, "token_rate"),
    Told("white", 4.0, "turn on the lights", 0.72, -1.4, 0.9, "no_speech"),
    Told("white", 1.0, "thanks for watching", 0.5, -0.9, 0.45, "known_phrase"),
    Told("breath", 4.0, "i want to go to the", 0.68, -0.3, 0.45, "no_speech"),
    Told("breath", 1.5, "Bye-bye.", 0.45, -0.5, 0.3, "known_phrase"),
    Told("hum", 4.0, "la " * 20, 0.3, -0.15, 0.6, "loop"),
    Told("hum", 2.0, "turn on the lights", 0.4, -0.3, 0.9, "no_speech", threshold=0.1),
    Told("door", 0.5, MANY, 0.2, -0.7, 0.7, "token_rate"),
    Told("door", 1.0, "bye", 0.5, -0.8, 0.35, "known_phrase"),
    Told("music", 8.0, LOVE, 0.4, -0.2, 0.55, "loop"),
    Told("chord", 4.0, "Please subscribe to my channel!", 0.3, -0.4, 0.4, "known_phrase"),
]
SPEECH = [
    Told("digits_five", 0.5, "seven", 0.05, -0.4, 0.9),
    Told("digits_five", 0.5, "seven", 0.3, -0.8, 0.4),
    Told("timer", 0.5, "set a timer", 0.75, -0.3, 0.9),
    Told("timer", 0.5, "Thank you.", 0.1, -0.2, 0.9),
    Told("timer", 1.0, "no no no no no", 0.1, -0.2, 0.4),
    Told("timer", 1.0, "timer", 0.08, -1.3, 0.4, threshold=0.1),
]


class Hear(NamedTuple):
    """Asks a model that talks for a partial and a final of one piece of audio."""

    engine: Callable[..., Engine]
    job: Callable[..., DecodeJob]
    patch: pytest.MonkeyPatch

    def __call__(self, told: Told, pcm: bytes, guards: Guards) -> list[DecodeResult]:
        talking: Any = self.engine("faster_whisper", guards=guards, no_speech_threshold=told.threshold, beam=2)
        tokens = talking._vocabulary.encode(" " + told.text.strip())
        Talker(talking, self.patch, tokens=tokens, score=told.score, no_speech=told.no_speech)
        kinds = ("partial", "final")
        jobs = [self.job(pcm, k, kind=k, speech_probability=told.vad, word_times=k == "final") for k in kinds]
        results = talking.decode(jobs)
        assert not any(result.error_code for result in results)
        return list(results)


@pytest.fixture
def hear(engine: Callable[..., Engine], job: Callable[..., DecodeJob], monkeypatch: pytest.MonkeyPatch) -> Hear:
    return Hear(engine, job, monkeypatch)


def only(*names: str) -> Guards:
    return Guards(**{name: name in names for name in Guards.__struct_fields__})


@pytest.mark.integration
@pytest.mark.parametrize("told", SOUNDS, ids=lambda told: f"{told.sound}-{told.verdict}-{told.seconds}")
def test_nothing_is_told_of_sounds_that_a_model_talks_on(hear: Hear, told: Told) -> None:
    pcm = not_speech(told.sound, -30, told.seconds).tobytes()
    guarded = hear(told, pcm, Guards())
    assert [(r.text, r.words, bool(r.suppressed)) for r in guarded] == [("", (), True)] * 2
    alone = hear(told, pcm, only(told.verdict))
    assert [(r.text, r.words, r.suppressed) for r in alone] == [("", (), told.verdict)] * 2
    open_ = hear(told, pcm, only())
    assert [(r.text, r.suppressed) for r in open_] == [(told.text.strip(), "")] * 2


@pytest.mark.integration
@pytest.mark.parametrize("told", SPEECH, ids=lambda told: f"{told.text}-{told.no_speech}-{told.vad}")
def test_words_of_half_a_second_pass(hear: Hear, clip: Callable[[str], bytes], told: Told) -> None:
    results = hear(told, clip(told.sound)[: 2 * int(told.seconds * 16_000)], Guards())
    assert [(r.text, r.suppressed) for r in results] == [(told.text, "")] * 2


def test_every_guard_has_sounds_that_it_alone_takes() -> None:
    assert {told.verdict for told in SOUNDS} == set(Guards.__struct_fields__)
