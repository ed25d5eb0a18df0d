"""What every HTTP request passes, whatever route answers it."""

import uuid
from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hotmic.errors import HotmicError, NotAuthorized
from hotmic.metrics import Metrics
from hotmic.net.audit import audit
from hotmic.net.reply import refusal
from hotmic.net.security import Access
from hotmic.net.sharing import METHODS, Sharing

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; worker-src 'self'; "
    "script-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""On every answer, unless the route set one itself."""

log = structlog.get_logger(__name__)


class Guard:
    """Checks Host and Origin, answers preflights, sets the headers of every answer, keeps our mistakes from peers.

    Args:
        app: Answers.
        routes: The routes it has.
        access: Checks Host and Origin.
        sharing: Who may read answers from another origin.
        metrics: Counts refusals.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], access: Access, sharing: Sharing, metrics: Metrics
    ) -> None:
        self._app, self._routes = app, routes
        self._access, self._sharing, self._metrics = access, sharing, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; WebSockets have a reception of their own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin: str | None = None
        has_begun = False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                answer = MutableHeaders(scope=message)
                for name, value in {**HEADERS, **self._sharing.headers(origin)}.items():
                    answer.setdefault(name, value)
                answer.add_vary_header("Origin")
            await send(message)

        try:
            named = _only(headers, "origin")
            self._access.check_source(host=_only(headers, "host"), origin=named)
            origin = named
            answer = self._preflight(scope, headers, origin)
            await (answer or self._app)(scope, receive, send_on)
        except Exception as error:
            if has_begun:
                raise
            await refusal(self._count(error, scope))(scope, receive, send_on)

    def _count(self, error: Exception, scope: Scope) -> HotmicError:
        """Return what the peer may hear of an error."""
        if isinstance(error, NotAuthorized):
            address = (scope.get("client") or ("local",))[0]
            audit("request", who="", address=address, outcome=error.code, listener="http", reason=error.message)
        if not isinstance(error, HotmicError):
            log_id = uuid.uuid4().hex[:12]
            log.error("A request failed.", path=scope["path"], log_id=log_id, exc_info=error)
            error = HotmicError(f"The request failed; the log has the reason under {log_id}.")
        self._metrics.reject(error.code)
        return error

    def _preflight(self, scope: Scope, headers: Headers, origin: str | None) -> Response | None:
        wanted = headers.get("access-control-request-method")
        if scope["method"] != "OPTIONS" or wanted is None:
            return None
        methods = [method for method in METHODS if self._takes(scope, method)]
        granted = self._sharing.preflight(origin, wanted, methods)
        return None if granted is None else Response(status_code=204, headers=granted)

    def _takes(self, scope: Scope, method: str) -> bool:
        """Return whether a route, not a file of the page, answers a method at a path."""
        asked = {**scope, "method": method}
        return any(not isinstance(r, Mount) and r.matches(asked)[0] is Match.FULL for r in self._routes)


def _only(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:
        raise NotAuthorized(f"The header {name} stands there {len(values)} times.")
    return values[0] if values else None
