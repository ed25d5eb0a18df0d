"""A daemon that records: who is told, what the files hold, and that trouble with the disk costs no word."""

import asyncio
import json
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hotmic.engines import echo
from hotmic_client import Client
from running import CLIPS, RunningDaemon, calling, running_daemon, start_daemon

pytestmark = pytest.mark.integration

CLIENT = Path(__file__).parents[2] / "clients" / "realtime_client.py"
REGISTRY = "default: echo\nmodels:\n  - {id: echo, name: Echo, type: echo, languages: [en]}\n"


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY)
    return str(path)


async def say(daemon: RunningDaemon, numbers: range) -> list[dict[str, Any]]:
    """Speak numbers in the channel of all; return what is heard of them."""
    async with Client(daemon.control, daemon.audio) as client:
        for number in numbers:
            await client.send_audio(echo.chunk(number).tobytes())
            await asyncio.sleep(0.02)
        await client.end_audio()
        heard = []
        async with asyncio.timeout(60):
            async for event in client.events():
                if client.is_own(event):
                    heard.append(event)
                if client.is_own(event) and event["type"] == "recording_stopped":
                    return heard
    raise AssertionError("the events ended")


def texts(events: list[dict[str, Any]], kind: str) -> list[str]:
    return [event["text"] for event in events if event["type"] == kind]


def replay(file: Path) -> tuple[int, list[dict[str, Any]], str]:
    command = [sys.executable, "-m", "hotmic", "replay", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def health(daemon: RunningDaemon) -> dict[str, Any]:
    with urllib.request.urlopen(f"{daemon.http}/health", timeout=20) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


def test_two_speakers_are_told_and_each_file_replays_its_own_alone(tmp_path: Path, models: str) -> None:
    folder = tmp_path / "tapes"

    async def main(daemon: RunningDaemon) -> list[list[dict[str, Any]]]:
        said = await asyncio.gather(say(daemon, range(100, 140)), say(daemon, range(200, 240)))
        async with calling(daemon.control) as control:
            assert (await control.hear("connected"))["recorded"] is True
            await control.say(type="get_status")
            assert (await control.hear("status"))["recorded"] is True
            await control.say(type="start_recording")
            assert (await control.hear("recording_started"))["recorded"] is True
        return said

    with running_daemon(tmp_path, "--models", models, "--vad", "seed", "--record", str(folder)) as daemon:
        said = asyncio.run(main(daemon))
        assert health(daemon)["recorded"] is True
        assert "Every session is recorded to disk" in daemon.log.read_text()
    names = [heard[0]["session_id"] for heard in said]
    for name, other, heard, strange in zip(names, names[::-1], said, said[::-1], strict=True):
        assert all(event["recorded"] for event in heard)
        assert heard[0]["type"] == "recording_started", "the first thing it hears"
        (file,) = folder.glob(f"*-{name}.hotmic")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        code, events, err = replay(file)
        assert (code, "identical" in err) == (0, True), err
        for kind, wire in (
            ("FinalTranscribed", "final_transcription"),
            ("PartialTranscribed", "realtime_transcription"),
        ):
            assert texts(events, kind) == texts(heard, wire)
        assert {event["session_id"] for event in events} == {name}
        data = file.read_bytes()
        assert other.encode() not in data
        assert b"127.0.0.1" not in data
        for text in texts(strange, "final_transcription"):
            assert text.encode() not in data
    assert len(list(folder.iterdir())) == 2


def test_a_daemon_that_records_nothing_says_nothing_of_it(tmp_path: Path, models: str) -> None:
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        heard = asyncio.run(say(daemon, range(40)))
        assert not any("recorded" in event for event in heard)
        assert health(daemon)["recorded"] is False


def test_real_speech_from_a_terminal_that_is_told_replays_exactly(tmp_path: Path) -> None:
    folder = tmp_path / "tapes"
    words = json.loads((CLIPS / "clips.json").read_text())["three_sentences"]["text"]
    clip = str(CLIPS / "three_sentences.wav")
    with running_daemon(tmp_path, "--record", str(folder)) as daemon:
        uris = ("--uri-control", daemon.control, "--uri-audio", daemon.audio)
        command = [sys.executable, str(CLIENT), "--file", clip, "--speed", "2", *uris]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("This session is being recorded to disk.\n") == 1
    (file,) = folder.iterdir()
    code, events, err = replay(file)
    assert code == 0, err
    assert " ".join(texts(events, "FinalTranscribed")) == words


def test_a_killed_daemon_leaves_a_file_that_replays(tmp_path: Path, models: str) -> None:
    folder = tmp_path / "tapes"

    async def main(daemon: RunningDaemon) -> None:
        async with calling(daemon.audio) as audio:
            await audio.say(type="configure")
            for number in range(60):
                await audio.socket.send(echo.chunk(number).tobytes())
                await asyncio.sleep(0.02)
            await audio.hear("realtime_transcription")
        daemon.process.kill()

    with running_daemon(tmp_path, "--models", models, "--vad", "seed", "--record", str(folder)) as daemon:
        asyncio.run(main(daemon))
    (file,) = folder.iterdir()
    code, events, err = replay(file)
    assert code == 0, err
    assert texts(events, "PartialTranscribed")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_disk_that_fills_up_costs_the_file_and_no_word(tmp_path: Path, models: str) -> None:
    import resource

    folder = tmp_path / "tapes"
    with running_daemon(tmp_path, "--models", models, "--vad", "seed", "--record", str(folder)) as daemon:
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
        for _ in range(2):
            heard = asyncio.run(say(daemon, range(40)))
            assert texts(heard, "final_transcription") == [" ".join(map(str, range(40)))]
            marks = ["recorded" in event for event in heard]
            assert marks == sorted(marks, reverse=True), "those after the failure say nothing"
            assert marks[0]
            assert not marks[-1]
        warnings = health(daemon)["warnings"]
        assert [warning["message"] for warning in warnings if warning["code"] == "record"] == [
            "Sessions can no longer be recorded: File too large."
        ]
        assert daemon.log.read_text().count("no longer be recorded") == 1
    for file in folder.iterdir():
        assert file.stat().st_size == 50_000
        code, _, err = replay(file)
        assert code == 0, err
        assert "middle of an entry" in err


def test_a_folder_that_cannot_be_used_keeps_the_daemon_from_starting(tmp_path: Path, models: str) -> None:
    with pytest.raises(RuntimeError, match="hotmic: record: cannot make the folder"):
        start_daemon(tmp_path, "--models", models, "--record", f"{models}/below")
