"""Plays the golden conversations of ``tests/wire`` through a dialect.

A file is one line of JSON for each frame: ``{">": frame}`` to the server, ``{"<": frame}`` from it, and
``{"*": event}`` for what the daemon heard or did in between. A frame is a string, an object for a text frame of JSON,
or ``{"binary": "hex digits"}``; ``{"binary": "pcm16 160"}`` and ``{"binary": "npy 160"}`` are so many silent
samples. An event is its fields with ``event``, the name of its class; ``session_id`` and ``channel`` may be left out.
A line ``{">": …}`` may say in ``commands`` which commands it becomes, and in ``while`` which events come of them at
once. ``{"zeros": 160}`` within a text frame is so many zero bytes in base64.
"""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hotmic import events
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.errors import HotmicError
from hotmic.net.control import failure

WIRE = Path(__file__).with_name("wire")
NOW = "2026-01-02T03:04:05.678Z"


def conversations(dialect: str) -> list[Path]:
    """Return the golden conversations of a dialect."""
    found = sorted((WIRE / dialect).glob("*.jsonl"))
    assert found, f"no conversation of {dialect}"
    return found


def play(dialect: Dialect, path: Path) -> None:
    """Play a conversation; the frames from the server must be the ones written down, all of them, in order."""
    said: list[Frame] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        entry: dict[str, Any] = json.loads(line)
        place = f"{path.name}:{number}"
        if ">" in entry:
            commands = _hear(dialect, frame_of(entry[">"]), said, entry.get("while", ()))
            assert commands == entry.get("commands", commands), place
        elif "*" in entry:
            said += dialect.encode(_event(entry["*"]), timestamp=NOW)
        else:
            assert said, f"{place}: nothing was said"
            assert _shown(said.pop(0)) == entry["<"], place
    assert not said, f"{path.name}: more was said than written down: {said}"


def npy(samples: "np.typing.NDArray[Any]") -> bytes:
    """Return an array as clients send it."""
    file = io.BytesIO()
    np.save(file, samples, allow_pickle=False)
    return file.getvalue()


def _hear(dialect: Dialect, frame: Frame, said: list[Frame], meanwhile: Sequence[dict[str, Any]]) -> list[str]:
    commands: list[str] = []
    try:
        commands = [type(command).__name__ for command in dialect.parse(frame)]
    except HotmicError as error:
        commands = [error.code]
        said += dialect.encode(failure(error), timestamp=NOW)
    for event in meanwhile:
        said += dialect.encode(_event(event), timestamp=NOW)
    said += dialect.frames_to_send(timestamp=NOW)
    return commands


def frame_of(written: Any) -> Frame:
    """Return what is sent for a frame as it is written down."""
    if isinstance(written, str):
        return written
    if set(written) != {"binary"}:
        return json.dumps(_filled(written))
    kind, _, count = written["binary"].partition(" ")
    if count:
        silence = np.zeros(int(count), dtype="<i2" if kind == "pcm16" else "<f4")
        return silence.tobytes() if kind == "pcm16" else npy(silence)
    return bytes.fromhex(kind)


def _filled(written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    if set(written) == {"zeros"}:
        return base64.b64encode(bytes(written["zeros"])).decode()
    return {key: _filled(value) for key, value in written.items()}


def _event(written: dict[str, Any]) -> events.Event:
    fields = dict(written)
    kind = getattr(events, fields.pop("event"))
    if issubclass(kind, events.SessionEvent):
        fields = {"session_id": "s-1", "channel": "c", **fields}
    return msgspec.convert(fields | {"type": kind.__name__}, kind)  # type: ignore[no-any-return]


def _shown(frame: Frame) -> Any:
    if isinstance(frame, bytes):
        return json.loads(frame)
    try:
        whole = json.loads(frame)
    except ValueError:
        return frame
    return whole if isinstance(whole, dict) else frame
