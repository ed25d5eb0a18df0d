"""The files of recorded sessions: their names and rights, their limit, and disks that fail."""

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from hotmic.building import segmenter_settings
from hotmic.commands import SessionOptions
from hotmic.config.settings import Settings
from hotmic.errors import ConfigError
from hotmic.net.tape import TapeFile, TapeFolder
from hotmic.session.planner import SessionSettings
from hotmic.session.tape import AudioInput, Entry, Header, Tape

SOUND = AudioInput(now=1.0, data=bytes(3200), encoding="pcm16", sample_rate=None, seq=None)


def header(session_id: str = "s-1") -> Header:
    return Header(
        version="test",
        session_id=session_id,
        channel="default",
        settings=SessionSettings(),
        options=SessionOptions(),
        segmenter=segmenter_settings(Settings.model_construct()),
    )


def open_folder(path: Path, *, max_bytes: int = 1 << 20) -> tuple[TapeFolder, list[str]]:
    failures: list[str] = []
    return TapeFolder(path, max_bytes=max_bytes, on_failure=failures.append), failures


def read(path: Path) -> tuple[list[Entry], bool]:
    with path.open("rb") as stream:
        tape = Tape(stream)
        return list(tape), tape.is_cut


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="rights are other there")
def test_folder_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder, _ = open_folder(tmp_path / "tapes")
        folder.open(header()).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tapes").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(tmp_path / "tapes").stat().st_mode) == 0o600


def test_every_entry_is_there_before_the_file_is_closed(tmp_path: Path) -> None:
    folder, failures = open_folder(tmp_path)
    tape = folder.open(header())
    for count in range(3):
        assert read(only_file(tmp_path)) == ([SOUND] * count, False)
        tape.write(SOUND)
    tape.close()
    tape.write(SOUND)
    assert read(only_file(tmp_path)) == ([SOUND] * 3, False)
    assert failures == []


def test_names_hold_the_time_and_the_session_and_lead_nowhere_else(tmp_path: Path) -> None:
    folder, failures = open_folder(tmp_path)
    for session_id in ("s-1", "../../etc/passwd", "a\0b", "x" * 300, ".."):
        folder.open(header(session_id)).close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 5
    assert failures == []
    assert names[0].endswith("Z-s-1.hotmic")
    assert names[1].endswith("Z-.._.._etc_passwd.hotmic")


def test_a_file_ends_before_it_is_too_large(tmp_path: Path) -> None:
    folder, failures = open_folder(tmp_path, max_bytes=10_000)
    tape = folder.open(header())
    with structlog.testing.capture_logs() as logs:
        for _ in range(10):
            tape.write(SOUND)
    assert not tape.is_open
    assert only_file(tmp_path).stat().st_size <= 10_000
    assert read(only_file(tmp_path)) == ([SOUND] * 2, False)
    assert [line["log_level"] for line in logs] == ["warning"]
    assert failures == [], "nothing failed"


@pytest.mark.parametrize("written", [0, 100])
def test_a_full_disk_ends_the_file_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    folder, failures = open_folder(tmp_path)
    tape = folder.open(header())
    tape.write(SOUND)
    write, calls = os.write, []

    def full(file: int, data: Any) -> int:
        calls.append(len(data))
        if len(calls) == 1 and written:
            return write(file, data[:written])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        tape.write(SOUND)
    monkeypatch.undo()
    assert not tape.is_open
    assert len(calls) == (2 if written else 1)
    assert failures == ["Sessions can no longer be recorded: No space left on device."]
    assert read(only_file(tmp_path)) == ([SOUND], bool(written))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_is_full_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    monkeypatch.setattr(os, "O_EXCL", 0)
    tape = TapeFile(Path("/dev/full"), header(), max_bytes=1 << 20, on_failure=failures.append)
    assert not tape.is_open
    assert failures == ["Sessions can no longer be recorded: No space left on device."]


def test_a_folder_that_went_away(tmp_path: Path) -> None:
    folder, failures = open_folder(tmp_path / "tapes")
    (tmp_path / "tapes").rmdir()
    tape = folder.open(header())
    tape.write(SOUND)
    tape.close()
    assert not tape.is_open
    assert failures == ["Sessions can no longer be recorded: No such file or directory."]


def test_a_folder_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"record: .*file") as raised:
            open_folder(path)
        assert raised.value.key == "record"
