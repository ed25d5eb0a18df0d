"""Whether a client is still there, on the ``websockets`` library."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterable

import structlog
from websockets.asyncio.server import ServerConnection

RECEIVE_BUFFER, SEGMENT = 65_536, 8192
"""Bytes. On loopback, where a segment may hold 64 KiB, a client's system buffers 4 MB when it is not read: half a
minute of audio at four times real time, in which its own pings wait. With both of these it is 1.6 MB."""
SEND_BUFFER = 65_536
"""Bytes, some minutes of captions, in the system and again before it; left alone, systems take megabytes before a slow
client is felt."""
TAKEN_WITHIN = 60.0
"""Seconds in which a client must take something of what waits for it, an answer over HTTP or the rest of a connection
that is closed; what is said on WebSockets has ``slow_client_s``."""

log = structlog.get_logger(__name__)


class WatchedConnection(ServerConnection):
    """A connection that is cut once its client is dead.

    Dead is a client of which no byte came for ``ping_timeout`` seconds, no frame and no pong, while one was awaited.
    The library's own keep-alive wants a pong in that time; the pong of a client that is held back stands behind its
    audio, so here any sign of life will do, and one that is not read need not give any.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.awaited_since: float | None = None
        """When the wait for a frame began; ``None`` while the client is not read."""
        self._heard_at = self.loop.time()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; cut a client that does not take the close frame in time, for which the library waits without end."""
        try:
            async with asyncio.timeout(self.close_timeout):
                await super().close(code, reason)
        except TimeoutError:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._heard_at = self.loop.time()
        super().data_received(data)

    async def keepalive(self) -> None:
        """Ping every ``ping_interval`` seconds until the client is dead; the library ends it with the connection."""
        assert self.ping_interval is not None
        assert self.ping_timeout is not None
        while True:
            await asyncio.sleep(self.ping_interval)
            if self.awaited_since is not None:
                silent = self.loop.time() - max(self.awaited_since, self._heard_at)
                if silent >= self.ping_timeout:
                    log.info("A client is gone without a word.", silent_s=round(silent, 1))
                    self.transport.abort()
                    return
            with contextlib.suppress(TimeoutError):  # one that does not read either is found by its silence
                async with asyncio.timeout(self.ping_timeout):
                    await self.ping()


def keep_short(listening: Iterable[socket.socket]) -> None:
    """Make systems buffer little on the way to and from clients, and not for ever.

    From clients that are not read, or these give up for want of a pong; to clients that do not read, or nobody feels
    it for megabytes, and what they read at last is old.

    Args:
        listening: Sockets; the connections they accept inherit it.
    """
    for each in listening:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sys.platform == "linux":
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(TAKEN_WITHIN * 1000))
