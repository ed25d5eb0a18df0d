"""What every engine keeps, the fake included."""

from collections.abc import Callable

import msgspec
import pytest

from hotmic.engines.engine import Engine
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeOptions

Heard = tuple[Engine, list[tuple[bytes, str]]]
Build = Callable[..., DecodeJob]


def timeless(results: list[object]) -> list[object]:
    return [msgspec.structs.replace(result, decode_s=0.0) for result in results]  # type: ignore[type-var]


def test_one_result_per_job_in_order(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    jobs = [job(audio, f"j{i}") for i, (audio, _) in enumerate(pieces * 3)]
    results = engine.decode(jobs)
    assert [r.job_id for r in results] == [j.job_id for j in jobs]
    assert [r.text for r in results] == [text for _, text in pieces * 3]
    assert all(r.language == "en" and not r.error_code and r.decode_s > 0 for r in results)


def test_company_changes_nothing(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    jobs = [job(audio, f"j{i}", word_times=True) for i, (audio, _) in enumerate(pieces)]
    together = engine.decode([*jobs, job(pieces[0][0], "p", kind="partial")])[:-1]
    alone = [engine.decode([one])[0] for one in jobs]
    for one, other in zip(together, alone, strict=True):
        assert (one.text, one.words) == (other.text, other.words)


def test_no_jobs_no_results(heard: Heard) -> None:
    assert heard[0].decode([]) == []


@pytest.mark.parametrize("length", [0, 2, 200, 3198])
def test_windows_too_short_for_a_word_are_empty(heard: Heard, job: Build, length: int) -> None:
    (result,) = heard[0].decode([job(b"\1\0" * (length // 2))])
    assert (result.text, result.words, result.error_code) == ("", (), "")


def test_silence_has_no_text(heard: Heard, job: Build) -> None:
    (result,) = heard[0].decode([job(bytes(2 * 2 * SAMPLE_RATE))])
    assert result.text == ""


def test_half_a_sample_fails_alone(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    audio, text = pieces[0]
    bad, good = engine.decode([job(audio + b"x", "bad"), job(audio, "good")])
    assert (bad.error_code, bad.text) == ("engine_failed", "")
    assert (good.error_code, good.text) == ("", text)


def test_words_lie_in_the_window_in_order(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    for audio, text in pieces:
        (result,) = engine.decode([job(audio, word_times=True)])
        assert [word.word for word in result.words] == text.split()
        times = [time for word in result.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= len(audio) / 2 / SAMPLE_RATE
        assert all(0 <= word.probability <= 1 for word in result.words)


def test_words_come_only_when_asked_for(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    assert engine.decode([job(pieces[0][0])])[0].words == ()


def test_different_options_share_a_call(heard: Heard, job: Build) -> None:
    engine, pieces = heard
    audio, text = pieces[0]
    options = [DecodeOptions(), DecodeOptions(beam=2), DecodeOptions(language="en")]
    results = engine.decode([job(audio, f"j{i}", options=o) for i, o in enumerate(options)])
    assert [r.text for r in results] == [text] * 3


def test_warm_up_ends_at_one(heard: Heard) -> None:
    told: list[float] = []
    heard[0].warm_up(told.append)
    assert told[-1] == 1.0


def test_capabilities(heard: Heard) -> None:
    capabilities = heard[0].capabilities
    # The fake hears any language.
    assert capabilities.languages in ((), ("en",))
    assert (capabilities.batch, capabilities.max_window) == (4, 28.0)
