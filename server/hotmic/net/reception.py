"""What every door does with those who come, whatever library holds the socket: check, serve, say goodbye."""

import asyncio
import http
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from hotmic.dialects.negotiate import DIALECTS
from hotmic.dialects.wish import Wish, parse_target
from hotmic.errors import HotmicError, NotAuthorized, NotFound, ShuttingDown
from hotmic.net.connection import Connection, Peer, Services
from hotmic.net.grant import Grant
from hotmic.net.security import Credentials, protocol_of
from hotmic.values import Value

ANY_PATH = "*"
"""In a table of paths: whatever path the client asks for."""

log = structlog.get_logger(__name__)


class Admission(Value, frozen=True, kw_only=True):
    """A handshake that passed."""

    dialect: str
    wish: Wish
    grant: Grant | None
    """``None`` while the token must still come as a message."""
    protocol: str | None
    """The subprotocol to answer with."""


class Reception:
    """All connections of one port.

    Args:
        name: The port, in the log.
        services: The daemon.
        paths: The dialect of every path.
    """

    def __init__(self, name: str, services: Services, paths: Mapping[str, str]) -> None:
        self.name = name
        self.paths = dict(paths)
        self._services = services
        self._open: set[Connection] = set()
        self.is_draining = False

    def check(self, target: str, headers: Callable[[str], Sequence[str]]) -> Admission:
        """Check a handshake before it becomes a WebSocket.

        Args:
            target: Path and query.
            headers: Returns all values of a header.

        Raises:
            HotmicError: It is refused; ``status_of`` says how.
        """
        try:
            if self.is_draining:
                raise ShuttingDown("The daemon is stopping.")
            wish = parse_target(target)
            dialect = self.paths.get(wish.path) or self.paths.get(ANY_PATH)
            if dialect is None:
                raise NotFound("There is nothing at this path.")
            host, origin, authorization = (_only(headers, name) for name in ("Host", "Origin", "Authorization"))
            self._services.access.check_source(host=host, origin=origin)
            offered = tuple(part.strip() for value in headers("Sec-WebSocket-Protocol") for part in value.split(","))
            credentials = Credentials(authorization=authorization, protocols=offered, query=wish.token)
            grant = self._services.access.grant(credentials)
            if grant is not None and grant.session_config:
                wish = msgspec.structs.replace(wish, session_config=grant.session_config)
        except HotmicError as error:
            self._services.metrics.rejections.labels(error.code).inc()
            log.info("Refused a connection.", listener=self.name, code=error.code, reason=error.message)
            raise
        return Admission(dialect=dialect, wish=wish, grant=grant, protocol=protocol_of(offered))

    async def serve(self, peer: Peer, admission: Admission) -> None:
        """Serve a client until either side ends it."""
        wish = admission.wish
        dialect = DIALECTS[admission.dialect](wish)
        connection = Connection(
            peer,
            dialect,
            self._services,
            grant=admission.grant,
            channel=wish.channel,
            session=dialect.session_name(wish),
        )
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    def drain(self) -> None:
        """Take no new connections."""
        self.is_draining = True

    async def close(self, code: int, reason: str) -> None:
        """Close every connection."""
        for connection in tuple(self._open):
            connection.close(code, reason)
        try:
            async with asyncio.timeout(3):
                while self._open:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log.warning("Connections did not close in time.", listener=self.name, count=len(self._open))


def status_of(error: HotmicError) -> http.HTTPStatus:
    """Return the HTTP status of a refused handshake."""
    match error:
        case NotFound():
            return http.HTTPStatus.NOT_FOUND
        case NotAuthorized():
            return http.HTTPStatus.FORBIDDEN
        case ShuttingDown():
            return http.HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            return http.HTTPStatus.BAD_REQUEST


def _only(headers: Callable[[str], Sequence[str]], name: str) -> str | None:
    values = headers(name)
    if len(values) > 1:
        raise NotAuthorized(f"The header {name} stands there {len(values)} times.")
    return values[0] if values else None
