import json
from typing import Any

import pytest

from hotmic.dialects.openai_file import (
    BadParameter,
    FileWish,
    encode,
    encode_delta,
    encode_done,
    error_body,
    error_status,
    parse_fields,
)
from hotmic.errors import (
    BadAudio,
    EngineFailed,
    HotmicError,
    ModelUnavailable,
    NotAuthorized,
    Overloaded,
    QuotaReached,
    ShuttingDown,
    TooLarge,
    UnknownModel,
)
from hotmic.events import FinalTranscribed
from hotmic.values import Word


def final(text: str, start: float, *, language: str = "en") -> FinalTranscribed:
    words = tuple(
        Word(word=word, start=start + n, end=start + n + 0.5, probability=0.5) for n, word in enumerate(text.split())
    )
    return FinalTranscribed(
        session_id="s", channel="c", segment_id=f"s-{start}", text=text, words=words, language=language,
        model_id="m", start=start, end=start + len(words), processing=0.1, lag=0.1,
    )  # fmt: skip


FINALS = [final("turn on", 1.0), final("the lights", 5.0)]


def wish(*fields: tuple[str, str]) -> FileWish:
    return parse_fields([("model", "whisper-1"), *fields], task="transcribe")


def body(*fields: tuple[str, str]) -> Any:
    return json.loads(encode(wish(*fields), FINALS, seconds=8.25)[0])


def test_all_that_can_be_asked() -> None:
    asked = wish(
        ("language", "en"),
        ("prompt", "lights"),
        ("keywords[]", "kitchen"),
        ("keywords[]", "lamp"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("temperature", "0.0"),
        ("chunking_strategy", "auto"),
        ("stream", "false"),
    )
    assert (asked.model, asked.options.language, asked.options.prompt) == ("whisper-1", "en", "lights")
    assert asked.options.hotwords == ("kitchen", "lamp")
    assert asked.options.task == "transcribe"
    assert asked.granularities == ("word", "segment")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([], "model"),
        ([("model", "")], "model"),
        ([("model", "a"), ("model", "b")], "model"),
        ([("model", "a"), ("temperature", "nan")], "temperature"),
        ([("model", "a"), ("temperature", "hot")], "temperature"),
        ([("model", "a"), ("language", "EN")], "language"),
        ([("model", "a"), ("languages", "en"), ("languages", "th")], "languages"),
        ([("model", "a"), ("stream", "yes")], "stream"),
        ([("model", "a"), ("stream", "true"), ("response_format", "vtt")], "stream"),
        ([("model", "a"), ("include[]", "logprobs")], "include"),
        ([("model", "a"), ("x" * 500, "")], "x" * 64),
        ([("model", "a"), *[("keywords[]", "k")] * 101], "keywords"),
    ],
)
def test_what_is_refused_names_its_field(fields: list[tuple[str, str]], param: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parse_fields(fields, task="transcribe")
    assert caught.value.param == param
    assert error_body(caught.value)["error"]["param"] == param
    assert error_status(caught.value) == 400


def test_translations_take_fewer_fields() -> None:
    assert parse_fields([("model", "a"), ("prompt", "b")], task="translate").options.task == "translate"
    with pytest.raises(BadParameter):
        parse_fields([("model", "a"), ("language", "en")], task="translate")


def test_forms_of_an_answer() -> None:
    assert body() == {"text": "turn on the lights", "usage": {"type": "duration", "seconds": 9}}
    assert encode(wish(("response_format", "text")), FINALS, seconds=8)[0] == b"turn on the lights\n"
    verbose = body(("response_format", "verbose_json"))
    assert (verbose["language"], verbose["duration"], verbose["task"]) == ("en", 8.25, "transcribe")
    assert [(s["id"], s["start"], s["end"], s["text"]) for s in verbose["segments"]] == [
        (0, 1.0, 3.0, "turn on"),
        (1, 5.0, 7.0, "the lights"),
    ]
    assert verbose["segments"][0]["avg_logprob"] == pytest.approx(-0.6931, abs=1e-3)
    assert "words" not in verbose
    words = body(("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    assert "segments" not in words
    assert words["words"][2] == {"word": "the", "start": 5.0, "end": 5.5}


def test_deltas_are_the_text() -> None:
    for texts in (["turn on", "the lights"], ["สวัสดี", "ครับ"], ["", "今日は", "晴れ"]):
        text, deltas = "", ""
        for number, said in enumerate(texts):
            event, text = encode_delta(text, final(said, float(number)))
            deltas += json.loads(event.removeprefix(b"data: "))["delta"]
        assert deltas == text
        assert json.loads(encode_done(text).removeprefix(b"data: "))["text"] == text
        assert text == json.loads(encode(wish(), [final(said, 0.0) for said in texts], seconds=1)[0])["text"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BadAudio("a"), 400, "invalid_request_error"),
        (NotAuthorized("a"), 403, "invalid_request_error"),
        (UnknownModel("a"), 404, "invalid_request_error"),
        (TooLarge("a"), 413, "invalid_request_error"),
        (QuotaReached("a"), 429, "rate_limit_exceeded"),
        (Overloaded("a"), 503, "server_error"),
        (ModelUnavailable("a"), 503, "server_error"),
        (ShuttingDown("a"), 503, "server_error"),
        (EngineFailed("a"), 500, "server_error"),
    ],
)
def test_errors(error: HotmicError, status: int, kind: str) -> None:
    assert error_status(error) == status
    assert error_body(error)["error"]["type"] == kind
