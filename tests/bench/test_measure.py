"""Figures of made-up conversations, every one of them counted by hand."""

from typing import Any

import pytest

from hotmic.bench.measure import Heard, Record, Words, drift_of, keys, measure_stream, measure_words, percentiles
from hotmic.bench.voice import Utterance


def partial(at: float, stable: str, unstable: str = "", *, segment: str = "s-1", lag_ms: int = 20) -> Heard:
    text = (stable + unstable).strip()
    message = {"text": text, "stable": stable, "unstable": unstable, "segment_id": segment, "lag_ms": lag_ms}
    return Heard(at, {"type": "realtime_transcription", "cadence_ms": 300, **message})


def final(at: float, text: str, start: float, end: float, *, segment: str = "s-1", revised: bool = False) -> Heard:
    units = text.split()
    step = (end - start) / max(1, len(units))
    words = [{"word": w, "start": start + i * step, "end": start + (i + 1) * step} for i, w in enumerate(units)]
    message: dict[str, Any] = {"text": text, "words": words, "start": start, "end": end, "segment_id": segment}
    more = {"lag_ms": 15, "processing_time": 0.01, "duration": end - start, "revised": revised}
    return Heard(at, {"type": "final_transcription", **message, **more})


def ended(at: float, segment: str = "s-1", *, start: float = 0.8, end: float = 3.2) -> Heard:
    return Heard(at, {"type": "speech_ended", "segment_id": segment, "start": start, "end": end})


def started(at: float, segment: str = "s-1") -> Heard:
    return Heard(at, {"type": "speech_started", "segment_id": segment})


def record(*heard: Heard, utterances: tuple[Utterance, ...], **more: Any) -> Record:
    return Record(0, utterances, 20.0, heard=list(heard), is_finished=True, **more)


ONE = (Utterance("turn on the lights", ((1.0, 3.0),)),)


def test_a_final_counts_from_the_schedule_of_the_audio() -> None:
    figures = measure_stream(
        record(ended(3.7), final(3.75, "turn on the lights", 0.8, 3.2), utterances=ONE), endpoint_delay=0.6
    )
    assert figures.after_speech == [(3.75, pytest.approx(0.75))]
    assert figures.after_endpoint == [(3.75, pytest.approx(0.15))]
    assert figures.daemon_lag == [(3.75, 0.015)]
    assert (figures.finals, figures.unheard, figures.unspoken, figures.duplicates) == (1, 0, 0, 0)
    assert (figures.word_errors, figures.reference_words, figures.texts) == (0, 4, [])


def test_an_endpoint_that_came_early_does_not_flatter() -> None:
    figures = measure_stream(
        record(ended(3.2), final(3.5, "turn on the lights", 0.8, 3.1), utterances=ONE), endpoint_delay=0.6
    )
    assert figures.after_endpoint == [(3.5, pytest.approx(0.3))]


def test_a_late_notice_of_the_endpoint_does_not_flatter() -> None:
    figures = measure_stream(
        record(ended(5.0), final(5.1, "turn on the lights", 0.8, 3.1), utterances=ONE), endpoint_delay=0.6
    )
    assert figures.after_endpoint == [(5.1, pytest.approx(1.5))]


def test_a_partial_is_as_old_as_its_lag_and_the_way() -> None:
    figures = measure_stream(
        record(
            partial(1.0, "", "turn", lag_ms=20),
            partial(2.5, "turn", " on", lag_ms=30),
            final(3.7, "turn on the lights", 0.8, 3.2),
            utterances=ONE,
            round_trips=[(1.5, 0.004), (2.4, 0.5)],
        ),
        endpoint_delay=0.6,
    )
    assert figures.partial_age == [(1.0, pytest.approx(0.024)), (2.5, pytest.approx(0.53))]
    assert (figures.partials, figures.cadence) == (2, [0.3, 0.3])


def test_a_withdrawn_text_has_no_age() -> None:
    figures = measure_stream(record(partial(1.0, ""), utterances=ONE), endpoint_delay=0.6)
    assert (figures.partials, figures.partial_age) == (1, [])


def test_lost_doubled_and_invented_text_is_counted() -> None:
    said = (*ONE, Utterance("good morning", ((6.0, 7.0),)), Utterance("set a timer", ((10.0, 11.0),)))
    figures = measure_stream(
        record(
            final(3.7, "turn on the lights", 0.8, 3.2),
            final(3.8, "turn on the lights", 0.8, 3.2),
            final(5.0, "thank you", 4.0, 4.5, segment="s-2"),
            final(11.7, "set the timer", 9.8, 11.2, segment="s-3", revised=True),
            utterances=said,
        ),
        endpoint_delay=0.6,
    )
    assert (figures.utterances, figures.finals, figures.revised) == (3, 3, 1)
    assert (figures.unheard, figures.duplicates, figures.unspoken) == (1, 1, 1)
    # "good morning" is missing, "thank you" too much, "a" is "the".
    assert (figures.word_errors, figures.reference_words) == (2 + 2 + 1, 4 + 2 + 3)
    assert len(figures.after_endpoint) == 2


def test_an_utterance_in_two_segments_is_compared_whole() -> None:
    figures = measure_stream(
        record(final(2.5, "turn on", 0.8, 2.0), final(3.7, "the lights", 2.0, 3.2, segment="s-2"), utterances=ONE),
        endpoint_delay=0.6,
    )
    assert (figures.word_errors, figures.reference_words, figures.unheard) == (0, 4, 0)


def test_two_utterances_in_one_segment_are_compared_whole() -> None:
    said = (*ONE, Utterance("good morning", ((3.3, 4.0),)))
    figures = measure_stream(
        record(final(4.7, "turn on the lights good morning", 0.8, 4.2), utterances=said), endpoint_delay=0.6
    )
    assert (figures.word_errors, figures.reference_words, figures.unheard) == (0, 6, 0)


def test_speech_without_a_reference_is_timed_only() -> None:
    said = (Utterance("", ((1.0, 3.0),)),)
    figures = measure_stream(record(final(3.7, "who knows", 0.8, 3.2), utterances=said), endpoint_delay=0.6)
    assert (figures.word_errors, figures.reference_words, len(figures.after_speech)) == (0, 0, 1)


def test_errors_are_counted_by_code() -> None:
    figures = measure_stream(record(utterances=ONE, errors=["overloaded", "closed", "closed"]), endpoint_delay=0.6)
    assert figures.errors == {"overloaded": 1, "closed": 2}
    assert figures.unheard == 1


def measured(last: Heard, *partials: Heard) -> Words:
    words = Words()
    measure_words(words, last, partials)
    return words


def test_words_are_timed_from_their_true_ends() -> None:
    words = measured(
        final(3.7, "turn on the lights", 1.0, 3.0),
        partial(1.8, "", "turn"),
        partial(2.4, "turn", " on"),
        partial(2.8, "turn on", " the"),
    )
    assert words.first_shown == [
        (1.5, pytest.approx(0.3)),
        (2.0, pytest.approx(0.4)),
        (2.5, pytest.approx(0.3)),
        (3.0, pytest.approx(0.7)),
    ]
    assert [much for _, much in words.stable] == pytest.approx([0.9, 0.8, 1.2, 0.7])
    assert words.first_of_segment == [(1.0, pytest.approx(0.8))]
    assert (words.count, words.unstable_wrong, words.stable_wrong, words.retracted) == (4, 0, 0, 0)


def test_words_shown_otherwise_flicker_in_the_part_they_were_in() -> None:
    words = measured(
        final(3.7, "turn on the lights", 1.0, 3.0),
        partial(1.8, "", "burn on"),
        partial(2.4, "turn on", " a light"),
        partial(2.8, "turn on a", " lights"),
    )
    # "burn", "a" and "light" as unstable words; "a" as a stable one.
    assert (words.unstable_wrong, words.stable_wrong) == (3, 1)
    # "burn", "light" and "a" went from the display.
    assert words.retracted == 3


def test_a_wrong_stable_word_is_none_of_the_unstable_part() -> None:
    words = measured(final(3.7, "turn on the", 1.0, 2.0), partial(1.8, "turn on a"))
    assert (words.unstable_wrong, words.stable_wrong) == (0, 1)


def test_words_that_nobody_replaced_were_retracted_all_the_same() -> None:
    words = measured(final(3.7, "turn on", 1.0, 2.0), partial(1.8, "turn on", " on"))
    assert (words.unstable_wrong, words.stable_wrong, words.retracted) == (0, 0, 1)


def test_stable_words_said_twice_are_wrong() -> None:
    words = measured(final(3.7, "coffee with cream", 1.0, 2.0), partial(1.8, "coffee with with", " cream"))
    assert words.stable_wrong == 1


def test_a_tail_not_shown_yet_is_no_flicker() -> None:
    words = measured(final(3.7, "one two three four five", 1.0, 2.0), partial(1.8, "", "one too"))
    assert words.unstable_wrong == 1


def test_case_and_punctuation_do_not_flicker() -> None:
    words = measured(final(3.7, "Turn on, please.", 1.0, 2.5), partial(1.8, "turn", " on please"))
    assert (words.unstable_wrong, words.stable_wrong, words.retracted) == (0, 0, 0)


def test_a_script_without_spaces_is_followed_by_clusters() -> None:
    assert len(keys("ไปกิน")) == 3
    last = final(3.7, "ไปกิน", 1.0, 2.0)
    words = measured(last, partial(1.5, "", "ไป"))
    assert [at for at, _ in words.first_shown] == [2.0, 2.0, 2.0]
    assert [much for _, much in words.first_shown] == pytest.approx([-0.5, 1.7, 1.7])


def test_partials_that_never_come_make_a_gap() -> None:
    figures = measure_stream(
        record(
            started(1.0),
            partial(1.4, "", "turn"),
            ended(3.7),
            final(3.75, "turn on the lights", 0.8, 3.2),
            utterances=ONE,
        ),
        endpoint_delay=0.6,
    )
    assert figures.partial_gap == [(1.4, pytest.approx(0.4)), (3.7, pytest.approx(2.3))]


def test_a_segment_without_a_final_is_lost_and_all_it_showed_taken_back() -> None:
    figures = measure_stream(
        record(started(1.0), partial(1.4, "turn on", " the"), ended(3.7), utterances=ONE), endpoint_delay=0.6
    )
    assert (figures.lost, figures.unheard) == (1, 1)
    assert (figures.words.stable_wrong, figures.words.retracted) == (2, 3)
    elsewhere = record(ended(9.0, start=8.0, end=8.5), utterances=ONE)
    assert measure_stream(elsewhere, endpoint_delay=0.6).lost == 0


def test_percentiles() -> None:
    assert percentiles([]) == {"count": 0}
    assert percentiles(value / 100 for value in range(101)) == {
        "count": 101,
        "mean": 0.5,
        "p50": 0.5,
        "p95": 0.95,
        "p99": 0.99,
        "max": 1.0,
    }


@pytest.mark.parametrize("slope", [0.01, 0.0, -0.005])
def test_drift_is_what_was_grown_over_the_run(slope: float) -> None:
    noise = [0.02, -0.02, 0.01, -0.01] * 30
    latencies = [(second, 0.7 + slope * second + noise[second]) for second in range(120)]
    found = drift_of(latencies, 120.0)
    assert found["grown_s"] == pytest.approx(slope * 120, abs=0.01)
    assert abs(found["grown_at_least_s"]) <= abs(found["grown_s"])
    assert (found["grown_at_least_s"] > 0.1) == (slope > 0)


def test_a_few_scattered_values_prove_no_drift() -> None:
    found = drift_of([(0.0, 0.7), (10.0, 0.9), (20.0, 0.6), (30.0, 1.0)], 30.0)
    assert found["grown_s"] > 0.1
    assert found["grown_at_least_s"] == 0.0


def test_too_few_values_show_no_drift() -> None:
    assert drift_of([(1.0, 0.1), (2.0, 0.9)], 60.0) == {"grown_s": 0.0, "grown_at_least_s": 0.0}
    assert drift_of([(1.0, 0.1)] * 5, 60.0) == {"grown_s": 0.0, "grown_at_least_s": 0.0}
