"""The address rules before every HTTP request; WebSockets pass them at their reception."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hotmic.errors import NotAuthorized
from hotmic.net.address import Addresses
from hotmic.net.audit import audit
from hotmic.net.reply import refusal


class Doorman:
    """Refuses requests from addresses that may not connect, and tells the others' real address.

    Args:
        app: Answers; sees the client's address where a trusted proxy is in between.
        addresses: The rules.
    """

    def __init__(self, app: ASGIApp, *, addresses: Addresses) -> None:
        self._app, self._addresses = app, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            address, port = scope.get("client") or ("local", 0)
            try:
                address = self._addresses.client(address, Headers(scope=scope).getlist)
                self._addresses.check(address)
            except NotAuthorized as error:
                audit("request", who="", address=address, outcome=error.code, listener="http", reason=error.message)
                await refusal(error)(scope, receive, send)
                return
            scope["client"] = (address, port)
        await self._app(scope, receive, send)
