"""The bundled model through the batched path; what is particular to CTranslate2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hotmic.engines import guard
from hotmic.engines.engine import Engine
from hotmic.engines.whisper import are_alignable
from hotmic.errors import EngineFailed
from hotmic.values import DecodeJob, DecodeOptions

pytestmark = pytest.mark.integration
Build = Callable[..., DecodeJob]
Clip = Callable[[str], bytes]


def test_partials_hear_the_same(whisper: Engine, job: Build, clip: Clip, texts: dict[str, str]) -> None:
    names = ["timer", "lights_kitchen", "order_latte", "digits_five"]
    results = whisper.decode([job(clip(name), name, kind="partial") for name in names])
    assert [r.text for r in results] == [texts[name] for name in names]
    assert all(r.no_speech_probability < 0.2 and r.average_logprob > -0.5 for r in results)


def test_windows_at_the_length_of_features_are_not_encoded_twice(
    engine: Callable[..., Engine], job: Build, clip: Clip, texts: dict[str, str]
) -> None:
    # 160 mel frames become 80 encoder frames, as many as there are mel filters.
    start = clip("digits_five")[: 2 * 25_600]
    for floor in (1.6, 1.7):
        (result,) = engine("faster_whisper", min_window_s=floor).decode([job(start, kind="partial")])
        assert result.text.startswith("seven three one")
        assert texts["digits_five"].startswith(result.text)


def test_rows_of_equal_length_are_aligned_rightly(whisper: Engine, job: Build, clip: Clip) -> None:
    # CTranslate2 mixes up rows of equal frames and unequal texts.
    length = 2 * 72_000
    pcm = [clip(name)[:length] for name in ("lights_kitchen", "order_coffee", "phone_number", "timer")]
    pcm = [audio + bytes(length - len(audio)) for audio in pcm]
    jobs = [job(audio, str(i), word_times=True) for i, audio in enumerate(pcm)]
    together = whisper.decode(jobs)
    assert len({len(r.words) for r in together}) == 4
    assert [r.words for r in together] == [whisper.decode([one])[0].words for one in jobs]


def test_which_rows_may_be_aligned_together() -> None:
    start = [[1, 2], [1, 2]]
    assert are_alignable(start, [[5], [6]], [100, 100])
    assert are_alignable(start, [[5], [6, 7]], [100, 102])
    assert not are_alignable(start, [[5], [6, 7]], [100, 101])
    assert not are_alignable([[1, 2], [1, 3]], [[5], [6]], [100, 200])


def test_word_times_follow_the_audio(whisper: Engine, job: Build, clip: Clip) -> None:
    audio = clip("lights_kitchen")
    plain = whisper.decode([job(audio, word_times=True)])[0].words
    later = whisper.decode([job(bytes(2 * 16_000) + audio, word_times=True)])[0].words
    assert [w.word for w in plain] == [w.word for w in later]
    shifts = [b.start - a.start for a, b in zip(plain, later, strict=True)]
    assert all(0.8 < shift < 1.2 for shift in shifts)


def test_rows_may_have_different_languages(engine: Callable[..., Engine], job: Build, clip: Clip) -> None:
    several = engine("faster_whisper", languages=("multilingual",))
    assert {"en", "de"} <= set(several.capabilities.languages)
    options = [DecodeOptions(language="en"), DecodeOptions(language="de"), DecodeOptions()]
    results = several.decode([job(clip("timer"), str(i), options=o, word_times=True) for i, o in enumerate(options)])
    assert [r.language for r in results[:2]] == ["en", "de"]
    assert results[2].language in several.capabilities.languages
    assert not any(r.error_code for r in results)


def test_unknown_languages_fail_alone(whisper: Engine, job: Build, clip: Clip, texts: dict[str, str]) -> None:
    good, bad = whisper.decode([job(clip("timer")), job(clip("timer"), options=DecodeOptions(language="xx"))])
    assert good.text == texts["timer"]
    assert (bad.error_code, bad.error_message) == ("engine_failed", "This model does not know the language 'xx'.")


def test_prompts_of_different_lengths_share_a_call(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str]
) -> None:
    prompts = ["", "good morning everyone", "set a timer for ten minutes", "please open the document " * 40]
    options = [DecodeOptions(prompt=prompt) for prompt in prompts] + [DecodeOptions(hotwords=("timer", "minutes"))]
    results = whisper.decode([job(clip("timer"), str(i), kind="partial", options=o) for i, o in enumerate(options)])
    assert [r.text for r in results[:3]] == [texts["timer"]] * 3
    assert not any(r.error_code for r in results)


def test_a_failing_batch_is_decoded_row_by_row(
    whisper: Any, job: Build, clip: Clip, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = whisper._model

    class Brittle:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def encode(self, features: Any) -> Any:
            if len(features.shape) and features.shape[0] > 1:
                raise RuntimeError("CUDA out of memory at /secret/path")
            return model.encode(features)

    monkeypatch.setattr(whisper, "_model", Brittle())
    results = whisper.decode([job(clip("timer"), "a"), job(clip("lights_off"), "b")])
    assert [r.text for r in results] == [texts["timer"], texts["lights_off"]]


def test_a_row_that_fails_alone_says_nothing_of_the_inside(
    whisper: Any, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_: Any) -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(whisper, "_model", type("Broken", (), {"encode": staticmethod(explode)})())
    (result,) = whisper.decode([job(clip("timer"))])
    assert result.error_code == "engine_failed"
    assert "secret" not in result.error_message


def test_finals_in_a_loop_get_another_try(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter(["loop", "", "loop", "loop"])
    monkeypatch.setattr(guard, "judge", lambda _: next(verdicts))
    (mended,) = whisper.decode([job(clip("timer"), word_times=True)])
    assert (mended.text, mended.suppressed) == (texts["timer"], "")
    (lost,) = whisper.decode([job(clip("timer"), word_times=True)])
    assert (lost.text, lost.words, lost.suppressed) == ("", (), "loop")


def test_partials_in_a_loop_get_none(whisper: Engine, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter(["loop"])
    monkeypatch.setattr(guard, "judge", lambda _: next(verdicts))
    assert whisper.decode([job(clip("timer"), kind="partial")])[0].suppressed == "loop"


def test_text_is_capped_by_duration(whisper: Engine, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "token_limit", lambda _seconds, *, dense: 2)
    (result,) = whisper.decode([job(clip("timer"), kind="partial")])
    assert (result.text, result.suppressed) == ("", "token_rate")


def test_windows_past_the_longest_bucket_are_cut(whisper: Engine, job: Build, clip: Clip) -> None:
    (result,) = whisper.decode([job(clip("timer") + bytes(2 * 16_000 * 40), word_times=True)])
    assert result.error_code == ""


def test_noise_gives_no_text(whisper: Engine, job: Build) -> None:
    rng = np.random.default_rng(5)
    jobs = [job(rng.normal(0, level, 32_000).astype("<i2").tobytes(), str(level)) for level in (10, 100, 1000)]
    assert [r.text for r in whisper.decode(jobs)] == [""] * 3


def test_repeated_calls_agree(whisper: Engine, job: Build, clip: Clip) -> None:
    one, two = (
        msgspec.structs.replace(whisper.decode([job(clip("flight"), word_times=True)])[0], decode_s=0.0) for _ in "ab"
    )
    assert one == two


def test_what_is_no_model_is_refused(engine: Callable[..., Engine], tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        engine("faster_whisper", tmp_path)
    (tmp_path / "model.bin").write_bytes(b"nonsense" * 100)
    with pytest.raises(EngineFailed, match="cannot be loaded"):
        engine("faster_whisper", tmp_path)
