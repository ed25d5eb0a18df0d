"""A TCP proxy between a client and a daemon that breaks connections in the ways networks do."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 65_536


@dataclass
class Fault:
    """What is wrong with the network right now; the default is nothing.

    ``down`` refuses new connections, ``blackhole`` swallows bytes in both directions and keeps the connection.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    blackhole: bool = False
    down: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(0))


class FaultProxy:
    """Forwards one port to another."""

    def __init__(self, host: str, port: int) -> None:
        self.fault = Fault()
        self.connections = 0
        self._target = (host, port)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        """Break everything and stop."""
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def reset(self) -> None:
        """Break every connection as a reset does: at once, what is under way is lost."""
        for pair in tuple(self._pairs):
            for writer in pair:
                writer.transport.abort()

    def half_close(self) -> None:
        """End the clients' directions; what the daemon still says goes through."""
        for _, upstream in tuple(self._pairs):
            with contextlib.suppress(OSError):
                upstream.write_eof()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault.down:
            writer.transport.abort()
            return
        try:
            from_daemon, to_daemon = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        pair = (writer, to_daemon)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, to_daemon), self._pump(from_daemon, writer))
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                fault = self.fault
                if fault.blackhole:
                    continue
                if fault.latency_s:
                    await asyncio.sleep(max(0.0, fault.latency_s + fault.rng.uniform(-1, 1) * fault.jitter_s))
                size = fault.slice_bytes or len(data)
                for begin in range(0, len(data), size):
                    writer.write(data[begin : begin + size])
                    await writer.drain()
                    if fault.bytes_per_s:
                        await asyncio.sleep(size / fault.bytes_per_s)
            if writer.can_write_eof():
                writer.write_eof()


@asynccontextmanager
async def fault_proxy(uri: str) -> AsyncIterator[tuple[FaultProxy, str]]:
    """Yield a proxy before a WebSocket's address, and the address to use instead."""
    parts = urlsplit(uri)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = FaultProxy(parts.hostname, parts.port)
    await proxy.open()
    try:
        yield proxy, f"ws://127.0.0.1:{proxy.port}"
    finally:
        await proxy.close()
