"""Every event that the dual-socket protocol has a word for, read back as the message that describes it."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hotmic import events as e
from hotmic.config.model import Bundled, ModelSpec
from hotmic.dialects import answer, dual
from hotmic.events import Event
from hotmic.net.control import listing
from hotmic.values import ModelStatus, WorkerExit
from net_support import House

TIMESTAMP = "2026-01-31T12:00:00.000Z"
EVENTS = sorted((kind for kind in dual.encode.registry if kind not in (object, Event)), key=lambda kind: kind.__name__)
ANSWERS: Any = typing.Union[tuple({*answer.CONTROL_ANSWERS, *answer.AUDIO_ANSWERS})]  # noqa: UP007


def sample(kind: Any) -> Any:
    """Return some value of a type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return (sample(inner[0]),)
    if origin is typing.Literal:
        return inner[0]
    if origin in (typing.Union, types.UnionType):
        return sample(inner[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: sample(field) for name, field in typing.get_type_hints(kind).items()})
    return {str: "x", int: 7, float: 1.5, bool: True, dict: {}}[origin or kind]


def events(kind: type[Event], folder: Path) -> Iterator[Event]:
    """Return an event with all it can carry, and one with as little as it can."""
    own: dict[str, Any] = {}
    if kind is e.ModelsListed:
        spec = ModelSpec(
            id="a", name="A", type="echo", source=Bundled(name="a"), languages=("en",), notice="Small.", phrases=("x",)
        )
        own = {"models": (listing(spec, "serving"), listing(spec, None))}
    elif kind is e.StatusReported:
        house = House(folder)
        end = WorkerExit(kind="signal", message="It was killed.", at=0.0)
        models = [
            ModelStatus(model_id="echo", state="serving", reason="So.", last_exit=end),
            ModelStatus(model_id="b", state="failed"),
        ]
        house.pool.status = lambda: models  # type: ignore[method-assign]
        house.runner.warnings["slow"] = "Slow."
        own = {"status": house.control.status()}
    elif kind is e.Configured:
        own = {"options": {}}
    elif kind is e.ModelLoading:
        own = {"stage": "loading"}
    fields = typing.get_type_hints(kind)
    yield kind(**{name: sample(field) for name, field in fields.items()} | own)
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    yield kind(**{name: sample(fields[name]) for name in required} | own)


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
