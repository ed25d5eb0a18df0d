"""Recorded sessions as bytes: whole, cut off, foreign and broken."""

import io
from typing import get_args

import msgspec
import pytest

from hotmic.errors import BadTape
from hotmic.events import ErrorRaised, SessionEvent, WarningRaised
from hotmic.session.tape import MAGIC, MAX_FRAME_BYTES, EventsOutput, Input, Tape, Told, encode
from tape_support import Conversation, play


def test_every_event_of_a_session_has_a_place() -> None:
    assert set(get_args(Told)) == {*SessionEvent.__subclasses__(), ErrorRaised, WarningRaised}


def test_every_input_says_what_it_is() -> None:
    names = [entry.name for entry in Input.__subclasses__()]
    assert len(set(names)) == len(names) == 8


def test_floats_are_kept_exactly() -> None:
    warning = WarningRaised(code="a", message="b", session_id="c")
    error = ErrorRaised(code="a", message="b", start=0.1 + 0.2, end=1e-17)
    frame = encode(EventsOutput(events=(warning, error)))
    body = msgspec.msgpack.decode(frame[4:], type=EventsOutput)
    assert body.events == (warning, error)


@pytest.mark.parametrize("share", [i / 20 for i in range(20)])
def test_a_file_that_was_cut_off_replays_its_whole_entries(share: float) -> None:
    data = Conversation(11).run(30)
    header = len(MAGIC) + 4 + int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    length = header + int(share * (len(data) - header))
    whole = list(Tape(io.BytesIO(data)))
    replay, difference, tape = play(data[:length])
    assert difference is None
    left = list(Tape(io.BytesIO(data[:length])))
    assert left == whole[: len(left)]
    size = header + sum(len(encode(entry)) for entry in left)
    assert tape.is_cut == (size != length)
    assert size <= length < size + len(encode(whole[len(left)]))
    assert replay.inputs == sum(isinstance(entry, Input) for entry in left)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no recorded session"),
        (b"RIFF....WAVEfmt ", "no recorded session"),
        (b"hotmic tape 1", "no recorded session"),
        (b"hotmic tape 0\n", "format 0; this version reads 1"),
        (b"hotmic tape 12\n", "format 12"),
        (MAGIC, "ends before its header"),
        (MAGIC + b"\x09\0\0\0abc", "ends before its header"),
        (MAGIC + b"\x01\0\0\0\xc1", "header of the recorded session cannot be read"),
        (MAGIC + (MAX_FRAME_BYTES + 1).to_bytes(4, "little"), "longer than any can be"),
    ],
)
def test_other_files_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadTape, match=reason):
        Tape(io.BytesIO(data))


def test_an_entry_that_is_broken_is_named() -> None:
    data = Conversation(1).run(0, close=False)
    count = len(list(Tape(io.BytesIO(data))))
    with pytest.raises(BadTape, match=f"Entry {count + 1} of"):
        list(Tape(io.BytesIO(data + b"\x01\0\0\0\xc1")))
