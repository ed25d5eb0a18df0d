"""``hotmic ping`` and the three ways of the live caption client."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

import live_caption_client
from container_support import record
from running import CLIPS, RunningDaemon, running_daemon
from wav_support import read_clip

pytestmark = pytest.mark.integration

CLIENT = Path(__file__).parents[2] / "clients" / "live_caption_client.py"
TEXT = str(json.loads((CLIPS / "clips.json").read_text())["flight"]["text"])
LIMIT = 60.0
"""Seconds for anything; the machine may be busy."""
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path_factory.mktemp("captions")) as running:
        yield running


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL
    )


def words(output: str) -> str:
    return " ".join(output.split())


@pytest.mark.parametrize("mode", [(), ("--simulate",)])
def test_a_file_is_heard(daemon: RunningDaemon, mode: tuple[str, ...]) -> None:
    done = run(str(CLIENT), str(CLIPS / "flight.wav"), *mode, "--uri", daemon.control, "--language", "en")
    assert (done.returncode, words(done.stdout)) == (0, TEXT), done.stderr
    assert "model demo-en" in done.stderr


def test_a_recording_of_a_browser_is_heard(daemon: RunningDaemon, tmp_path: Path) -> None:
    path = tmp_path / "talk.webm"
    path.write_bytes(record(read_clip(CLIPS / "flight.wav"), "webm"))
    done = run(str(CLIENT), str(path), "--uri", daemon.control)
    assert (done.returncode, words(done.stdout)) == (0, TEXT), done.stderr


def test_made_up_sound_is_answered(daemon: RunningDaemon) -> None:
    done = run(str(CLIENT), "--simulate", "--json", "--uri", daemon.control)
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert (done.returncode, kinds) == (0, ["buffering"] * 6), done.stderr
    assert run(str(CLIENT), "--simulate", "--uri", daemon.control).stdout.splitlines() == [
        f"buffering, {seconds} of 2.0 s" for seconds in (0.5, 1.0, 1.5, 2.0, 2.0, 2.0)
    ]


def test_the_client_pings(daemon: RunningDaemon) -> None:
    done = run(str(CLIENT), "--ping", "--uri", daemon.control)
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["pong", "in"]), done.stderr


def test_what_goes_wrong_is_said_in_a_sentence(daemon: RunningDaemon, tmp_path: Path) -> None:
    nobody = "ws://127.0.0.1:9"
    assert run(str(CLIENT)).returncode == 2
    cases = (
        (1, (str(CLIENT), "--ping", "--uri", nobody)),
        (2, (str(CLIENT), str(tmp_path / "nothing.wav"), "--uri", daemon.control)),
        (1, (str(CLIENT), "--ping", "--uri", f"{daemon.control}/nowhere")),
        (1, (str(CLIENT), str(CLIPS / "flight.wav"), "--uri", daemon.control, "--language", "xx")),
        (1, ("-m", "hotmic", "ping", nobody)),
        (1, ("-m", "hotmic", "ping", "nonsense")),
        (1, ("-m", "hotmic", "ping", f"{daemon.control}/nowhere")),
        (1, ("-m", "hotmic", "ping", daemon.http.replace("http", "ws", 1))),
    )
    for code, command in cases:
        done = run(*command)
        assert done.returncode == code, (command, done.stderr)
        assert done.stderr.strip(), command
        assert "Traceback" not in done.stderr, command
        assert not re.search(r"\.\.$|: $", done.stderr.rstrip("\n")), (command, done.stderr)


def test_hotmic_ping(daemon: RunningDaemon) -> None:
    gateway = daemon.http.replace("http", "ws", 1)
    for uri, model in (
        (daemon.control, "demo-en"),
        (f"{gateway}/ws/live-caption", "demo-en"),
        (f"{gateway}/ws/control", "demo-en"),
        (daemon.audio, ""),
    ):
        done = run("-m", "hotmic", "ping", uri)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{uri} answers in "), done.stdout
        assert done.stdout.rstrip().endswith(f" ms; it serves {model}." if model else " ms."), done.stdout


def test_hotmic_ping_with_a_token(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"desk:{TOKEN}\n")
    with running_daemon(tmp_path, "--tokens", str(tokens)) as daemon:
        assert run("-m", "hotmic", "ping", daemon.control, "--token", TOKEN).returncode == 0
        for more in ((), ("--token", "wrong" * 5)):
            done = run("-m", "hotmic", "ping", daemon.control, *more)
            assert done.returncode == 1
            assert re.search("refuses.* token", done.stderr), done.stderr


def test_hotmic_ping_of_somebody_else() -> None:
    """A server that takes everything and answers nothing, or rubbish."""

    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def rubbish(socket: ServerConnection) -> None:
        await socket.send("[1, 2]")
        await socket.send("hello")
        await socket.wait_closed()

    async def main() -> None:
        for behaviour in (silent, rubbish):
            async with serve(behaviour, "127.0.0.1", 0) as server:
                uri = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
                done = await asyncio.to_thread(run, "-m", "hotmic", "ping", uri, "--timeout", "1")
                assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
                assert uri in done.stderr

        async with serve(rubbish, "127.0.0.1", 0) as server:
            uri = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            done = await asyncio.to_thread(run, str(CLIENT), "--ping", "--uri", uri)
            assert (done.returncode, "no live caption protocol" in done.stderr) == (1, True), done.stderr

    asyncio.run(main())


def test_the_client_says_that_nobody_answers(
    daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live_caption_client, "ANSWER_S", 0.1)
    assert live_caption_client.main(["--ping", "--uri", daemon.audio]) == 1
    assert capsys.readouterr().err == f"{daemon.audio}: no answer\n"
