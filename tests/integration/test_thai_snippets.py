"""Every program and message that the document of the server with two sockets prints, with right words."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certificates import make_certificate, trusting
from nginx_support import free_ports, nginx_with
from running import Caller, RunningDaemon, calling, running_daemon
from seed_stage import (
    CLIP,
    LIMIT_S,
    SEEDS,
    TEXTS,
    assert_like,
    browsing,
    copy_of,
    line_with,
    messages_of,
    port_of,
    run_node,
    run_python,
    show,
    sound,
    swapped,
    talking_shell,
)

pytestmark = pytest.mark.integration

TEXT = TEXTS[CLIP]
HOST = "your-domain.com"
REGISTRY = """\
default: demo-en
models:
  - {id: demo-en, name: Demo, type: faster_whisper, source: {bundled: demo-en}, languages: [en], min_window_s: 1}
  - id: biodatlab-medium-faster
    name: The bundled model in its place
    type: faster_whisper
    source: {bundled: demo-en}
    languages: [en]
    description: The model that the document loads.
    performance_tier: balanced
    recommended: true
    min_window_s: 1
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    (tmp_path / "models.yaml").write_text(REGISTRY)
    (tmp_path / "hotmic.yaml").write_text(f"allowed_hosts: [{HOST}]\nauth: none\n")
    files = ("--models", str(tmp_path / "models.yaml"), "--config", str(tmp_path / "hotmic.yaml"))
    with running_daemon(tmp_path, "--compat", "thai_dual_socket", *files) as daemon:
        yield daemon


async def next_of(caller: Caller) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_S):
        return dict(json.loads(await caller.socket.recv()))


async def speak(caller: Caller) -> None:
    """Send a clip and silence in the document's own message, with the sound in the place of its words for it."""
    (printed,) = messages_of("thai_audio_chunk.json")
    pcm = sound(after=1.5)
    for begin in range(0, len(pcm), 3_200):
        chunk = base64.b64encode(pcm[begin : begin + 3_200]).decode()
        await caller.socket.send(copy_of("thai_audio_chunk.json").replace(printed["data"], chunk))
        await asyncio.sleep(0.05)


def test_control_messages(daemon: RunningDaemon) -> None:
    (connected,) = messages_of("thai_connected.json")
    load, loaded = messages_of("thai_load_model.json")
    ask, models = messages_of("thai_models.json")
    start, stop = messages_of("thai_recording.json")

    async def main() -> None:
        async with calling(daemon.control) as caller, calling(daemon.audio) as audio:
            assert_like(await next_of(caller), connected)
            await caller.say(**ask)
            found = await caller.hear("available_models")
            assert_like(found, models)
            assert models["models"][0]["id"] in {model["id"] for model in found["models"]}
            await caller.say(**load)
            answer = await caller.hear("model_loaded", limit=LIMIT_S)
            assert_like(answer, loaded)
            assert {key: answer[key] for key in loaded} == loaded
            await caller.say(**start)
            await caller.hear("recording_started")
            await speak(audio)
            await caller.say(**stop)
            await caller.hear("recording_stopped", limit=LIMIT_S)
            finals = [message for message in caller.heard if message["type"] == "final_transcription"]
            assert [(final["text"], final["model"]) for final in finals] == [(TEXT, load["model_id"])]

    asyncio.run(main())


def test_audio_messages(daemon: RunningDaemon) -> None:
    (partial,), (final,) = messages_of("thai_realtime.json"), messages_of("thai_final.json")

    async def main() -> None:
        async with calling(daemon.audio) as caller:
            await speak(caller)
            await caller.socket.send(copy_of("thai_audio_end.json"))
            told = await caller.hear("final_transcription", limit=LIMIT_S)
            assert told["text"] == TEXT
            assert_like(told, final)
            assert told["is_final"] is final["is_final"]
            partials = [message for message in caller.heard if message["type"] == partial["type"]]
            assert partials
            for message in partials:
                assert_like(message, partial)
                assert message["is_final"] is partial["is_final"]

    asyncio.run(main())


def test_browser_client(daemon: RunningDaemon, tmp_path: Path) -> None:
    """The page calls its function with the sound, and has the two functions that show text."""
    pcm = base64.b64encode(sound(after=1.5)).decode()
    stage = """
        globalThis.shown = [];
        globalThis.updateRealtimeDisplay = (text) => shown.push(["realtime", text]);
        globalThis.updateFinalDisplay = (text, data) => shown.push(["final", text, data.is_final]);
    """
    with browsing(daemon.audio, tmp_path) as (page, problems):
        page.add_init_script(stage)
        show(page, daemon, f"<link rel=icon href=data:><script>{copy_of('thai_client.js')}</script>")
        page.wait_for_function("audioWs.readyState === WebSocket.OPEN")
        page.evaluate(
            """(pcm) => {
                const bytes = Uint8Array.from(atob(pcm), (c) => c.charCodeAt(0));
                for (let begin = 0; begin < bytes.length; begin += 2048) {
                    sendAudioChunk(bytes.subarray(begin, begin + 2048));
                }
            }""",
            pcm,
        )
        page.wait_for_function("shown.some(([kind]) => kind === 'final')")
        assert page.evaluate("shown")[-1] == ["final", TEXT, True]
        assert problems == []


def test_python_client(daemon: RunningDaemon) -> None:
    """It sends one chunk and reads one message: the first words. The final comes to who listens on."""

    async def main() -> None:
        async with calling(daemon.control) as control:
            (line,) = await asyncio.to_thread(run_python, "thai_client.py", daemon.audio)
            text = line.removeprefix("Transcription: ")
            final = await control.hear("final_transcription", limit=LIMIT_S)
            assert final["text"] == TEXT
            assert text != line
            assert text
            assert TEXT.startswith(text)

    asyncio.run(main())


def test_node_client(daemon: RunningDaemon, tmp_path: Path) -> None:
    told = run_node(SEEDS / "thai_client_node.js", {"localhost:8766": port_of(daemon.audio)}, tmp_path)
    assert told[0] == ["log", "Connected to Thai ASR server"]
    assert ["log", "Thai text:", TEXT] in told
    assert any(kind == "realtime_transcription" for kind, *_ in told)


def test_monitoring_with_wscat(daemon: RunningDaemon, tmp_path: Path) -> None:
    """The two lines before it would go on for ever: a graphics card and a log are watched by stand-ins that end."""
    doors = {"localhost:8765": port_of(daemon.control)}
    programs = {"nvidia-smi": "", "tail": 'echo "$@"'}

    async def main() -> None:
        async with talking_shell("thai_monitoring.sh", tmp_path, doors, **programs) as shell:
            assert await line_with(shell, "server.log") == "-f server.log\n"
            greeting = json.loads(await line_with(shell, '"connected"'))
            assert_like(greeting, messages_of("thai_connected.json")[0])

    asyncio.run(main())


def test_behind_the_nginx_of_the_document(daemon: RunningDaemon, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    make_certificate(tmp_path, HOST)
    swaps = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/path/to/": f"{tmp_path}/",
        "127.0.0.1:8765": f"127.0.0.1:{port_of(daemon.control)}",
        "127.0.0.1:8766": f"127.0.0.1:{port_of(daemon.audio)}",
    }
    trust = {"host": "127.0.0.1", "ssl": trusting(tmp_path)}
    door = f"wss://{HOST}:{port}/ws"

    async def main() -> None:
        async with calling(f"{door}/control", **trust) as control, calling(f"{door}/audio", **trust) as audio:
            assert_like(await next_of(control), messages_of("thai_connected.json")[0])
            await speak(audio)
            assert (await audio.hear("final_transcription", limit=LIMIT_S))["text"] == TEXT
            assert (await control.hear("final_transcription", limit=LIMIT_S))["text"] == TEXT

    with nginx_with(swapped("thai_nginx.conf", swaps), tmp_path, port):
        asyncio.run(main())
