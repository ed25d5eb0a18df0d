"""Events to encode: of every class one with all it can carry, and one with as little as it can."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hotmic import events as e
from hotmic.config.model import Bundled, ModelSpec
from hotmic.dialects import dual
from hotmic.events import Event
from hotmic.net.control import listing
from hotmic.values import ModelStatus, WorkerExit
from net_support import House

EVENTS = sorted((kind for kind in dual.encode.registry if kind not in (object, Event)), key=lambda kind: kind.__name__)
"""Every class of event."""


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
        house.runner.notices.keep("slow", "Slow.")
        own = {"status": house.control.status()}
    elif kind is e.Configured:
        own = {"options": {}}
    elif kind is e.ModelLoading:
        own = {"stage": "loading"}
    fields = typing.get_type_hints(kind)
    yield kind(**{name: sample(field) for name, field in fields.items()} | own)
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    yield kind(**{name: sample(fields[name]) for name in required} | own)
