"""What the terminal client shows."""

from pathlib import Path

import pytest

from hotmic_client import ClientError, read_wav
from realtime_client import Captions, fit, width


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("abc", 3), ("สวัสดีครับ", 7), ("日本", 4), ("e\u0301", 1)])
def test_width_counts_columns(text: str, columns: int) -> None:
    assert width(text) == columns


def test_a_text_too_wide_keeps_its_end() -> None:
    assert fit("one two", 7) == "one two"
    assert fit("one two", 5) == "… two"
    assert fit("日本語", 5) == "…本語"
    assert fit("日本語", 4) == "…語", "half a letter is none"


def test_a_final_replaces_its_partial(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    captions = Captions(as_json=False)
    for text in ("สวัส", "good morning everyone"):
        captions.show({"type": "realtime_transcription", "text": text})
    captions.show({"type": "final_transcription", "text": "good"})
    shown = capsys.readouterr().out
    assert shown == "\rสวัส\r…g everyone\r           \rgood\n"


def test_that_the_session_is_recorded_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    captions = Captions(as_json=False)
    captions.tell_recorded({"type": "connected"})
    assert capsys.readouterr().err == ""
    captions.show({"type": "final_transcription", "text": "good", "recorded": True})
    captions.show({"type": "final_transcription", "text": "morning", "recorded": True})
    assert capsys.readouterr() == ("good\nmorning\n", "This session is being recorded to disk.\n")


def test_a_pipe_gets_finals_only(capsys: pytest.CaptureFixture[str]) -> None:
    captions = Captions(as_json=False)
    captions.show({"type": "realtime_transcription", "text": "go"})
    captions.show({"type": "final_transcription", "text": "good"})
    captions.show({"type": "warning", "code": "slow", "message": "Too slow."})
    assert capsys.readouterr() == ("good\n", "warning: Too slow. (slow)\n")


def test_a_file_that_is_missing_is_another_mistake_than_one_that_is_no_wav(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="cannot be read: No such file"):
        read_wav(tmp_path / "missing.wav")
    (tmp_path / "other.wav").write_bytes(b"OggS")
    with pytest.raises(ClientError, match="is no readable PCM WAV file"):
        read_wav(tmp_path / "other.wav")
