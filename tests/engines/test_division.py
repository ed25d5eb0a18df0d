"""Texts and probabilities are made up per stretch, so that the likeliest division is known."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.engines.division import EVEN_ODDS, ODDS, SHORTEST, decode_divided
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeOptions, DecodeResult, Pause, Word

SECOND = SAMPLE_RATE
Span = tuple[int, int]


class Ear:
    """Decodes by a table from stretches, in seconds since the session began, to results."""

    def __init__(self, heard: dict[tuple[float, float], DecodeResult]) -> None:
        self.heard = heard
        self.batches: list[list[tuple[float, float]]] = []

    def __call__(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        spans = [(job.start / SECOND, (job.start + len(job.samples) // 2) / SECOND) for job in jobs]
        self.batches.append(spans)
        return [
            msgspec.structs.replace(self.heard[span], job_id=job.job_id, decode_s=0.25)
            for job, span in zip(jobs, spans, strict=True)
        ]


def job(start: float, stop: float, *pauses: tuple[float, float], job_id: str = "j", alternatives: int = 0) -> DecodeJob:
    """Of so many seconds, with pauses as middle and length from its start."""
    return DecodeJob(
        job_id=job_id,
        session_id="s",
        segment_id="s/1",
        kind="final",
        samples=bytes(2 * int((stop - start) * SECOND)),
        start=int(start * SECOND),
        deadline=0.0,
        options=DecodeOptions(alternatives=alternatives),
        pauses=tuple(Pause(middle=int(middle * SECOND), length=int(length * SECOND)) for middle, length in pauses),
    )


def said(text: str, logprob: float, **more: object) -> DecodeResult:
    result = DecodeResult(job_id="", text=text, average_logprob=logprob / 4, tokens=4)
    return msgspec.structs.replace(result, **more)


def word(text: str, start: float, end: float) -> Word:
    return Word(word=text, start=start, end=end, probability=0.9)


def test_a_window_without_pauses_is_decoded_as_it_is() -> None:
    ear = Ear({(0, 4): said("turn on", -3.0)})
    (result,) = decode_divided([job(0, 4)], ear)
    assert (result.text, ear.batches) == ("turn on", [[(0, 4)]])


def test_two_sentences_are_told_apart_where_that_is_likelier() -> None:
    ear = Ear(
        {
            (5, 9): said("turn on to day", -4.0, alternatives=("turn on two",), language="en"),
            (5, 7): said("turn on", -0.5, words=(word("turn", 0.1, 0.5), word("on", 0.6, 0.9)), language="en"),
            (7, 9): said("today", -0.7, words=(word("today", 0.2, 1.0),), no_speech_probability=0.4, language="en"),
        }
    )
    (result,) = decode_divided([job(5, 9, (2, 0.21), alternatives=2)], ear)
    assert ear.batches == [[(5, 9)], [(5, 7), (7, 9)]]
    assert result == DecodeResult(
        job_id="j",
        text="turn on today",
        words=(word("turn", 0.1, 0.5), word("on", 0.6, 0.9), word("today", 2.2, 3.0)),
        language="en",
        alternatives=("turn on to day", "turn on two"),
        average_logprob=-1.2 / 8,
        tokens=8,
        decode_s=0.5,
    )


def test_parts_are_in_the_language_of_the_whole_and_cost_no_further_tries() -> None:
    heard: list[DecodeJob] = []

    def decode(jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        heard.extend(jobs)
        return [
            said(f"{len(job.samples)}", -1.0 * len(job.samples), language="fr" if job.pauses else "en") for job in jobs
        ]

    (result,) = decode_divided([job(0, 4, (2, 0.3))], decode)
    assert [(j.options.language, j.options.fallback, len(j.pauses)) for j in heard] == [
        (None, True, 1),
        ("fr", False, 0),
        ("fr", False, 0),
    ]
    assert result.language == "fr"


@pytest.mark.parametrize(("length", "text"), [(0.02, "a b"), (0.21, "a b"), (0.3, "a. b.")])
def test_the_longer_the_pause_the_more_it_divides(length: float, text: str) -> None:
    ear = Ear({(0, 4): said("a b", -1.0), (0, 2): said("a.", -0.6), (2, 4): said("b.", -0.6)})
    (result,) = decode_divided([job(0, 4, (2, length))], ear)
    assert result.text == text


def test_nothing_more_is_decoded_where_no_division_can_be_likelier() -> None:
    ear = Ear({(0, 4): said("whole", -0.1)})
    assert decode_divided([job(0, 4, (1, 0.1), (2, 0.13))], ear)[0].text == "whole"
    assert len(ear.batches) == 1


@pytest.mark.parametrize(
    "part",
    [
        DecodeResult(job_id="", error_code="engine_failed", error_message="No."),
        DecodeResult(job_id="", suppressed="no_speech", average_logprob=-0.01),
    ],
)
def test_a_part_without_a_text_divides_nothing(part: DecodeResult) -> None:
    ear = Ear({(0, 4): said("whole", -9.0), (0, 2): said("left", -0.1), (2, 4): part})
    (result,) = decode_divided([job(0, 4, (2, 0.2))], ear)
    assert (result.text, result.error_code) == ("whole", "")


@pytest.mark.parametrize(
    "whole",
    [
        DecodeResult(job_id="", error_code="engine_failed", error_message="No."),
        DecodeResult(job_id="", suppressed="no_speech", average_logprob=-9.0, tokens=4),
    ],
)
def test_a_window_without_a_text_is_not_searched_for_one(whole: DecodeResult) -> None:
    ear = Ear({(0, 4): whole})
    (result,) = decode_divided([job(0, 4, (2, 0.2))], ear)
    assert (result.text, result.suppressed, result.error_code) == ("", whole.suppressed, whole.error_code)


def test_jobs_of_one_batch_keep_their_places() -> None:
    heard = {(0, 4): said("w", -0.01), (8, 12): said("w", -9.0), (20, 22): said("alone", -9.0)}
    heard |= {(8, 10): said("left", -0.1), (10, 12): said("right", -0.1)}
    ear = Ear(heard)
    jobs = [job(0, 4, (2, 0.1), job_id="1"), job(8, 12, (2, 0.1), job_id="2"), job(20, 22, job_id="3")]
    results = decode_divided(jobs, ear)
    assert [(r.job_id, r.text, r.decode_s) for r in results] == [
        ("1", "w", 0.5),
        ("2", "left right", 0.5),
        ("3", "alone", 0.5),
    ]
    assert len(ear.batches) == 2


@given(
    st.lists(st.tuples(st.integers(1, 59), st.floats(0.05, 0.25)), min_size=1, max_size=4, unique_by=lambda p: p[0]),
    st.randoms(use_true_random=False),
)
def test_no_other_division_is_likelier(pauses: list[tuple[int, float]], random: object) -> None:
    """Against all divisions there are, with probabilities at random: what is not decoded loses nothing."""
    window = job(0, 6, *((tenth / 10, length) for tenth, length in sorted(pauses)))
    edges = [0, *(pause.middle for pause in window.pauses), 6 * SECOND]
    odds = {pause.middle: ODDS * (pause.length / SECOND - EVEN_ODDS) for pause in window.pauses}
    spans = list(combinations(edges, 2))
    scores = {span: -random.random() * 2 for span in spans}  # type: ignore[attr-defined]
    ear = Ear({(a / SECOND, b / SECOND): said(f"{a}-{b}", scores[a, b]) for a, b in spans})
    (result,) = decode_divided([window], ear)

    def score(way: Sequence[Span]) -> float:
        return sum(scores[span] + odds.get(span[1], 0.0) for span in way)

    ways = [
        list(pairwise([0, *inner, 6 * SECOND]))
        for count in range(len(pauses) + 1)
        for inner in combinations(edges[1:-1], count)
    ]
    possible = [way for way in ways if len(way) == 1 or all(b - a >= SHORTEST for a, b in way)]
    best = max(possible, key=score)
    assert result.text == " ".join(f"{a}-{b}" for a, b in best)
