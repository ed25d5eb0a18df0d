"""What the catalogue says of every dialect is on the wire: golden conversations, and events of all kinds."""

import functools
import json
import operator
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from event_support import EVENTS, events
from hotmic.dialects.catalogue import EXCHANGES, SHARED, Raw
from hotmic.dialects.dialect import Frame
from hotmic.dialects.negotiate import DIALECTS, GATEWAY_PATHS
from hotmic.dialects.wish import Wish
from wire_support import NOW, WIRE, frame_of

CONVERSATIONS = sorted(WIRE.glob("*/*.jsonl"))


def check(frame: Frame, messages: Iterable[Any]) -> None:
    """Fail unless a frame is one of the messages, and the message says all of it."""
    structs, raws = [], []
    for message in messages:
        (raws if isinstance(message, Raw) else structs).append(message)
    if isinstance(frame, bytes) and not frame.startswith(b"{"):
        assert [raw for raw in raws if raw.content_type == "application/octet-stream"]
    elif not structs:
        assert [raw for raw in raws if raw.content_type == "text/plain"]
    else:
        told = msgspec.json.decode(frame, type=functools.reduce(operator.or_, structs))
        if structs[0].__struct_config__.forbid_unknown_fields:
            assert msgspec.to_builtins(told, str_keys=True) == json.loads(frame)


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_frames_are_messages_of_the_catalogue(path: Path) -> None:
    exchanges = [EXCHANGES[name] for name in SHARED.get(path.parent.name, (path.parent.name,))]
    sent, received = ({m for x in exchanges for m in getattr(x, side)} for side in ("sent", "received"))
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        entry = json.loads(line)
        try:
            if "<" in entry:
                check(frame_of(entry["<"]), sent)
            elif ">" in entry and not _is_refused(entry["commands"]):
                check(frame_of(entry[">"]), received)
        except (msgspec.ValidationError, AssertionError) as error:
            raise AssertionError(f"{path.name}:{number}: {error}") from error


def _is_refused(commands: list[str]) -> bool:
    return bool(commands) and commands[0].islower()


@pytest.mark.parametrize("dialect", [name for name in EXCHANGES if name not in ("control", "audio")])
def test_an_event_is_told_as_the_catalogue_says(tmp_path: Path, dialect: str) -> None:
    told = 0
    for kind in EVENTS:
        for event in events(kind, tmp_path):
            for frame in DIALECTS[dialect](Wish(client_id="c")).encode(event, timestamp=NOW):
                check(frame, EXCHANGES[dialect].sent)
                told += 1
    assert told


def test_the_table_of_the_document_has_every_path() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(/\S*)` \|", text, re.MULTILINE))
    assert rows == {dialect: path for path, dialect in GATEWAY_PATHS.items()}


def test_every_dialect_has_a_golden_conversation() -> None:
    assert {path.parent.name for path in CONVERSATIONS} == {*EXCHANGES, *SHARED}
