"""Speaking to a server that keeps what it gets."""

import asyncio
import base64
import json
import time
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from bench_support import Listener
from hotmic.bench.clip import Clip
from hotmic.bench.measure import Record
from hotmic.bench.sender import Target, speak_all
from hotmic.bench.voice import Voice

pytestmark = pytest.mark.integration

CHUNK_MS = 40


def voices(count: int, seconds: float = 0.4) -> list[Voice]:
    rng = np.random.default_rng(3)
    clips = [Clip(str(n), rng.integers(-9000, 9000, 3200).astype(np.int16), f"clip {n}") for n in range(4)]
    return [Voice(clips, seconds=seconds, duty=1.0, endpoint_delay=0.1, first=n) for n in range(count)]


def speak(listener: Listener, spoken: list[Voice], **options: Any) -> list[Record]:
    async def run() -> list[Record]:
        async with listener.listening() as (control, audio):
            return await speak_all(Target(control=control, audio=audio, chunk_ms=CHUNK_MS, **options), spoken)

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
    speak(text, voices(1), wire="json", policy="align_att", min_silence_ms=400)
    messages = [json.loads(frame) for frame in text.audio["bench-0"]]
    assert {message["type"] for message in messages} == {"audio_chunk"}
    assert [(message["policy"], message["min_silence_ms"]) for message in text.configured] == [("align_att", 400)]
    assert [base64.b64decode(message["data"]) for message in messages] == binary.audio["bench-0"]


def test_chunks_leave_when_they_are_due_and_stamps_count_from_there() -> None:
    (record,) = speak(Listener(), voices(1, seconds=1.0))
    (end,) = record.heard
    assert end.at >= record.chunks * CHUNK_MS / 1000, "nothing is told before the last chunk is due"
    assert min(record.lateness) >= 0


def test_starts_are_spread_over_the_stagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotmic.bench.sender.STAGGER_S", 2.0)
    listener = Listener()
    records = speak(listener, voices(8))
    starts = sorted(record.began for record in records)
    steps = np.diff(starts)
    assert 1.4 < starts[-1] - starts[0] < 2.0
    assert 0.05 < steps.min() <= steps.max() < 0.5, "no two begin together, and no long pause is left"
    for record in records:
        assert listener.first_at[f"bench-{record.number}"] >= record.began + CHUNK_MS / 1000


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
