"""Speaking to a server that keeps what it gets."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from hotmic.bench.clip import Clip
from hotmic.bench.measure import Record
from hotmic.bench.sender import Target, speak_all
from hotmic.bench.voice import Voice

pytestmark = pytest.mark.integration

CHUNK_MS = 40


class Listener:
    """Both sockets of a server that understands nothing, and answers pings and the end."""

    def __init__(self, on_chunk: Callable[[int], float] = lambda _: 0.0) -> None:
        self.audio: dict[str, list[bytes | str]] = {}
        self.controls: dict[str, ServerConnection] = {}
        self.configured: list[dict[str, Any]] = []
        self._on_chunk = on_chunk

    async def control(self, socket: ServerConnection) -> None:
        channel = self._channel(socket)
        self.controls[channel] = socket
        await socket.send(json.dumps({"type": "connected"}))
        async for frame in socket:
            message = json.loads(frame)
            if message["type"] == "configure":
                self.configured.append(message)
            answer = {"ping": "pong", "configure": "configured"}[message["type"]]
            await socket.send(json.dumps({"type": answer, "request_id": message["request_id"]}))

    async def speak(self, socket: ServerConnection) -> None:
        channel = self._channel(socket)
        got = self.audio.setdefault(channel, [])
        async for frame in socket:
            await asyncio.sleep(self._on_chunk(len(got)))
            if isinstance(frame, str) and json.loads(frame)["type"] == "audio_end":
                await self.controls[channel].send(json.dumps({"type": "recording_stopped"}))
            else:
                got.append(frame)

    @staticmethod
    def _channel(socket: ServerConnection) -> str:
        assert socket.request is not None
        return socket.request.path.partition("channel=")[2].partition("&")[0]


def voices(count: int, seconds: float = 0.4) -> list[Voice]:
    rng = np.random.default_rng(3)
    clips = [Clip(str(n), rng.integers(-9000, 9000, 3200).astype(np.int16), f"clip {n}") for n in range(4)]
    return [Voice(clips, seconds=seconds, duty=1.0, endpoint_delay=0.1, first=n) for n in range(count)]


def speak(listener: Listener, spoken: list[Voice], **options: Any) -> list[Record]:
    async def run() -> list[Record]:
        async with (
            serve(listener.control, "127.0.0.1", 0) as control,
            serve(listener.speak, "127.0.0.1", 0) as audio,
        ):
            uris = [f"ws://127.0.0.1:{next(iter(s.sockets)).getsockname()[1]}" for s in (control, audio)]
            target = Target(control=uris[0], audio=uris[1], chunk_ms=CHUNK_MS, **options)
            return await speak_all(target, spoken)

    return asyncio.run(run())


def test_every_stream_says_its_own_and_is_told_the_end() -> None:
    listener, spoken = Listener(), voices(3)
    records = speak(listener, spoken)
    for number, (record, voice) in enumerate(zip(records, spoken, strict=True)):
        assert listener.audio[f"bench-{number}"] == list(voice.chunks(640))
        assert (record.is_finished, record.errors, record.dropped) == (True, [], 0)
        assert record.chunks == len(record.lateness) + record.held_back
        assert [heard.message["type"] for heard in record.heard] == ["recording_stopped"]
    assert listener.configured == []


def test_chunks_in_json_hold_the_same_audio() -> None:
    binary, text = Listener(), Listener()
    speak(binary, voices(1))
    speak(text, voices(1), wire="json", policy="align_att")
    messages = [json.loads(frame) for frame in text.audio["bench-0"]]
    assert {message["type"] for message in messages} == {"audio_chunk"}
    assert [message["policy"] for message in text.configured] == ["align_att"]
    assert [base64.b64decode(message["data"]) for message in messages] == binary.audio["bench-0"]


def test_chunks_leave_when_they_are_due_and_stamps_count_from_there() -> None:
    (record,) = speak(Listener(), voices(1, seconds=1.0))
    (end,) = record.heard
    assert end.at >= record.chunks * CHUNK_MS / 1000, "nothing is told before the last chunk is due"
    assert min(record.lateness) >= 0


def test_pings_are_sent_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotmic.bench.sender.PING_S", 0.1)
    (record,) = speak(Listener(), voices(1, seconds=0.8))
    assert len(record.round_trips) > 2
    assert all(0 < trip <= at for at, trip in record.round_trips)


def test_a_slow_server_does_not_slow_the_schedule() -> None:
    """It takes a second over its third chunk: every chunk leaves in its turn all the same, only the answer is late."""
    listener = Listener(lambda count: 1.0 if count == 2 else 0.0)
    (record,) = speak(listener, voices(1, seconds=0.4))
    assert record.is_finished
    assert record.heard[-1].at >= 1.0
    assert listener.audio["bench-0"] == list(voices(1, seconds=0.4)[0].chunks(640))
    assert len(record.lateness) == record.chunks


def test_who_cannot_connect_has_the_reason() -> None:
    target = Target(control="ws://127.0.0.1:9", audio="ws://127.0.0.1:9")
    (record,) = asyncio.run(speak_all(target, voices(1)))
    assert (record.errors, record.chunks, record.is_finished) == (["unreachable"], 0, False)


def test_a_server_that_says_nothing_is_waited_for_so_long_only() -> None:
    class Silent(Listener):
        async def speak(self, socket: ServerConnection) -> None:
            async for _ in socket:
                pass

    began = time.monotonic()
    (record,) = speak(Silent(), voices(1), drain=0.3)
    assert not record.is_finished
    assert time.monotonic() - began >= 0.3


def test_a_lost_connection_is_an_error_of_its_stream() -> None:
    class Cutting(Listener):
        async def speak(self, socket: ServerConnection) -> None:
            await socket.recv()
            await socket.close(1011)

    (record,) = speak(Cutting(), voices(1), drain=5.0)
    assert "closed" in record.errors
    assert not record.is_finished
