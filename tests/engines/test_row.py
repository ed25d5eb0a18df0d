from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotmic.config.model import ModelSpec
from hotmic.engines.fallback import Reading
from hotmic.engines.guard import Hypothesis
from hotmic.engines.row import UNTOLD, Row, failure_of, read_row, result_of
from hotmic.engines.vocabulary import Vocabulary
from hotmic.errors import EngineFailed
from hotmic.values import DecodeJob, DecodeOptions, Word

DEMO = Path(__file__).parents[2] / "server" / "hotmic" / "models" / "demo-en"


@pytest.fixture
def read(job: Callable[..., DecodeJob], spec: Callable[..., ModelSpec]) -> Callable[..., Row]:
    def build(*, languages: tuple[str, ...] = ("en",), multilingual: bool = True, **fields: Any) -> Row:
        options = DecodeOptions(**fields.pop("options", {}))
        vocabulary = Vocabulary.load(DEMO, multilingual=multilingual)
        one = job(**{"samples": bytes(3200), **fields}, options=options)
        return read_row(7, one, spec=spec("faster_whisper", languages=languages), vocabulary=vocabulary)

    return build


def test_the_language_is_asked_declared_or_open(read: Callable[..., Row]) -> None:
    assert read().language == "en"
    assert read(options={"language": "de"}).language == "de"
    assert read(languages=("multilingual",)).language is None
    assert read(languages=("en", "hi")).language is None
    assert read(multilingual=False, options={"language": "de"}).language == "en"


def test_what_the_model_does_not_know_is_refused(read: Callable[..., Row]) -> None:
    with pytest.raises(EngineFailed, match="'xx'"):
        read(options={"language": "xx"})
    with pytest.raises(EngineFailed, match="only transcribes"):
        read(multilingual=False, options={"task": "translate"})
    with pytest.raises(EngineFailed, match="half a sample"):
        read(samples=b"123")


def test_rows_know_their_length_and_place(read: Callable[..., Row]) -> None:
    assert (read().seconds, read().place) == (0.1, 7)


def test_denoising_is_asked_for(read: Callable[..., Row], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []

    def reduce_noise(samples: Any, noise: Any, *, mode: str) -> Any:
        asked.append((len(noise), mode))
        return samples // 2

    monkeypatch.setattr("hotmic.audio.denoise.reduce_noise", reduce_noise)
    loud = np.full(1600, 1000, dtype="<i2").tobytes()
    assert read(samples=loud, noise=bytes(64), options={"denoise": "on"}).samples[0] == 500
    assert read(samples=loud, noise=bytes(64)).samples[0] == 1000
    assert read(samples=loud, options={"denoise": "on"}).samples[0] == 1000
    assert asked == [(32, "on")]


def test_foreign_exceptions_stay_in_the_log(job: Callable[..., DecodeJob]) -> None:
    assert failure_of(job(), ValueError("/etc/secret")).error_message == UNTOLD
    assert failure_of(job(), EngineFailed("Plain.")).error_message == "Plain."


def test_what_was_said_before_steers_partials_alone(read: Callable[..., Row]) -> None:
    said = "good morning everyone the meeting starts at nine thirty please open the document and start the server"
    assert len(read(kind="partial", previous=said).previous) in (16, 32)
    assert read(kind="final", previous=said).previous == []
    assert read(kind="final", options={"hotwords": ("latte",)}).previous != []
    assert read(kind="partial", options={"hotwords": ("latte",)}).previous != []


def test_alternatives_are_as_many_as_wanted_and_fall_with_their_text(read: Callable[..., Row]) -> None:
    row = read(options={"alternatives": 2})
    told = Hypothesis(
        tokens=(1,),
        text="four",
        seconds=1.0,
        language="en",
        no_speech_probability=0.0,
        average_logprob=-0.1,
        speech_probability=1.0,
        language_probability=0.8,
    )
    result = result_of(row, Reading(told, "", ("for", "fore", "far")), ())
    assert (result.text, result.alternatives, result.language_probability) == ("four", ("for", "fore"), 0.8)
    assert (result.average_logprob, result.tokens) == (-0.1, 2), "the closing token counts"
    words = (Word(word="four", start=0.0, end=0.5, probability=0.9),)
    assert result_of(row, Reading(told, ""), words).words == words
    fallen = result_of(row, Reading(told, "loop", ("for",)), words)
    assert (fallen.text, fallen.words, fallen.alternatives, fallen.suppressed) == ("", (), (), "loop")
