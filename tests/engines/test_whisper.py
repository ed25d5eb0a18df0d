"""The bundled model through the batched path; what is particular to CTranslate2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hotmic.config.model import Guards
from hotmic.engines import guard
from hotmic.engines.engine import Engine
from hotmic.engines.fallback import ATTEMPTS
from hotmic.engines.mel import FRAMES_PER_SECOND
from hotmic.engines.whisper import are_alignable, choose_language
from hotmic.engines.window import bucket_frames
from hotmic.errors import EngineFailed
from hotmic.values import DecodeJob, DecodeOptions
from sound import not_speech
from talker import Overheard

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
    pcm = [clip(name)[:length] for name in ("lights_kitchen", "order_coffee", "digits_five", "timer")]
    pcm = [audio + bytes(length - len(audio)) for audio in pcm]
    jobs = [job(audio, str(i), word_times=True) for i, audio in enumerate(pcm)]
    together = whisper.decode(jobs)
    assert len({len(r.words) for r in together}) > 1, "unequal texts"
    assert [r.words for r in together] == [whisper.decode([one])[0].words for one in jobs]


def test_the_reason_for_that_is_still_there(whisper: Any, clip: Clip, texts: dict[str, str]) -> None:
    # Raw CTranslate2: equal numbers of frames give a row the wrong path, one differing number none.
    names = ("lights_kitchen", "order_coffee", "digits_five", "timer")
    bank, storage = whisper._mel, whisper._storage
    features = np.zeros((4, bank.n_mels, 500), dtype=np.float32)
    for target, name in zip(features, names, strict=True):
        mel = bank.features(np.frombuffer(clip(name), dtype="<i2")[:72_000])
        target[:, : mel.shape[1]] = mel
    tokens = [whisper._vocabulary.encode(" " + texts[name]) for name in names]
    start = whisper._vocabulary.start_sequence("en", "transcribe")
    together = whisper._model.align(storage(features), start, tokens, [450] * 4)
    alone = [
        whisper._model.align(storage(np.ascontiguousarray(row[None])), start, [text], [450])[0]
        for row, text in zip(features, tokens, strict=True)
    ]
    assert [a.alignments for a in together] != [a.alignments for a in alone]
    assert not are_alignable([start] * 4, tokens, [450] * 4)
    mended = whisper._model.align(storage(features), start, tokens, [450, 450, 450, 446])
    assert [a.alignments for a in mended[:3]] == [a.alignments for a in alone[:3]]
    assert are_alignable([start] * 4, tokens, [450, 450, 450, 446])


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


def test_a_detected_language_comes_with_its_probability(
    engine: Callable[..., Engine], job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    several: Any = engine("faster_whisper", languages=("de", "en"))
    model = several._model

    class Torn:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def detect_language(self, encoded: Any) -> Any:
            return [[("<|fr|>", 0.5), ("<|en|>", 0.3), ("<|de|>", 0.1)]] * encoded.shape[0]

    monkeypatch.setattr(several, "_model", Torn())
    jobs = [job(clip("timer"), "open"), job(clip("timer"), "told", options=DecodeOptions(language="de"))]
    results = several.decode(jobs)
    assert [(r.language, r.language_probability) for r in results] == [("en", 0.75), ("de", 1.0)]
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


def test_finals_in_a_loop_get_other_tries(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter(["loop", "loop", ""])
    monkeypatch.setattr(guard, "judge", lambda _: next(verdicts))
    (mended,) = whisper.decode([job(clip("timer"), word_times=True)])
    assert (mended.text, mended.suppressed) == (texts["timer"], "")
    monkeypatch.setattr(guard, "judge", lambda _: "loop")
    overheard = Overheard(whisper, monkeypatch)
    (lost,) = whisper.decode([job(clip("timer"), word_times=True, options=DecodeOptions(prompt="hello", beam=2))])
    assert (lost.text, lost.words, lost.suppressed) == ("", (), "loop")
    first, *tries = overheard.calls
    assert not {"no_repeat_ngram_size", "repetition_penalty"} & first.settings.keys()
    asked = [(t.settings["no_repeat_ngram_size"], t.settings["repetition_penalty"]) for t in tries]
    assert asked == [(a.no_repeat_ngram, a.repetition_penalty) for a in ATTEMPTS]
    assert [t.settings["beam_size"] for t in tries] == [2 * a.widening for a in ATTEMPTS]
    assert [t.prompts == first.prompts for t in tries] == [a.prompted for a in ATTEMPTS]


class Tries:
    """Counts what the engine tries again."""

    def __init__(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places: list[list[int]] = []
        again = engine._try_again

        def note(batch: Any, places: list[int], attempt: Any) -> Any:
            self.places.append(list(places))
            return again(batch, places, attempt)

        monkeypatch.setattr(engine, "_try_again", note)


def test_unlikely_finals_are_tried_again_where_the_session_allows_it(
    whisper: Engine, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = Tries(whisper, monkeypatch)
    rng = np.random.default_rng(1)
    # Below its own level of noise this clip is guessed at, less likely than others.
    audio = (np.frombuffer(clip("digits_five"), dtype="<i2") + rng.normal(0, 3000, len(clip("digits_five")) // 2)).clip(
        -32768, 32767
    )
    pcm = audio.astype("<i2").tobytes()
    (first,) = whisper.decode([job(pcm, options=DecodeOptions(fallback=False))])
    monkeypatch.setattr(guard, "UNLIKELY", first.average_logprob + 1e-3)
    rows = [
        job(clip("timer"), "sure"),
        job(pcm, "unlikely"),
        job(pcm, "off", options=DecodeOptions(fallback=False)),
        job(pcm, "partial", kind="partial"),
    ]
    results = {r.job_id: r for r in whisper.decode(rows)}
    assert 1 <= len(tries.places) <= len(ATTEMPTS)
    assert all(len(places) == 1 for places in tries.places)
    assert results["off"].text == first.text
    assert results["unlikely"].average_logprob >= first.average_logprob
    assert results["unlikely"].text


def test_finals_are_the_same_on_every_lane(
    engine: Callable[..., Engine], job: Build, clip: Clip, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # With every final doubtful all tries are made, in other company and order each time.
    monkeypatch.setattr(guard, "UNLIKELY", 1.0)
    two = engine("faster_whisper", threads=2)
    tries = Tries(two, monkeypatch)
    names = list(texts)[:6]
    jobs = [job(clip(name), name, options=DecodeOptions(prompt="hello there", alternatives=1)) for name in names]
    seen = [{r.job_id: (r.text, r.alternatives) for r in two.decode(order)} for order in (jobs, jobs[::-1], jobs[:3])]
    assert len(tries.places) >= 3 * len(ATTEMPTS)
    assert seen[0] == seen[1]
    assert all(seen[0][name] == seen[2][name] for name in names[:3])


def test_alternatives_are_other_readings_of_finals(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str]
) -> None:
    jobs = [
        job(clip("order_coffee"), str(n), kind=kind, options=DecodeOptions(alternatives=n, beam=beam))
        for n, beam, kind in ((0, None, "final"), (2, None, "final"), (4, 1, "final"), (2, None, "partial"))
    ]
    results = whisper.decode(jobs)
    assert [r.text for r in results] == [texts["order_coffee"]] * 4
    assert [len(r.alternatives) for r in results] == [0, 2, 4, 0]
    assert all(len({r.text, *r.alternatives}) == 1 + len(r.alternatives) for r in results)


def test_partials_in_a_loop_get_none(whisper: Engine, job: Build, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter(["loop"])
    monkeypatch.setattr(guard, "judge", lambda _: next(verdicts))
    assert whisper.decode([job(clip("timer"), kind="partial")])[0].suppressed == "loop"


def test_windows_past_the_longest_bucket_are_cut(whisper: Engine, job: Build, clip: Clip) -> None:
    (result,) = whisper.decode([job(clip("timer") + bytes(2 * 16_000 * 40), word_times=True)])
    assert result.error_code == ""


def test_noise_gives_no_text(whisper: Engine, job: Build) -> None:
    rng = np.random.default_rng(5)
    jobs = [job(rng.normal(0, level, 32_000).astype("<i2").tobytes(), str(level)) for level in (10, 100, 1000)]
    assert [r.text for r in whisper.decode(jobs)] == [""] * 3


SOUNDS = ("silence", "white", "breath", "hum", "door", "music", "chord")


@pytest.mark.parametrize("kind", ["partial", "final"])
def test_doubtful_sounds_give_no_text(engine: Callable[..., Engine], job: Build, kind: str) -> None:
    """The model and its guards together; ``test_guard.py`` has what each guard does when a model talks on sounds."""
    guarded = engine("faster_whisper", beam=3)
    jobs = [
        job(
            not_speech(sound, level, seconds).tobytes(), f"{sound} {level} {seconds}", kind=kind, speech_probability=0.4
        )
        for sound in SOUNDS
        for level in (-45, -30, -15)
        for seconds in (1.0, 4.0)
    ]
    assert {r.job_id: r.text for r in guarded.decode(jobs) if r.text} == {}


def test_its_guard_goes_by_the_model_s_no_speech_probability(
    engine: Callable[..., Engine], job: Build, clip: Callable[[str], bytes]
) -> None:
    """The model gives no text for any of these sounds by itself: a threshold below all doubt shows that it is asked."""
    jobs = [job(clip("timer"), speech_probability=0.4)]
    (heard,) = engine("faster_whisper", beam=3, guards=Guards(no_speech=False), no_speech_threshold=0.0).decode(jobs)
    (guarded,) = engine("faster_whisper", beam=3, no_speech_threshold=0.0).decode(jobs)
    assert heard.text
    assert (guarded.text, guarded.suppressed) == ("", "no_speech")


def test_half_a_second_of_speech_gives_what_was_said_or_nothing(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str]
) -> None:
    for name in ("digits_five", "timer", "lights_off"):
        (result,) = whisper.decode([job(clip(name)[: 2 * 8000 + 2 * 3200], word_times=True)])
        assert result.error_code == ""
        assert len(result.text.split()) <= 3
        assert len(result.words) == len(result.text.split())


@pytest.mark.parametrize("name", Guards.__struct_fields__)
def test_guards_of_a_model_have_switches(
    engine: Callable[..., Engine],
    job: Build,
    clip: Clip,
    texts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    always = {
        "no_speech": "is_silence",
        "loop": "is_loop",
        "token_rate": "is_torrent",
        "known_phrase": "is_known_phrase",
    }
    monkeypatch.setattr(guard, always[name], lambda _: True)
    one = job(clip("timer"), options=DecodeOptions(fallback=False))
    (bitten,) = engine("faster_whisper").decode([one])
    assert (bitten.text, bitten.suppressed) == ("", name)
    (open_,) = engine("faster_whisper", guards=Guards(**{name: False})).decode([one])
    assert (open_.text, open_.suppressed) == (texts["timer"], "")


@pytest.mark.parametrize("kind", ["partial", "final"])
def test_hotwords_bring_back_words_lost_in_noise(
    whisper: Engine, job: Build, clip: Clip, texts: dict[str, str], kind: str
) -> None:
    missed = regained = 0
    for name in ("flight", "digits_five", "meeting_monday", "order_latte"):
        pcm = in_noise(clip(name), above_db=4)
        (plain,) = whisper.decode([job(pcm, kind=kind)])
        for word in set(texts[name].split()) - set(plain.text.split()):
            (steered,) = whisper.decode([job(pcm, kind=kind, options=DecodeOptions(hotwords=(word,)))])
            missed += 1
            regained += word in steered.text.split()
    assert missed
    assert regained


def in_noise(pcm: bytes, *, above_db: float) -> bytes:
    """Return speech under white noise that is so much louder."""
    speech = np.frombuffer(pcm, dtype="<i2").astype(float)
    loud = np.sqrt(np.square(speech).mean()) * 10 ** (above_db / 20)
    noisy = speech + np.random.default_rng(1).normal(0, loud, len(speech))
    return noisy.clip(-32768, 32767).astype("<i2").tobytes()


def test_a_trimmed_partial_goes_on_after_what_was_said(
    whisper: Any, job: Build, clip: Clip, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overheard = Overheard(whisper, monkeypatch)
    said = "good morning everyone the meeting starts at nine thirty please open the document and start the server"
    jobs = [job(clip("timer"), kind, kind=kind, previous=said) for kind in ("partial", "final")]
    assert [r.text for r in whisper.decode(jobs)] == [texts["timer"]] * 2
    vocabulary = whisper._vocabulary
    prompts = [prompt for call in overheard.calls for prompt in call.prompts]
    partial, final = (prompt[: prompt.index(vocabulary.start_of_transcript)] for prompt in prompts)
    assert partial[0] == vocabulary.start_of_previous
    assert vocabulary.decode(partial[1:]).endswith("start the server")
    assert final == []


def test_growing_partials_say_what_single_ones_do(whisper: Any, job: Build, clip: Clip) -> None:
    audio = clip("three_sentences")
    stops = range(16_000, len(audio) // 2, 9_600)
    grown = [whisper.decode([job(audio[: 2 * stop], kind="partial", session_id="grown")])[0].text for stop in stops]
    single = [
        whisper.decode([job(audio[: 2 * stop], kind="partial", session_id=f"single {stop}")])[0].text for stop in stops
    ]
    assert grown == single
    held = whisper._growing.held_bytes
    whisper.decode([job(audio, session_id="grown")])
    assert whisper._growing.held_bytes < held


def test_languages_are_chosen_among_those_of_the_model() -> None:
    ranked = [("<|fr|>", 0.5), ("<|en|>", 0.3), ("<|hi|>", 0.1), ("<|de|>", 0.1)]
    assert choose_language(ranked, ("hi", "en")) == ("en", 0.75)
    assert choose_language(ranked, ("de",)) == ("de", 1.0)
    assert choose_language([("<|en|>", 0.0)], ("en",)) == ("en", 0.0)


def test_warm_up_decodes_every_kind_in_its_bucket(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    for device, sizes in (("cpu", [2.0]), ("cuda", [2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0])):
        cold: Any = engine("faster_whisper", min_window_s=2.0)
        cold._device = device
        decoded: list[tuple[float, str, int]] = []

        def note(jobs: list[DecodeJob], cold: Any = cold, decoded: list[Any] = decoded) -> None:
            frames = bucket_frames(len(jobs[0].samples) // 2, floor=2.0, n_mels=80)
            decoded.append((frames / FRAMES_PER_SECOND, jobs[0].kind, len(jobs)))

        shares: list[float] = []
        monkeypatch.setattr(cold, "decode", note)
        cold.warm_up(shares.append)
        assert decoded[: 2 * len(sizes)] == [(size, kind, 1) for size in sizes for kind in ("partial", "final")]
        assert decoded[2 * len(sizes) :] == ([(30.0, "partial", 4)] if device == "cuda" else [])
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


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
