"""The two WebSocket ports, on the ``websockets`` library."""

import asyncio
import http
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.errors import BadField, ConfigError, HotmicError, NotAuthorized, ShuttingDown
from hotmic.net.connection import Connection, PeerGoneError, Services
from hotmic.net.liveness import WatchedConnection, keep_short
from hotmic.net.security import Grant

PATHS = frozenset({"/", "/ws/control", "/ws/audio"})
GOODBYES = (1000, 1001)
"""Close codes of a client that is done: normal closure, going away (RFC 6455, 7.4.1)."""
PING_INTERVAL, PING_TIMEOUT = 20.0, 35.0
"""Seconds: a client is cut when it is silent after two pings."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger(__name__)


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


class Wish(msgspec.Struct, frozen=True):
    """What a client's URL asks for."""

    channel: str = "default"
    session: str = ""
    sample_rate: int | None = None


def parse_target(target: str) -> Wish:
    """Parse the path and query of a handshake.

    Raises:
        BadField: An unusable query parameter.
    """
    query = {key: values[-1] for key, values in parse_qs(urlsplit(target).query).items()}
    for key in ("channel", "session"):
        if key in query and not NAME.fullmatch(query[key]):
            raise BadField(f"'{key}' must be 1 to 64 letters, digits, '.', '_' or '-'.")
    rate = query.get("sample_rate")
    if rate is not None and not (rate.isascii() and rate.isdigit() and 4_000 <= int(rate) <= 192_000):
        raise BadField("'sample_rate' must be between 4000 and 192000.")
    return Wish(
        channel=query.get("channel", "default"),
        session=query.get("session", ""),
        sample_rate=int(rate) if rate else None,
    )


class Listener:
    """One port that speaks one dialect.

    Args:
        name: ``control`` or ``audio``.
        services: The daemon.
        max_message: Largest frame in bytes.
        ping_interval: Seconds between two pings.
        ping_timeout: Seconds of silence after which a client is dead.
    """

    def __init__(
        self,
        name: str,
        services: Services,
        *,
        max_message: int,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
    ) -> None:
        self.name = name
        self._services, self._max_message = services, max_message
        self._ping_interval, self._ping_timeout = ping_interval, ping_timeout
        self._build: Callable[[Wish], Dialect] = (
            (lambda _: ControlDialect())
            if name == "control"
            else (lambda wish: AudioDialect(sample_rate=wish.sample_rate))
        )
        self._open: set[Connection] = set()
        self._server: Server | None = None
        self.is_draining = False

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
                create_connection=WatchedConnection,
                compression=None,
                max_size=self._max_message,
                max_queue=8,
                write_limit=65_536,
                open_timeout=10,
                ping_interval=self._ping_interval,
                ping_timeout=self._ping_timeout,
                close_timeout=2,
                server_header=None,
                logger=_quiet_logger(),
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error.strerror or "unknown reason"
            raise ConfigError(f"{self.name}_port: cannot listen on {host}:{port}: {why}.") from error
        keep_short(self._server.sockets)
        bound: Any = next(iter(self._server.sockets))
        return int(bound.getsockname()[1])

    def drain(self) -> None:
        """Take no new connections."""
        self.is_draining = True

    async def close(self, code: int, reason: str) -> None:
        """Close every connection and stop listening."""
        for connection in tuple(self._open):
            connection.close(code, reason)
        if self._server is not None:
            self._server.close(close_connections=False)
            try:
                async with asyncio.timeout(3):
                    while self._open:
                        await asyncio.sleep(0.02)
            except TimeoutError:
                log.warning("Connections did not close in time.", listener=self.name, count=len(self._open))
            await asyncio.gather(*(socket.close(code, reason) for socket in tuple(self._server.connections)))
            await self._server.wait_closed()

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        """Check a handshake before it becomes a WebSocket."""
        try:
            if self.is_draining:
                raise ShuttingDown("The daemon is stopping.")
            if urlsplit(request.path).path not in PATHS:
                return _reply(http.HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this path.")
            host, origin, authorization = (_only(request.headers, n) for n in ("Host", "Origin", "Authorization"))
            self._services.access.check_source(host=host, origin=origin)
            socket.grant = self._services.access.grant(authorization)  # type: ignore[attr-defined]
            socket.wish = parse_target(request.path)  # type: ignore[attr-defined]
        except HotmicError as error:
            self._services.metrics.rejections.labels(error.code).inc()
            log.info("Refused a connection.", listener=self.name, code=error.code, reason=error.message)
            return _reply(_status(error), error.code, error.message)
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, WatchedConnection)
        peer = WebsocketsPeer(socket)
        grant: Grant | None = socket.grant  # type: ignore[attr-defined]
        wish: Wish = socket.wish  # type: ignore[attr-defined]
        connection = Connection(
            peer, self._build(wish), self._services, grant=grant, channel=wish.channel, session=wish.session
        )
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    if len(values) > 1:
        raise NotAuthorized(f"The header {name} stands there {len(values)} times.")
    return values[0] if values else None


def _status(error: HotmicError) -> http.HTTPStatus:
    if isinstance(error, NotAuthorized):
        return http.HTTPStatus.FORBIDDEN
    if isinstance(error, ShuttingDown):
        return http.HTTPStatus.SERVICE_UNAVAILABLE
    return http.HTTPStatus.BAD_REQUEST


def _reply(status: http.HTTPStatus, code: str, message: str) -> Response:
    body = msgspec.json.encode({"type": "error", "code": code, "message": message})
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)


def _quiet_logger() -> Any:
    import logging

    logger = logging.getLogger("hotmic.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
