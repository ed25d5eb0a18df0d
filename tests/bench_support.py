"""A server that keeps what a sender says."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve


class Listener:
    """Both sockets of a server that understands nothing, and answers pings and the end."""

    def __init__(self, on_chunk: Callable[[int], float] = lambda _: 0.0) -> None:
        self.audio: dict[str, list[bytes | str]] = {}
        self.controls: dict[str, ServerConnection] = {}
        self.configured: list[dict[str, Any]] = []
        self.first_at: dict[str, float] = {}
        """When a channel's first chunk came, by ``time.perf_counter``."""
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
            self.first_at.setdefault(channel, time.perf_counter())
            await asyncio.sleep(self._on_chunk(len(got)))
            if isinstance(frame, str) and json.loads(frame)["type"] == "audio_end":
                await self.controls[channel].send(json.dumps({"type": "recording_stopped"}))
            else:
                got.append(frame)

    @staticmethod
    def _channel(socket: ServerConnection) -> str:
        assert socket.request is not None
        return socket.request.path.partition("channel=")[2].partition("&")[0]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[str, str]]:
        """Open both sockets; yields their addresses, control first."""
        async with (
            serve(self.control, "127.0.0.1", 0) as control,
            serve(self.speak, "127.0.0.1", 0) as audio,
        ):
            first, second = (
                f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}" for server in (control, audio)
            )
            yield first, second
