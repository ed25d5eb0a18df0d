"""``hotmic replay`` as a command: what it prints and how it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotmic.cli import app
from hotmic.session.session import Session
from hotmic.session.tape import MAGIC, EventsOutput, encode
from tape_support import Conversation


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(3)


def run(path: Path, *flags: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["replay", str(path), *flags])
    return result.exit_code, result.stdout, result.stderr


def write(folder: Path, data: bytes) -> Path:
    path = folder / "some.hotmic"
    path.write_bytes(data)
    return path


def test_the_events_are_printed_and_identical(tmp_path: Path, conversation: Conversation) -> None:
    path = write(tmp_path, conversation.run(80))
    code, out, err = run(path)
    assert code == 0, err
    assert "identical: " in err
    assert f" {len(conversation.events)} events" in err
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines] == [type(event).__name__ for event in conversation.events]
    assert lines[0][0] == "0.000"
    assert "recorded by hotmic test" in err


def test_json(tmp_path: Path, conversation: Conversation) -> None:
    code, out, _ = run(write(tmp_path, conversation.run(80)), "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["type"] for line in lines] == [type(event).__name__ for event in conversation.events]
    finals = [line["text"] for line in lines if line["type"] == "FinalTranscribed"]
    assert finals == [event.text for event in conversation.events if type(event).__name__ == "FinalTranscribed"]
    assert all(line["now"] >= 1000 for line in lines)


def test_a_difference_is_shown(tmp_path: Path, conversation: Conversation) -> None:
    data = conversation.run(80, close=False) + encode(EventsOutput(events=(conversation.events[0],)))  # type: ignore[arg-type]
    code, out, err = run(write(tmp_path, data))
    assert code == 1
    assert "first difference after input" in err
    assert "RecordingStarted" in err
    assert "identical" not in err
    assert out


def test_a_file_that_was_cut_off(tmp_path: Path, conversation: Conversation) -> None:
    code, _, err = run(write(tmp_path, conversation.run(80)[:-3]))
    assert code == 0
    assert "ends in the middle" in err


@pytest.mark.parametrize("data", [b"RIFF", b"hotmic tape 99\n", MAGIC])
def test_another_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    code, out, err = run(write(tmp_path, data))
    assert (code, out) == (2, "")
    assert "some.hotmic" in err
    assert "(bad_tape)" in err


def test_what_was_said_before_a_broken_entry_is_printed(tmp_path: Path, conversation: Conversation) -> None:
    code, out, err = run(write(tmp_path, conversation.run(80) + b"\x01\0\0\0\xc1"))
    assert code == 2
    assert len(out.splitlines()) == len(conversation.events)
    assert "(bad_tape)" in err


def test_where_the_session_raised_it_raises_again(
    tmp_path: Path, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, conversation.run(80))

    def break_down(self: Session, *, now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Session, "receive_close", break_down)
    result = CliRunner().invoke(app, ["replay", str(path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.stdout


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "missing.hotmic")
    assert code == 2
    assert "No such file" in err
