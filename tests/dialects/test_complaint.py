"""Every mistake in a field is told in plain words, whichever message it stands in."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from hotmic.dialects import message as m
from hotmic.dialects import openai_message as o
from hotmic.dialects.catalogue import EXCHANGES, Raw
from hotmic.dialects.complaint import complain, describe
from hotmic.net import client_secret_route, model_route

RECEIVED = {
    message for exchange in EXCHANGES.values() for message in exchange.received if not isinstance(message, Raw)
} | {o.Session, client_secret_route._Wanted, model_route.Wish}


def complaint(message: Any, text: str) -> tuple[str, str]:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(text, type=message)
    return complain(caught.value, message)


@pytest.mark.parametrize(
    ("message", "body", "field", "sentence"),
    [
        (m.ConfigureMessage, '"language": "English"', "language", "a language code such as 'en', or empty"),
        (m.ConfigureMessage, '"language": 3', "language", "a language code such as 'en', or empty"),
        (m.ConfigureMessage, '"beam": 0', "beam", "a whole number from 1 to 10"),
        (m.ConfigureMessage, '"vad_threshold": "loud"', "vad_threshold", "a number from 0 to 1"),
        (m.ConfigureMessage, '"fallback": "yes"', "fallback", "true or false"),
        (m.ConfigureMessage, '"policy": "\\"x` - at"', "policy", "'align_att' or 'local_agreement'"),
        (m.ConfigureMessage, '"hotwords": ["a", 3]', "hotwords[1]", "text of at most 2000 characters"),
        (m.ConfigureMessage, '"request_id": []', "request_id", "text of at most 128 characters or a whole number"),
        (m.SubscribeMessage, '"channel": "a b"', "channel", "1 to 64 letters, digits, '.', '_' or '-'"),
        (m.StartRecordingMessage, '"config": {"task": "sing"}', "config.task", "'transcribe' or 'translate'"),
        (m.StartRecordingMessage, '"config": 3', "config", "a JSON object"),
        (
            o.SessionUpdate,
            '"session": {"audio": {"input": {"format": {"type": "audio/mp3"}}}}',
            "session.audio.input.format.type",
            "'audio/pcm' or 'audio/pcmu' or 'audio/pcma'",
        ),
        (
            o.SessionUpdate,
            '"session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8}}}}',
            "session.audio.input.format.rate",
            "24000",
        ),
        (o.SessionUpdate, '"session": {"include": ["x"]}', "session.include[0]", f"'{o.LOGPROBS}'"),
    ],
)
def test_the_field_and_what_is_right(message: Any, body: str, field: str, sentence: str) -> None:
    kind = message.__struct_config__.tag
    assert complaint(message, f'{{"type": "{kind}", {body}}}') == (field, f"'{field}' must be {sentence}.")


def test_what_is_missing_and_what_is_no_object() -> None:
    assert complaint(m.LoadModelMessage, '{"type": "load_model"}') == (
        "model_id",
        "The field 'model_id' is missing.",
    )
    body = '{"type": "session.update", "session": {"audio": {"input": {"format": {}}}}}'
    assert complaint(o.SessionUpdate, body)[0] == "session.audio.input.format.type"
    assert complaint(model_route.Wish, "[]") == ("", "The whole must be a JSON object.")


def kinds(kind: inspect.Type) -> Iterator[inspect.Type]:
    yield kind
    match kind:
        case inspect.UnionType(types=types):
            for option in types:
                yield from kinds(option)
        case inspect.ListType(item_type=item):
            yield from kinds(item)
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from kinds(field.type)


@pytest.mark.parametrize("message", sorted(RECEIVED, key=str), ids=lambda message: message.__name__)
def test_there_are_words_for_every_field_of_every_message(message: Any) -> None:
    for kind in kinds(inspect.type_info(message)):
        words = describe(kind)
        assert not set("^$`") & set(words)
        assert words or isinstance(kind, inspect.NoneType)
