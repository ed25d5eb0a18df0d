"""WebSocket ports on the ``websockets`` library."""

import asyncio
import http
import os
import ssl
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hotmic.dialects.dialect import Frame
from hotmic.errors import ConfigError, HotmicError
from hotmic.net.deflate import offer
from hotmic.net.liveness import SEND_BUFFER, WatchedConnection, keep_short
from hotmic.net.peer import PeerGoneError
from hotmic.net.reception import Admission, Reception, body_of, status_of

GOODBYES = (1000, 1001)
"""Close codes of a client that is done: normal closure, going away (RFC 6455, 7.4.1)."""
PING_INTERVAL, PING_TIMEOUT = 20.0, 35.0
"""Seconds: a client is cut when it is silent after two pings."""
BACKLOG = 2048
"""Clients that the system lets wait while the event loop is busy, as many as uvicorn has at the HTTP port: one more
tries again only after a second, then three, then seven."""
OPEN_WITHIN = 10.0
"""Seconds in which a handshake must have come."""
CLOSE_WITHIN = 2.0
"""Seconds that a client has to take a close frame and answer it."""


class WebsocketsPeer:
    """A connection of the ``websockets`` library."""

    def __init__(self, socket: WatchedConnection) -> None:
        self._socket = socket
        remote = socket.remote_address
        self.address = str(remote[0]) if remote else "local"

    async def receive(self) -> Frame:
        """Return the next frame."""
        self._socket.awaited_since = self._socket.loop.time()
        try:
            return await self._socket.recv()
        except ConnectionClosed as error:
            said_goodbye = error.rcvd is not None and error.rcvd.code in GOODBYES
            raise PeerGoneError(said_goodbye=said_goodbye) from error
        finally:
            self._socket.awaited_since = None

    async def send(self, frame: Frame) -> None:
        """Send a frame as text."""
        try:
            await self._socket.send(frame, text=True)
        except ConnectionClosed as error:
            raise PeerGoneError from error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        await self._socket.close(code, reason)


class Listener:
    """One port of the ``websockets`` library.

    Args:
        reception: Checks and serves who comes.
        setting: The setting to blame when the port cannot be bound.
        max_message: Largest frame in bytes.
        tls: What the port encrypts with; ``None`` for plain sockets.
        ping_interval: Seconds between two pings.
        ping_timeout: Seconds of silence after which a client is dead.
    """

    def __init__(
        self,
        reception: Reception,
        *,
        setting: str,
        max_message: int,
        tls: ssl.SSLContext | None = None,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
    ) -> None:
        self.name, self.paths = reception.name, reception.paths
        self._reception, self._setting, self._max_message = reception, setting, max_message
        self._ping_interval, self._ping_timeout = ping_interval, ping_timeout
        self._server: Server | None = None
        self._tls = tls

    async def open(self, host: str, port: int) -> int:
        """Bind and listen; return the port.

        Raises:
            ConfigError: The address cannot be bound.
        """
        try:
            self._server = await serve(
                self._serve,
                host,
                port,
                process_request=self._check,
                select_subprotocol=lambda socket, _: socket.admission.protocol,  # type: ignore[attr-defined]
                create_connection=WatchedConnection,
                ssl=self._tls,
                backlog=BACKLOG,
                compression=None,
                max_size=self._max_message,
                max_queue=8,
                write_limit=SEND_BUFFER,
                open_timeout=OPEN_WITHIN,
                ping_interval=self._ping_interval,
                ping_timeout=self._ping_timeout,
                close_timeout=CLOSE_WITHIN,
                server_header=None,
                logger=_quiet_logger(),
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error.strerror or "unknown reason"
            raise ConfigError(f"{self._setting}: cannot listen on {host}:{port}: {why}.") from error
        keep_short(self._server.sockets)
        bound: Any = next(iter(self._server.sockets))
        return int(bound.getsockname()[1])

    def drain(self) -> None:
        """Take no new connections."""
        self._reception.drain()

    async def close(self, code: int, reason: str) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            self._server.close(close_connections=False)
            await self._reception.close(code, reason)
            await asyncio.gather(*(socket.close(code, reason) for socket in tuple(self._server.connections)))
            await self._server.wait_closed()

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        """Check a handshake before it becomes a WebSocket."""
        try:
            peer = str(socket.remote_address[0]) if socket.remote_address else "local"
            admission = self._reception.check(request.path, request.headers.get_all, peer=peer)
            socket.admission = admission  # type: ignore[attr-defined]
            offer(socket.protocol, is_offered=self._reception.may_compress(request.path))
        except HotmicError as error:
            return _reply(status_of(error), error)
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, WatchedConnection)
        admission: Admission = socket.admission  # type: ignore[attr-defined]
        await self._reception.serve(WebsocketsPeer(socket), admission)


def _reply(status: http.HTTPStatus, error: HotmicError) -> Response:
    body = msgspec.json.encode(body_of(error))
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)


def _quiet_logger() -> Any:
    import logging

    logger = logging.getLogger("hotmic.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
