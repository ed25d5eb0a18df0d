"""Speaks many streams at once, paced by schedule whatever comes back, and stamps what does.

The load is open: a chunk is due when its last sample would leave a microphone, and every later stamp counts from that
schedule, so neither a slow server nor a slow sender can hide a delay. How late the sender itself was is kept apart.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Literal

from hotmic.bench.measure import Heard, Record
from hotmic.bench.voice import Voice
from hotmic.values import SAMPLE_RATE, PolicyName, Value
from hotmic_client import Client, ClientError

Wire = Literal["binary", "json"]

PING_S = 2.0
CONNECTING = 16
"""Connections that are opened at a time; starting is not what is measured."""
STAGGER_S = 4.0
"""The starts of the streams are spread over this."""
_GOLDEN = 0.6180339887498949


class Target(Value, frozen=True, kw_only=True):
    """Where to speak, and how."""

    control: str
    audio: str
    token: str | None = None
    chunk_ms: int = 100
    wire: Wire = "binary"
    policy: PolicyName | None = None
    """When words shall become stable; ``None``: as the server has it."""
    min_silence_ms: int | None = None
    """Silence that shall end a segment; ``None``: as the server has it."""
    drain: float = 30.0
    """Seconds to wait for the last finals."""


async def speak_all(target: Target, voices: Sequence[Voice]) -> list[Record]:
    """Speak all streams and return what they heard. A stream that fails has the reason in its ``errors``."""
    records = [Record(number, voice.utterances, voice.seconds) for number, voice in enumerate(voices)]
    streams = [_Stream(target, voice, record) for voice, record in zip(voices, records, strict=True)]
    gate = asyncio.Semaphore(CONNECTING)

    async def connect(stream: "_Stream") -> None:
        async with gate:
            await stream.open()

    try:
        await asyncio.gather(*(connect(stream) for stream in streams))
        start = time.perf_counter() + 0.1
        # The golden ratio spreads any number of starts evenly, within a chunk too.
        starts = [start + (number * _GOLDEN) % 1.0 * STAGGER_S for number in range(len(streams))]
        await asyncio.gather(*(stream.run(begin) for stream, begin in zip(streams, starts, strict=True)))
    finally:
        await asyncio.gather(*(stream.close() for stream in streams))
    return records


class _Stream:
    def __init__(self, target: Target, voice: Voice, record: Record) -> None:
        self._target, self._voice, self._record = target, voice, record
        self._client = Client(
            target.control,
            target.audio,
            token=target.token,
            channel=f"bench-{record.number}",
            wait=target.drain,
            patience=0,
        )
        self._start = 0.0

    async def open(self) -> None:
        """Connect; a refusal is kept as an error."""
        await self._keep_error(self._open())

    async def run(self, start: float) -> None:
        """Speak from a moment on, until everything is told or nothing more comes."""
        if self._record.errors:
            return
        self._start = self._record.began = start
        listening = asyncio.create_task(self._keep_error(self._listen()))
        pinging = asyncio.create_task(self._keep_error(self._ping()))
        speaking = asyncio.create_task(self._keep_error(self._speak()))
        tasks = (listening, pinging, speaking)
        try:
            await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
            if speaking.done() and not listening.done():
                await asyncio.wait((listening,), timeout=self._target.drain)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        self._record.dropped = self._client.dropped

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def _open(self) -> None:
        await self._client.open()
        wishes = {"policy": self._target.policy, "min_silence_ms": self._target.min_silence_ms}
        if options := {name: value for name, value in wishes.items() if value is not None}:
            await self._client.configure(**options)

    async def _speak(self) -> None:
        chunk_s = self._target.chunk_ms / 1000
        size, as_json = round(chunk_s * SAMPLE_RATE), self._target.wire == "json"
        is_held_back = False
        for number, chunk in enumerate(self._voice.chunks(size), start=1):
            due = self._start + number * chunk_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            woken = time.perf_counter()
            self._record.chunks += 1
            # A server that did not take a chunk makes the next ones late as well, until the backlog is gone.
            is_held_back = is_held_back and woken - due > chunk_s / 2
            if is_held_back:
                self._record.held_back += 1
            else:
                self._record.lateness.append(woken - due)
            await self._client.send_audio(chunk, as_json=as_json)
            is_held_back = is_held_back or time.perf_counter() - woken > chunk_s / 2
        await self._client.end_audio()

    async def _listen(self) -> None:
        async for event in self._client.events():
            self._record.heard.append(Heard(time.perf_counter() - self._start, event))
            match event["type"]:
                case "error":
                    self._record.errors.append(event["code"])
                case "recording_stopped":
                    self._record.is_finished = True
                    return

    async def _ping(self) -> None:
        """Ask for a sign of life again and again: the way in and out, under the load that the audio meets."""
        due = self._start + (self._record.number * _GOLDEN) % 1.0 * PING_S
        while True:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self._client.request("ping", until="pong")
            now = time.perf_counter()
            self._record.round_trips.append((now - self._start, now - due))
            due += PING_S * max(1, -(-(now - due) // PING_S))

    async def _keep_error(self, work: Awaitable[None]) -> None:
        try:
            await work
        except ClientError as error:
            self._record.errors.append(error.code)
