"""The same protocol at every door: its own port, a port of the setting, and a path of the HTTP port."""

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from running import CLIPS, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration
CLIP = CLIPS / "lights_kitchen.wav"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("doors")
    with running_daemon(folder, "--listen", "0/speak=audio", "--listen", "0=control") as daemon:
        yield daemon


async def said(uri: str) -> str:
    with wave.open(str(CLIP)) as file:
        sound = file.readframes(file.getnframes())
    async with calling(uri) as speaker:
        for begin in range(0, len(sound), 3200):
            await speaker.socket.send(sound[begin : begin + 3200])
        await speaker.say(type="audio_end")
        return str((await speaker.hear("final_transcription"))["text"])


def test_speech_is_heard_at_every_door(daemon: RunningDaemon) -> None:
    gateway = daemon.http.replace("http", "ws", 1)
    doors = [daemon.audio, f"{gateway}/ws/audio", f"{daemon.addresses['audio-1']}/speak"]
    texts = asyncio.run(_each(doors))
    assert texts == ["turn on the kitchen lights"] * 3


async def _each(doors: list[str]) -> list[str]:
    return [await said(f"{door}?channel=door-{number}") for number, door in enumerate(doors)]


def test_control_answers_at_every_door(daemon: RunningDaemon) -> None:
    async def main() -> None:
        gateway = daemon.http.replace("http", "ws", 1)
        for door in (daemon.control, f"{gateway}/ws/control", f"{daemon.addresses['control-2']}/any/path"):
            async with calling(door) as client:
                await client.hear("connected", current_model="demo-en")
                await client.say(type="ping", request_id=7)
                await client.hear("pong", request_id=7)

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/ws/nothing", "/metrics", "/index.html"])
def test_a_path_without_a_socket_is_not_found(daemon: RunningDaemon, path: str) -> None:
    async def main() -> None:
        for door in (daemon.http.replace("http", "ws", 1), daemon.addresses["audio-1"]):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"{door}{path}"):
                    pass
            assert caught.value.response.status_code == 404
            assert b"not_found" in (caught.value.response.body or b"")

    asyncio.run(main())


def test_a_foreign_page_is_refused_at_every_door(daemon: RunningDaemon) -> None:
    async def main() -> None:
        for door in (daemon.audio, daemon.http.replace("http", "ws", 1) + "/ws/audio"):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(door, origin="https://evil.example"):  # type: ignore[arg-type]
                    pass
            assert caught.value.response.status_code == 403

    asyncio.run(main())


def test_a_mistake_in_the_setting_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="unknown dialect 'klingon'"),
        running_daemon(tmp_path, "--listen", "0=klingon"),
    ):
        pass
