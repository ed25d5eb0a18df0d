"""Every event that the dual-socket protocol has a word for, read back as the message that describes it."""

import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from event_support import EVENTS, events, sample
from hotmic import events as e
from hotmic.dialects import answer, dual
from hotmic.events import Event

TIMESTAMP = "2026-01-31T12:00:00.000Z"
ANSWERS: Any = typing.Union[tuple({*answer.CONTROL_ANSWERS, *answer.AUDIO_ANSWERS})]  # noqa: UP007


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_is_the_message_that_describes_it(tmp_path: Path, kind: type[Event]) -> None:
    for event in events(kind, tmp_path):
        for frame in dual.dump(event, timestamp=TIMESTAMP):
            told = msgspec.json.decode(frame, type=ANSWERS)
            assert msgspec.to_builtins(told) == msgspec.json.decode(frame)


def test_every_message_is_said(tmp_path: Path) -> None:
    said = [dual.dump(event, timestamp=TIMESTAMP) for kind in EVENTS for event in events(kind, tmp_path)]
    frames = [frame for frames in said for frame in frames]
    # That a segment has no text is said by a partial that withdraws it, and this protocol knows no containers.
    untold = [
        kind for kind in EVENTS if not any(dual.dump(event, timestamp=TIMESTAMP) for event in events(kind, tmp_path))
    ]
    assert untold == [e.ContainerDecoded, e.ContainerEnded, e.NothingTranscribed]
    told = {type(msgspec.json.decode(frame, type=ANSWERS)) for frame in frames}
    assert told == {*answer.CONTROL_ANSWERS, *answer.AUDIO_ANSWERS}


def test_every_option_is_described() -> None:
    from hotmic.commands import SessionOptions
    from hotmic.net.control import configured

    fields = typing.get_type_hints(SessionOptions)
    options = SessionOptions(**{name: sample(kind) for name, kind in fields.items()})
    (frame,) = dual.dump(configured(options, 1), timestamp=TIMESTAMP)
    told = msgspec.json.decode(frame, type=answer.ConfiguredAnswer)
    assert len(msgspec.to_builtins(told)) == len(fields) + 2
