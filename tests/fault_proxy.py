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

    ``down`` refuses new connections, ``blackhole`` swallows bytes in both directions and keeps the connection,
    ``limit_bytes`` ends a connection that has carried so many bytes in both directions together, ``close_delay_s``
    holds back the news that one side has closed.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    limit_bytes: int = 0
    close_delay_s: float = 0.0
    blackhole: bool = False
    down: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(0))


@dataclass(eq=False)
class _Pair:
    client: asyncio.StreamWriter
    daemon: asyncio.StreamWriter
    passed: int = 0
    client_has_ended: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.daemon):
            writer.transport.abort()


class FaultProxy:
    """Forwards one port to another."""

    def __init__(self, host: str, port: int) -> None:
        self.fault = Fault()
        self.connections = 0
        self._target = (host, port)
        self._pairs: set[_Pair] = set()
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
            pair.abort()

    def half_close(self) -> None:
        """End the clients' directions; what the daemon still says goes through."""
        for pair in tuple(self._pairs):
            pair.client_has_ended = True
            with contextlib.suppress(OSError):
                pair.daemon.write_eof()

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
        pair = _Pair(writer, to_daemon)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, to_daemon, pair), self._pump(from_daemon, writer, pair))
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: _Pair) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self.fault.blackhole or (writer is pair.daemon and pair.client_has_ended):
                    continue
                if not await self._forward(data, writer, pair):
                    break
            await asyncio.sleep(self.fault.close_delay_s)
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            # A reset of one side is one for the other.
            await asyncio.sleep(self.fault.close_delay_s)
            pair.abort()

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter, pair: _Pair) -> bool:
        """Pass data on as badly as the network does; return whether the connection may carry more."""
        fault = self.fault
        if fault.latency_s:
            await asyncio.sleep(max(0.0, fault.latency_s + fault.rng.uniform(-1, 1) * fault.jitter_s))
        room = fault.limit_bytes - pair.passed if fault.limit_bytes else len(data)
        data = data[: max(0, room)]
        pair.passed += len(data)
        size = fault.slice_bytes or max(1, len(data))
        for begin in range(0, len(data), size):
            writer.write(data[begin : begin + size])
            await writer.drain()
            if fault.bytes_per_s:
                await asyncio.sleep(min(size, len(data) - begin) / fault.bytes_per_s)
        return not fault.limit_bytes or pair.passed < fault.limit_bytes


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
