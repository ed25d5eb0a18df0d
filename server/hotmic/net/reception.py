"""What every door does with those who come, whatever library holds the socket: check, serve, say goodbye."""

import asyncio
import http
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from hotmic.commands import SessionOptions
from hotmic.dialects.negotiate import COMPRESSED, DIALECTS, Dialects
from hotmic.dialects.wish import Wish, parse_target
from hotmic.errors import BadField, HotmicError, NotAuthorized, NotFound, ShuttingDown
from hotmic.net.audit import audit
from hotmic.net.connection import Connection
from hotmic.net.control import merge
from hotmic.net.grant import Grant
from hotmic.net.peer import Peer
from hotmic.net.security import Credentials, protocol_of
from hotmic.net.services import Services
from hotmic.values import Value

ANY_PATH = "*"
"""In a table of paths: whatever path the client asks for."""

NO_TOKEN_IN_URL = ("control", "control_or_caption", "audio")
"""Dialects whose clients can send a message or a subprotocol; those of other servers know no other place."""

log = structlog.get_logger(__name__)


class Admission(Value, frozen=True, kw_only=True):
    """A handshake that passed."""

    dialect: str
    wish: Wish
    grant: Grant | None
    """``None`` while the token must still come as a message."""
    protocol: str | None
    """The subprotocol to answer with."""
    address: str
    """The client's, also where a trusted proxy is in between."""


class Reception:
    """All connections of one port.

    Args:
        name: The port, in the log.
        services: The daemon.
        paths: The dialect of every path.
        dialects: How each dialect is made.
    """

    def __init__(self, name: str, services: Services, paths: Mapping[str, str], dialects: Dialects = DIALECTS) -> None:
        self.name, self._dialects = name, dialects
        self.paths = dict(paths)
        self._services = services
        self._open: set[Connection] = set()
        self.is_draining = False

    def check(self, target: str, headers: Callable[[str], Sequence[str]], *, peer: str) -> Admission:
        """Check a handshake before it becomes a WebSocket.

        Args:
            target: Path and query.
            headers: Returns all values of a header.
            peer: Address of the other end of the connection.

        Raises:
            HotmicError: It is refused; ``status_of`` says how.
        """
        address = peer
        try:
            address = self._services.access.addresses.client(peer, headers)
            self._services.access.addresses.check(address)
            if self.is_draining:
                raise ShuttingDown("The daemon is stopping.")
            wish = parse_target(target)
            dialect = self._dialect_at(wish.path)
            if dialect is None:
                raise NotFound("There is nothing at this path.")
            host, origin, authorization = (_only(headers, name) for name in ("Host", "Origin", "Authorization"))
            self._services.access.check_source(host=host, origin=origin)
            offered = tuple(part.strip() for value in headers("Sec-WebSocket-Protocol") for part in value.split(","))
            if wish.token is not None and dialect in NO_TOKEN_IN_URL and self._services.access.needs_token:
                raise NotAuthorized("A token in the URL ends up in logs; send it as a header or as the first message.")
            credentials = Credentials(authorization=authorization, protocols=offered, query=wish.token)
            grant = self._services.access.grant(credentials)
            if grant is not None and grant.session_config:
                wish = msgspec.structs.replace(wish, session_config=grant.session_config)
        except HotmicError as error:
            self._services.metrics.reject(error.code)
            refused = {"outcome": error.code, "reason": error.message}
            audit("connect", who="", address=address, listener=self.name, **refused)
            raise
        who = self._services.access.token_of(grant) or ""
        audit("connect", who=who, address=address, outcome="ok", listener=self.name, dialect=dialect)
        return Admission(dialect=dialect, wish=wish, grant=grant, protocol=protocol_of(offered), address=address)

    async def serve(self, peer: Peer, admission: Admission) -> None:
        """Serve a client until either side ends it."""
        wish = msgspec.structs.replace(admission.wish, unique=uuid.uuid4().hex)
        peer.address = admission.address
        dialect = self._dialects[admission.dialect](wish)
        dialect.options = merge(dialect.options, self._services.dialect_options.get(dialect.name, SessionOptions()))
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

    def may_compress(self, target: str) -> bool:
        """Return whether the client that asks for a path and query may compress its frames."""
        try:
            return self._dialect_at(parse_target(target).path) in COMPRESSED
        except BadField:
            return False

    def _dialect_at(self, path: str) -> str | None:
        return self.paths.get(path) or self.paths.get(ANY_PATH)

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


def body_of(error: HotmicError) -> dict[str, Any]:
    """Return an error as the JSON of an HTTP answer."""
    body: dict[str, Any] = {"type": "error", "code": error.code, "message": error.message, "retryable": error.retryable}
    if error.retry_after_ms is not None:
        body["retry_after_ms"] = error.retry_after_ms
    return body


def _only(headers: Callable[[str], Sequence[str]], name: str) -> str | None:
    values = headers(name)
    if len(values) > 1:
        raise NotAuthorized(f"The header {name} stands there {len(values)} times.")
    return values[0] if values else None
