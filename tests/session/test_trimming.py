"""Partials of long segments: short windows, no word doubled or lost, in spaced and unspaced scripts."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hotmic.audio.segmenter import Segmenter
from hotmic.commands import Configure, SessionOptions
from hotmic.events import Event, FinalTranscribed, PartialTranscribed, WarningRaised
from hotmic.policies.align_att import AlignAtt
from hotmic.policies.joining import text_of
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.policies.policy import Policy
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult, PolicyName, Word
from session_support import Bench, LoudVad, loud, quiet

ENGLISH = ["turn", "on", "the", "kitchen", "light", "no", "two", "seven", "please", "latte"]
THAI = ["เปิด", "ไฟ", "ใน", "ครัว", "น้ำ", "สอง", "กรุณา", "ที่", "บ้าน", "มาก"]
CHINESE = ["打开", "厨房", "的", "灯", "二", "七", "请", "咖啡", "大", "杯"]
JAPANESE = ["台所", "の", "電気", "を", "つけて", "ください", "コーヒー", "二", "つ", "です"]
POLICIES: dict[str, Callable[[], Policy]] = {"local_agreement": LocalAgreement, "align_att": lambda: AlignAtt(WORD_S)}

CHUNK = SAMPLE_RATE // 10
WORD_S = 0.5
LEAD = 0.3
"""Seconds of silence before the first word."""


def answer(job: DecodeJob, texts: list[str]) -> DecodeResult:
    """Hear every word whose middle is in the window, and only half of a word at its end."""
    start, stop = job.start / SAMPLE_RATE, job.start / SAMPLE_RATE + len(job.samples) / 2 / SAMPLE_RATE
    words = []
    for number, text in enumerate(texts):
        begin, end = LEAD + number * WORD_S, LEAD + (number + 0.9) * WORD_S
        if start <= (begin + end) / 2 < stop:
            heard = text if end <= stop else "um"
            span = max(0.0, begin - start), min(end, stop) - start
            words.append(Word(word=heard, start=span[0], end=span[1], probability=0.9))
    told = tuple(words) if job.word_times else ()
    return DecodeResult(job_id=job.job_id, text=text_of(words), words=told, language="xx", language_probability=0.9)


def talk(texts: list[str], build: Callable[[], Policy], *, delay: int = 0) -> tuple[list[DecodeJob], list[Event]]:
    """Say words without a pause; jobs are answered ``delay`` chunks after they were asked."""

    def build_policy(name: PolicyName | None) -> Policy:
        return build() if name is None else LocalAgreement()

    session = Session(
        "s-1",
        channel="default",
        settings=SessionSettings(),
        options=SessionOptions(),
        build_segmenter=lambda _: Segmenter(
            LoudVad(), min_speech=1536, min_silence=9600, pre_roll=4800, hang_over=3200, max_segment=40 * SAMPLE_RATE
        ),
        build_policy=build_policy,
    )
    session.receive_model("model-a", Capabilities(max_window=19.0))
    speech = np.full(int(len(texts) * WORD_S * SAMPLE_RATE), 8000, np.int16)
    silence = np.zeros(SAMPLE_RATE, np.int16)
    audio = np.concatenate([silence[: int(LEAD * SAMPLE_RATE)], speech, silence])
    jobs: list[DecodeJob] = []
    events: list[Event] = []
    waiting: list[tuple[int, DecodeJob]] = []
    for number in range(len(audio) // CHUNK + delay + 1):
        chunk = audio[number * CHUNK : (number + 1) * CHUNK]
        if len(chunk):
            session.receive_audio(chunk.tobytes(), now=number * 0.1)
        asked = session.jobs_to_run()
        jobs += asked
        waiting += [(number + delay, job) for job in asked]
        for due, job in list(waiting):
            if due <= number:
                waiting.remove((due, job))
                session.receive_result(answer(job, texts), now=number * 0.1)
        events += session.events_to_send()
    return jobs, events


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("vocabulary", [ENGLISH, THAI, CHINESE, JAPANESE])
@given(data=st.data())
@settings(max_examples=5, deadline=None, phases=[Phase.generate])
def test_nothing_is_doubled_or_lost(policy: str, vocabulary: list[str], data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.sampled_from(vocabulary), min_size=24, max_size=50))
    jobs, events = talk(texts, POLICIES[policy], delay=data.draw(st.integers(0, 6)))
    spoken = text_of(texts)
    partials = [event for event in events if isinstance(event, PartialTranscribed)]
    assert all(spoken.startswith(partial.stable.strip()) for partial in partials)
    assert partials[-1].text.removesuffix("um").strip() in spoken
    assert len(partials[-1].stable) > len(spoken) / 2
    assert all(later.stable.startswith(earlier.stable) for earlier, later in itertools.pairwise(partials))
    (final,) = (event for event in events if isinstance(event, FinalTranscribed))
    assert final.text == spoken
    assert not final.revised
    longest = max(len(job.samples) / 2 / SAMPLE_RATE for job in jobs if job.kind == "partial")
    assert longest < 9


def test_the_text_before_a_trimmed_window_goes_with_it() -> None:
    jobs, _ = talk(ENGLISH * 3, LocalAgreement)
    trimmed = [job for job in jobs if job.kind == "partial" and job.previous]
    assert trimmed
    assert all(text_of(ENGLISH * 3).startswith(job.previous) for job in trimmed)
    assert all(not job.previous for job in jobs if job.kind == "final")


def test_a_final_hears_the_whole_segment() -> None:
    jobs, _ = talk(ENGLISH * 3, LocalAgreement)
    (final,) = [job for job in jobs if job.kind == "final"]
    assert len(final.samples) / 2 / SAMPLE_RATE > len(ENGLISH * 3) * WORD_S


def test_short_partials_ask_for_no_times() -> None:
    jobs, _ = talk(ENGLISH, LocalAgreement)
    assert not any(job.word_times for job in jobs if job.kind == "partial" and len(job.samples) < 4 * 2 * SAMPLE_RATE)


def test_attention_asks_for_times_at_once() -> None:
    jobs, _ = talk(ENGLISH, AlignAtt)
    assert all(job.word_times for job in jobs)


def test_a_model_without_times_falls_back_and_says_so() -> None:
    session = Session(
        "s-1",
        channel="default",
        settings=SessionSettings(),
        options=SessionOptions(policy="align_att"),
        build_segmenter=lambda _: Segmenter(
            LoudVad(), min_speech=1536, min_silence=9600, pre_roll=4800, hang_over=3200, max_segment=40 * SAMPLE_RATE
        ),
        build_policy=lambda name: AlignAtt() if name == "align_att" else LocalAgreement(),
    )
    session.receive_model("model-a", Capabilities(word_times=False))
    session.receive_audio(np.full(SAMPLE_RATE, 8000, np.int16).tobytes(), now=1.0)
    told = [event for event in session.events_to_send() if isinstance(event, WarningRaised)]
    assert [event.code for event in told] == ["no_word_times"]
    assert not any(job.word_times for job in session.jobs_to_run() if job.kind == "partial")


def languages_asked(bench: Bench, finals: list[tuple[str, float]], *, chosen: str | None = None) -> list[str | None]:
    """Say a word for each final, which is in this language and this sure; return what language its partials took."""
    asked = []
    for language, probability in finals:
        bench.hear(loud(1.0) + quiet(1.0))
        partials = {job.options.language for job in bench.jobs if job.kind == "partial"}
        assert len(partials) == 1
        asked += partials
        assert [job.options.language for job in bench.jobs if job.kind == "final"] == [chosen]
        for job in bench.jobs:
            # What a partial seems to be in teaches nothing, however sure it is.
            told = (language, probability) if job.kind == "final" else ("zz", 1.0)
            result = DecodeResult(job_id=job.job_id, text="word", language=told[0], language_probability=told[1])
            bench.session.receive_result(result, now=bench.now)
        bench.jobs.clear()
    return asked


@pytest.mark.parametrize(
    ("finals", "asked"),
    [
        ([("en", 0.5), ("en", 0.9), ("de", 0.9), ("de", 0.5)], [None, None, "en", "de", "de"]),
        ([("en", 0.9), ("de", 0.5), ("de", 0.5)], [None, "en", "en", "en"]),
        ([("en", 0.69), ("en", 0.7), ("th", 0.71), ("en", 1.0)], [None, None, "en", "th", "en"]),
        ([("", 1.0)], [None, None]),
    ],
)
def test_partials_take_the_language_of_the_newest_sure_final(
    finals: list[tuple[str, float]], asked: list[str | None]
) -> None:
    assert languages_asked(Bench(), [*finals, ("xx", 0.0)]) == asked


def test_a_chosen_language_holds_until_it_is_left_open_again() -> None:
    bench, finals = Bench(), [("en", 0.9), ("en", 0.9)]
    assert languages_asked(bench, finals) == [None, "en"]
    bench.session.receive_command(Configure(options=SessionOptions(language="th")), now=bench.now)
    assert languages_asked(bench, finals, chosen="th") == ["th", "th"]
    bench.session.receive_command(Configure(options=SessionOptions(language="")), now=bench.now)
    assert languages_asked(bench, finals) == [None, "en"]
