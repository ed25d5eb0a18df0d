"""What the document of the live caption server prints beside its two clients: lines, snippets and messages."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import Caller, RunningDaemon, calling, running_daemon
from seed_stage import (
    CLIP,
    LIMIT_S,
    TEXTS,
    assert_like,
    browsing,
    console,
    copy_of,
    messages_of,
    python_at,
    run_shell,
    save_sound,
    show,
    sound,
)
from wav_support import NO_SOUND

pytestmark = pytest.mark.integration

CLIENT = Path(__file__).parents[2] / "clients" / "live_caption_client.py"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path_factory.mktemp("captions"), "--compat", "live_caption") as daemon:
        yield daemon


def printed(name: str) -> dict[str, Any]:
    (message,) = messages_of(name)
    return message


async def next_of(caller: Caller) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_S):
        return dict(json.loads(await caller.socket.recv()))


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        ("live_caption_file.sh", TEXTS[CLIP]),
        ("live_caption_ping.sh", "pong in "),
        ("live_caption_simulate.sh", "buffering, 0.5 of 2.0 s"),
    ],
)
def test_lines_of_the_test_program(daemon: RunningDaemon, tmp_path: Path, copy: str, said: str) -> None:
    """``test_websocket.py`` is the original's; hotmic's client understands the same arguments."""
    recording = save_sound(tmp_path / "test.wav", after=2.0)
    lines = run_shell(copy, tmp_path, python=python_at(daemon.control, recording, CLIENT))
    assert " ".join(" ".join(lines).split()).startswith(said)


def test_sending_a_blob(daemon: RunningDaemon, tmp_path: Path) -> None:
    """Two statements, which wait: typed into the console of a page that has the blob and the socket."""
    recording = save_sound(tmp_path / "blob.wav", after=2.0).read_bytes()
    with browsing(daemon.control, tmp_path) as (page, problems):
        show(page, daemon, "<link rel=icon href=data:>")
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))
        type_in = console(page)
        wav = base64.b64encode(recording).decode()
        type_in(f"const audioBlob = new Blob([Uint8Array.from(atob('{wav}'), (c) => c.charCodeAt(0))])")
        type_in("const websocket = new WebSocket('ws://localhost:8765')")
        type_in("websocket.onmessage = (event) => console.log(JSON.parse(event.data).text ?? '')")
        page.wait_for_function("websocket.readyState === WebSocket.OPEN")
        with page.expect_console_message(lambda _: " ".join(" ".join(heard).split()) == TEXTS[CLIP]):
            type_in(copy_of("live_caption_blob.js"))
        assert problems == []


def test_messages_to_the_server(daemon: RunningDaemon) -> None:
    """Each is sent as it is printed, and does what it is for."""

    async def main() -> None:
        async with calling(daemon.control) as caller:
            assert_like(await next_of(caller), printed("live_caption_connected.json"))
            await caller.socket.send(copy_of("live_caption_config.json"))
            await caller.socket.send(sound()[: 16_000 * 2])
            assert_like(await next_of(caller), printed("live_caption_buffering.json"))
            await caller.socket.send(copy_of("live_caption_clear_buffer.json"))
            await caller.socket.send(copy_of("live_caption_ping.json"))
            assert_like(await next_of(caller), printed("live_caption_pong.json"))
            await caller.socket.send(sound("timer", after=2.0))
            text = ""
            while text.strip() != TEXTS["timer"]:
                message = await next_of(caller)
                assert message["type"] == "transcription", "what was said before was cleared"
                text = f"{text} {message['text']}"

    asyncio.run(main())


def test_messages_from_the_server(daemon: RunningDaemon) -> None:
    """Each has every field that is printed, with its type; transcripts and buffering have no others."""

    async def main() -> None:
        async with calling(daemon.control) as caller:
            assert_like(await next_of(caller), printed("live_caption_connected.json"))
            heard: dict[str, dict[str, Any]] = {}
            pcm = sound(after=2.0)
            for begin in range(0, len(pcm), 32_000):
                await caller.socket.send(pcm[begin : begin + 32_000])
                message = await next_of(caller)
                heard[message["type"]] = message
            for name in ("live_caption_transcription.json", "live_caption_buffering.json"):
                message = heard[printed(name)["type"]]
                assert_like(message, printed(name))
                assert message.keys() == printed(name).keys()
            await caller.socket.send(copy_of("live_caption_ping.json"))
            assert_like(await next_of(caller), printed("live_caption_pong.json"))

        async with calling(daemon.control) as caller:
            await next_of(caller)
            await caller.socket.send(next(iter(NO_SOUND.values())))
            assert_like(await next_of(caller), printed("live_caption_error.json"))

    asyncio.run(main())
