"""What HTTP routes say when they refuse, and how they know who asks."""

import asyncio
from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hotmic.errors import BadMessage, HotmicError, NotAuthorized, NotFound, TooLarge
from hotmic.net.grant import Grant, Scope
from hotmic.net.reception import body_of
from hotmic.net.security import Access, Credentials

STATUSES: Mapping[str, int] = {
    "not_authorized": 403,
    "not_found": 404,
    "unknown_model": 404,
    "superseded": 409,
    "too_large": 413,
    "rate_limited": 429,
    "internal": 500,
    "engine_failed": 502,
    "worker_died": 502,
    "download_failed": 502,
    "model_unavailable": 503,
    "overloaded": 503,
    "shutting_down": 503,
}
"""The HTTP status of a stable code; 400 for all others, which are mistakes in a request."""
UNREADABLE = 400
BODY_WITHIN = 10.0
"""Seconds in which a short body must have come."""


class MissingToken(NotAuthorized):
    """A route that needs a token was asked without one."""


def status_of(code: str) -> int:
    """Return the HTTP status of a stable code."""
    return STATUSES.get(code, UNREADABLE)


def refusal(error: HotmicError) -> JSONResponse:
    """Return an error as an answer."""
    headers: dict[str, str] = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    if isinstance(error, MissingToken):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body_of(error), 401 if isinstance(error, MissingToken) else status_of(error.code), headers)


async def explain(_: Request, error: Exception) -> JSONResponse:
    """Return what the router refuses by itself in the shape of all refusals."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return refusal(NotFound("There is nothing at this path."))
    body = {"type": "error", "code": BadMessage.code, "message": f"{error.detail}.", "retryable": False}
    return JSONResponse(body, error.status_code, error.headers)


def address_of(request: Request) -> str:
    """Return where a request comes from, through trusted proxies too."""
    return request.client.host if request.client else "local"


async def read_body(request: Request, *, most: int) -> bytes:
    """Return the body of a request.

    Args:
        request: The request.
        most: Bytes it may have.

    Raises:
        TooLarge: It has more.
        BadMessage: It does not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise TooLarge(f"The request is larger than {most} bytes.")
    except TimeoutError as error:
        raise BadMessage("The request stands still.") from error
    return bytes(body)


def require(request: Request, access: Access, scope: Scope) -> Grant:
    """Return what the asker may do.

    Raises:
        MissingToken: It brought no token, and needs one.
        NotAuthorized: Its token is not valid, or does not carry the scope.
    """
    grant = access.grant(Credentials(authorization=request.headers.get("authorization")))
    if grant is None:
        raise MissingToken(f"This needs a token with the scope '{scope}'.")
    grant.require(scope)
    return grant
