"""The clients that the documents of two other servers print, unmodified, with right words."""

import asyncio
import base64
import json
import os
import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soxr
import typer
from typer.testing import CliRunner
from websockets.sync.client import connect

from hotmic.cli.serve import serve
from hotmic.config.settings import Settings
from running import CLIPS, RunningDaemon, calling, running_daemon
from seed_stage import (
    CLIP,
    INTEGRATION,
    LIMIT_S,
    SEEDS,
    TEXTS,
    assert_like,
    browsing,
    copy_of,
    messages_of,
    run_python,
    run_shell,
    show,
    sound,
)

pytestmark = pytest.mark.integration

MODELS = Path(__file__).parents[2] / "models.yaml"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("seeds")
    with running_daemon(folder, "--compat", "simul", "--listen", "0/ws/transcription=simul") as daemon:
        yield daemon


async def run(*command: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return output.decode().splitlines()


def test_the_address_of_the_original_is_not_taken_over(daemon: RunningDaemon) -> None:
    assert "The original listens on every address" in daemon.log.read_text()
    assert {urlsplit(url).hostname for url in daemon.addresses.values()} == {"127.0.0.1"}


def test_python_client_of_bare_text(daemon: RunningDaemon) -> None:
    assert run_python("plain_text_client.py", daemon.http) == [TEXTS[CLIP]]


def test_javascript_client_of_bare_text(daemon: RunningDaemon, tmp_path: Path) -> None:
    pcm = base64.b64encode(sound(after=0.5)).decode()
    with browsing(daemon.http, tmp_path) as (page, problems):
        page.add_init_script(f"globalThis.audioBuffer = Uint8Array.from(atob('{pcm}'), (c) => c.charCodeAt(0)).buffer;")
        with page.expect_console_message(lambda message: message.text.startswith("Transcription:")) as told:
            show(page, daemon, f"<link rel=icon href=data:><script>{copy_of('plain_text_client.js')}</script>")
        assert told.value.text == f"Transcription: {TEXTS[CLIP]}"
        assert problems == []


def test_devices_of_bare_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists microphones and asks no server: the stage has a loudspeaker and a microphone."""
    devices = [
        {"name": "loudspeaker", "maxInputChannels": 0, "defaultSampleRate": 48_000.0},
        {"name": "microphone", "maxInputChannels": 1, "defaultSampleRate": 16_000.0},
    ]

    class PyAudio:
        def get_device_count(self) -> int:
            return len(devices)

        def get_device_info_by_index(self, index: int) -> dict[str, Any]:
            return devices[index]

    module = types.ModuleType("pyaudio")
    module.__dict__["PyAudio"] = PyAudio
    monkeypatch.setitem(sys.modules, "pyaudio", module)
    runpy.run_path(str(SEEDS / "plain_text_devices.py"))
    assert capsys.readouterr().out.splitlines() == [
        "Device 1: microphone",
        "  - Channels: 1",
        "  - Sample Rate: 16000.0",
    ]


STARTS: dict[str, dict[str, Any]] = {
    "plain_text_server.sh": {"http_port": 8000},
    "plain_text_server_options.sh": {
        "host": "0.0.0.0",
        "http_port": 8000,
        "model": "hindi2hinglish-swift",
        "device": "cuda",
        "compute_type": "float16",
    },
    "plain_text_server_swift.sh": {"model": "hindi2hinglish-swift"},
    "plain_text_server_prime.sh": {"model": "hindi2hinglish-prime"},
    "plain_text_server_gpu.sh": {"device": "cuda", "compute_type": "float16"},
    "plain_text_server_cpu.sh": {"device": "cpu", "compute_type": "float32"},
    "plain_text_server_port.sh": {"http_port": 8001},
}


@pytest.mark.parametrize("copy", STARTS)
def test_starts_of_the_server_of_bare_text(copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments of the original's line, as the shell splits them, are taken by ``hotmic serve``."""
    program, *arguments = run_shell(copy, tmp_path, python="printf '%s\\n' \"$@\"")
    assert program == "websocket_server.py"
    for name in os.environ:
        if name.startswith("HOTMIC_"):
            monkeypatch.delenv(name)
    started: list[Settings] = []
    module = sys.modules["hotmic.cli.serve"]
    monkeypatch.setattr(module, "run", lambda settings: started.append(settings) or 0)
    monkeypatch.setattr(module, "configure_log", lambda **_: None)
    app = typer.Typer()
    app.command()(serve)
    done = CliRunner().invoke(app, ["--compat", "hindi2hinglish", "--models", str(MODELS), *arguments])
    assert (done.exit_code, len(started)) == (0, 1), done.output
    assert {key: getattr(started[0], key) for key in STARTS[copy]} == STARTS[copy]


def test_sending_an_array_to_simul(daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ``[...]`` stands for the sound, and its ``websocket`` for an open one."""
    samples = np.frombuffer(sound(after=2.0), dtype="<i2") / 32_768
    array = np.array
    monkeypatch.setattr(np, "array", lambda what, **more: array(samples if what == [...] else what, **more))
    with connect(f"{daemon.addresses['simul-1']}/ws/transcription?client_id=user") as websocket:
        runpy.run_path(str(SEEDS / "simul_send.py"), init_globals={"websocket": websocket})
        heard: list[dict[str, Any]] = []
        while "".join(message["text"] for message in heard) != TEXTS[CLIP]:
            heard.append(json.loads(websocket.recv(timeout=LIMIT_S)))
    (printed,) = messages_of("simul_transcript.json")
    for message in heard:
        assert_like(message, printed)
        assert (message.keys(), message["client_id"]) == (printed.keys(), printed["client_id"])


def test_eight_clients_of_numpy_arrays_at_once(daemon: RunningDaemon) -> None:
    clips = list(TEXTS)[:4] * 2
    door = f"{daemon.addresses['simul-1']}/ws/transcription"

    async def main() -> list[list[str]]:
        client = str(INTEGRATION / "simul_client.py")
        runs = [run(client, f"{door}?client_id=c{n}", str(CLIPS / f"{clip}.wav")) for n, clip in enumerate(clips)]
        return await asyncio.gather(*runs)

    for number, (clip, lines) in enumerate(zip(clips, asyncio.run(main()), strict=True)):
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
        assert all(message.keys() == {"type", "client_id", "text", "timestamp"} for message in messages)
        assert {(m["type"], m["client_id"]) for m in messages} == {("transcript", f"c{number}")}
        assert all(isinstance(message["timestamp"], float) for message in messages)
        assert "".join(message["text"] for message in messages) == TEXTS[clip]


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 48_000])
@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_every_rate_and_frame_of_bare_text(daemon: RunningDaemon, tmp_path: Path, rate: int, frame_ms: int) -> None:
    resampled = soxr.resample(np.frombuffer(sound(), dtype="<i2"), 16_000, rate).tobytes() + bytes(2 * rate)
    size = rate * frame_ms // 1000 * 2

    async def main() -> str:
        door = f"{daemon.http.replace('http', 'ws', 1)}/?sample_rate={rate}"
        async with calling(door) as client, asyncio.timeout(30):
            for begin in range(0, len(resampled), size):
                await client.socket.send(resampled[begin : begin + size])
            return str(await client.socket.recv())

    assert asyncio.run(main()) == TEXTS[CLIP]
