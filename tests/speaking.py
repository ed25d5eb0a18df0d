"""Voices that count aloud on the audio socket, cheap enough for hundreds in one process."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hotmic.engines import echo

REAL_TIME = 0.1
"""Seconds between two chunks of somebody who speaks in real time."""
BURST, PAUSE = 30, 21
"""Chunks of speech and of the silence after it: ``--vad seed`` swallows speech of less than 1.3 s and ends a segment
after 1.9 s of silence."""

PARTIAL = '{"type":"realtime_transcription"'
SILENCE = json.dumps({"type": "audio_chunk", "data": base64.b64encode(bytes(3200)).decode()})


class Voice:
    """One audio socket in a channel of its own, whose speaker counts.

    Args:
        uri: Of the audio socket.
        number: Of the speaker; chunk 17 of speaker 3 is heard as 300017.
        channel: Who hears it; by default a channel of its own.
    """

    def __init__(self, uri: str, number: int, *, channel: str | None = None) -> None:
        self.number, self.said = number, 0
        self.finals: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.segments: set[str] = set()
        self.partials = 0
        self.confirmed = 0
        """Chunks of which the daemon has said that it took them (see ``ping``)."""
        self.close_code: int | None = None
        self.last_text_at = 0.0
        self._uri = f"{uri}?channel={channel or f'voice-{number}'}"
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ended, self._gone = asyncio.Event(), asyncio.Event()
        self._text, self._answered = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> "Voice":
        self._socket = await connect(self._uri, compression=None, open_timeout=60, ping_interval=None)
        await self._socket.send('{"type":"configure"}')
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        assert self._reader is not None
        await self._socket.close()
        await self._reader

    @property
    def heard(self) -> list[int]:
        """The numbers of all finals, in the order in which they were told, without the speaker's own part."""
        return [self.strip(int(word)) for final in self.finals for word in final["text"].split()]

    @property
    def is_exact(self) -> bool:
        """Whether all that was said was heard, once and in order, and nothing of anybody else."""
        return self.heard == list(range(self.said)) and not self.errors

    def strip(self, value: int) -> int:
        """Return the number of a chunk of this speaker; what another said stays as it is."""
        base = self.number * echo.SPEAKER_STRIDE
        return value - base if base <= value < base + echo.SPEAKER_STRIDE else value

    async def say(self, count: int = 1) -> None:
        """Send chunks, as JSON, without a pause."""
        assert self._socket is not None
        for _ in range(count):
            data = base64.b64encode(echo.chunk(self.said, speaker=self.number).tobytes()).decode()
            await self._socket.send('{"type":"audio_chunk","data":"' + data + '"}')
            self.said += 1

    async def pause(self) -> None:
        """Send a chunk of silence."""
        assert self._socket is not None
        await self._socket.send(SILENCE)

    async def talk(
        self, chunks: int, *, pace: float = REAL_TIME, burst: int = BURST, pause: int = PAUSE, ping_every: int = 0
    ) -> None:
        """Speak by schedule: bursts of numbers and pauses; a late chunk does not make the next one late.

        Args:
            chunks: All together, silent ones too.
            pace: Seconds from one to the next.
            burst: Chunks of speech in a row; 0 never pauses.
            pause: Chunks of silence in a row.
            ping_every: Ask after so many chunks whether they came.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        for index in range(chunks):
            await asyncio.sleep(max(0.0, start + index * pace - loop.time()))
            if burst and index % (burst + pause) >= burst:
                await self.pause()
            else:
                await self.say()
            if ping_every and index % ping_every == ping_every - 1:
                await self.ping()

    async def ping(self) -> None:
        """Ask for a sign that all chunks until here were taken; see ``confirmed``."""
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": "ping", "request_id": self.said}))

    async def knock(self, *, limit: float = 60.0) -> None:
        """Wait until the daemon has let this voice in or refused it: ``errors`` tells which."""
        assert self._socket is not None
        await self.ping()
        async with asyncio.timeout(limit):
            await self._answered.wait()

    async def end(self, *, limit: float = 120.0) -> None:
        """Say that it is done, and wait until all finals are told."""
        assert self._socket is not None
        self._ended.clear()
        await self._socket.send('{"type":"audio_end"}')
        async with asyncio.timeout(limit):
            await self._ended.wait()

    async def gone(self, *, limit: float = 60.0) -> None:
        """Wait until the daemon closes the connection."""
        async with asyncio.timeout(limit):
            await self._gone.wait()

    async def text(self, *, limit: float = 60.0) -> float:
        """Wait for the next text, partial or final; return when it came."""
        self._text.clear()
        async with asyncio.timeout(limit):
            await self._text.wait()
        return self.last_text_at

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for frame in self._socket:
                assert isinstance(frame, str)
                if frame.startswith(PARTIAL):
                    self.partials += 1
                    self._note_text()
                else:
                    self._take(json.loads(frame))
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else 1006
        self.close_code = self.close_code or self._socket.close_code
        self._gone.set()
        self._ended.set()

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "final_transcription":
                del message["words"]  # hundreds of voices keep their finals for minutes
                self.finals.append(message)
                self._note_text()
            case "error":
                self.errors.append(message)
                self._answered.set()
            case "speech_started":
                self.segments.add(message["segment_id"])
            case "pong":
                self.confirmed = max(self.confirmed, message["request_id"])
                self._answered.set()
            case "recording_stopped":
                self._ended.set()

    def _note_text(self) -> None:
        self.last_text_at = asyncio.get_running_loop().time()
        self._text.set()


@asynccontextmanager
async def voices(uri: str, numbers: Iterable[int]) -> AsyncIterator[list[Voice]]:
    """Connect several voices, each in a channel of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Voice(uri, number)) for number in numbers]


def wrong(speakers: Iterable[Voice]) -> dict[int, str]:
    """Return what is wrong with what was heard, by speaker; empty where everything is exact."""
    found: dict[int, str] = {}
    for voice in speakers:
        if not voice.is_exact:
            said, heard = set(range(voice.said)), voice.heard
            lost, extra = sorted(said - set(heard)), sorted(set(heard) - said)
            twice = sorted(number for number, times in Counter(heard).items() if times > 1)
            found[voice.number] = f"lost {lost[:9]}, twice {twice[:9]}, foreign {extra[:9]}, errors {voice.errors[:2]}"
            if not (lost or extra or twice or voice.errors):
                found[voice.number] = "out of order"
    return found
