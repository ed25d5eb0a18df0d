"""Clients that send too much, with real sockets on loopback: slowed or refused, nothing lost, others undisturbed."""

import asyncio
import base64
import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from hotmic.engines import echo
from hotmic_client import Client, ClientError
from running import Caller, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

REGISTRY = "default: echo\nmodels:\n  - {id: echo, name: Echo, type: echo, languages: [en]}\n"
COUNT = 1200
SPEED, BURST_S = 40.0, 10.0
HELD_S = (COUNT / 10 - BURST_S) / SPEED
LIMITS = {"HOTMIC_MAX_AUDIO_SPEED": f"{SPEED:g}", "HOTMIC_AUDIO_BURST_S": f"{BURST_S:g}"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("registry") / "models.yaml"
    path.write_text(REGISTRY)
    return str(path)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, models: str) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    with running_daemon(folder, "--models", models, "--vad", "seed", env=LIMITS) as running:
        yield running


def numbers_of(heard: list[dict[str, Any]]) -> list[int]:
    return [int(n) for m in heard if m["type"] == "final_transcription" for n in m["text"].split()]


async def push(caller: Caller, *, numbered: bool, ends: bool = True) -> None:
    """Send two minutes of sound at once."""
    for number in range(COUNT):
        data = echo.chunk(number).tobytes()
        if numbered:
            await caller.say(type="audio_chunk", seq=number, data=base64.b64encode(data).decode())
        else:
            await caller.socket.send(data)
    if ends:
        await caller.say(type="audio_end")


async def listen(caller: Caller) -> None:
    async for frame in caller.socket:
        caller.heard.append(json.loads(frame))


@pytest.mark.parametrize("numbered", [True, False])
def test_two_minutes_at_once_lose_nothing_and_are_slowed(daemon: RunningDaemon, numbered: bool) -> None:
    async def main() -> None:
        room = f"?channel=pushed-{numbered}"
        async with calling(daemon.control + room) as control, calling(daemon.audio + room) as audio:
            began = time.monotonic()
            pushing = asyncio.create_task(push(audio, numbered=numbered))
            listening = asyncio.create_task(listen(audio))
            await control.hear("recording_stopped", limit=60)
            lasted = time.monotonic() - began
            await pushing
            listening.cancel()
            assert numbers_of(control.heard) == list(range(COUNT))
            assert lasted >= HELD_S
            assert not [m for m in control.heard if m["type"] in ("warning", "error")], "told to the speaker alone"
            if numbered:
                (warning,) = [m for m in audio.heard if m["type"] == "warning"]
                assert warning["code"] == "rate_limited"
                assert 0 < warning["retry_after_ms"] <= 1000

    asyncio.run(main())
    with urllib.request.urlopen(f"{daemon.http}/metrics") as answer:
        series = answer.read().decode()
    (held,) = [line.split()[1] for line in series.splitlines() if line.startswith("hotmic_held_seconds_total ")]
    assert float(held) >= HELD_S / 2


@pytest.mark.parametrize("numbered", [True, False])
def test_who_closes_behind_the_last_chunk_is_heard_to_the_end(daemon: RunningDaemon, numbered: bool) -> None:
    async def main() -> None:
        room = f"?channel=left-{numbered}"
        async with calling(daemon.control + room) as control:
            async with calling(daemon.audio + room, close_timeout=30) as audio:
                listening = asyncio.create_task(listen(audio))
                await push(audio, numbered=numbered, ends=False)
                await audio.socket.close()
                await listening
            while len(numbers_of(control.heard)) < COUNT:
                await control.hear("final_transcription", limit=25)  # sooner than a session waits for its speaker
            assert numbers_of(control.heard) == list(range(COUNT))

    asyncio.run(main())


def test_the_client_library_passes_the_warning_on_and_hears_everything(daemon: RunningDaemon) -> None:
    async def main() -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        async with Client(daemon.control, daemon.audio, channel="library") as client:

            async def speak() -> None:
                for number in range(COUNT):
                    await client.send_audio(echo.chunk(number).tobytes())
                await client.end_audio()

            speaking = asyncio.create_task(speak())
            async with asyncio.timeout(60):
                async for event in client.events():
                    heard.append(event)
                    if event["type"] == "recording_stopped":
                        break
            await speaking
        return heard

    heard = asyncio.run(main())
    assert numbers_of(heard) == list(range(COUNT))
    assert [m["code"] for m in heard if m["type"] == "warning"] == ["rate_limited"]


def test_a_flood_of_commands_is_refused_and_others_are_served(daemon: RunningDaemon) -> None:
    async def main() -> None:
        flood = 400
        async with (
            calling(f"{daemon.control}?channel=flood") as flooder,
            calling(f"{daemon.control}?channel=calm") as control,
            calling(f"{daemon.audio}?channel=calm") as audio,
        ):
            await flooder.hear("connected")

            async def shout() -> None:
                for number in range(flood):
                    await flooder.say(type="subscribe", channel=f"flood-{number}", request_id=number)

            async def count() -> list[dict[str, Any]]:
                async with asyncio.timeout(30):
                    return [json.loads(await flooder.socket.recv()) for _ in range(flood)]

            shouting, counting = asyncio.create_task(shout()), asyncio.create_task(count())
            for number in range(30):
                await audio.socket.send(echo.chunk(number).tobytes())
            await audio.say(type="audio_end")
            await control.hear("recording_stopped")
            assert numbers_of(control.heard) == list(range(30))
            await control.say(type="ping")
            await control.hear("pong")
            await shouting
            answers = await counting
            assert [answer["request_id"] for answer in answers] == list(range(flood))
            kinds = [answer["type"] for answer in answers]
            assert kinds[:40] == ["subscribed"] * 40
            refused = [answer for answer in answers if answer["type"] == "error"]
            assert len(refused) > flood / 2
            assert {answer["code"] for answer in refused} == {"rate_limited"}
            assert all(0 < answer["retry_after_ms"] <= 50 for answer in refused)
            await asyncio.sleep(max(answer["retry_after_ms"] for answer in refused) / 1000)
            await flooder.say(type="ping", request_id="after")
            await flooder.hear("pong", request_id="after")

    asyncio.run(main())


def test_connections_and_streams_per_token(tmp_path: Path, models: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("alice:0123456789abcdef\nbob:fedcba9876543210\n")
    env = {"HOTMIC_MAX_CONNECTIONS_PER_TOKEN": "3", "HOTMIC_MAX_STREAMS_PER_TOKEN": "1"}
    alice, bob = ({"Authorization": f"Bearer {token}"} for token in ("0123456789abcdef", "fedcba9876543210"))

    async def refusal(caller: Caller) -> tuple[str, int]:
        """Return what was refused, and the code of the close that follows."""
        error = await caller.hear("error")
        assert (error["code"], error["retryable"], error["retry_after_ms"]) == ("rate_limited", True, 5000)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await caller.socket.recv()
        assert closed.value.rcvd is not None
        return error["message"], closed.value.rcvd.code

    async def main(daemon: RunningDaemon) -> None:
        async with (
            calling(daemon.control, additional_headers=alice) as control,
            calling(daemon.audio, additional_headers=alice) as first,
            calling(daemon.audio, additional_headers=alice) as second,
            calling(daemon.audio, additional_headers=bob) as other,
        ):
            await first.socket.send(echo.chunk(0).tobytes())
            await control.hear("recording_started")
            for uri in (daemon.audio, daemon.control):
                async with calling(uri, additional_headers=alice) as late:
                    assert await refusal(late) == ("Too many connections from this token.", 1013)
            async with calling(daemon.control) as late:
                await late.say(type="authenticate", token="0123456789abcdef")
                assert await refusal(late) == ("Too many connections from this token.", 1013)
            with pytest.raises(ClientError, match="Too many connections from this token"):
                await Client(daemon.control, daemon.audio, token="0123456789abcdef").open()
            await second.socket.send(echo.chunk(0).tobytes())
            assert await refusal(second) == ("Too many streams from this token.", 1013)
            await other.socket.send(echo.chunk(0).tobytes())
            await control.hear("recording_started")
        for attempt in itertools.count():
            async with calling(daemon.control, additional_headers=alice) as again:
                if json.loads(await again.socket.recv())["type"] == "connected":
                    break
            assert attempt < 100, "those that were closed count no more"

    with running_daemon(tmp_path, "--models", models, "--vad", "seed", "--tokens", str(tokens), env=env) as daemon:
        asyncio.run(main(daemon))
