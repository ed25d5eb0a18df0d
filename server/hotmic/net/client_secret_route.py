"""``POST /v1/realtime/client_secrets``, as OpenAI's libraries ask it."""

import secrets
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hotmic.dialects.complaint import complain
from hotmic.errors import BadField, HotmicError, InvalidJson, NotAuthorized, RateLimited, TooLarge
from hotmic.net.audit import audit
from hotmic.net.reply import MissingToken, address_of, read_body
from hotmic.net.security import Access, Credentials

PATH = "/v1/realtime/client_secrets"
MAX_BODY = 16_384
"""Bytes of a request: a session's configuration is some hundred."""


class _ExpiresAfter(msgspec.Struct):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=10, le=7200)] = 600


class _Session(msgspec.Struct):
    type: Literal["transcription"] = "transcription"


class _Wanted(msgspec.Struct):
    expires_after: _ExpiresAfter | None = None
    session: _Session | None = None


def add_client_secrets(app: FastAPI, access: Access) -> None:
    """Add the route to an application."""

    @app.post(PATH, tags=["realtime"], summary="Make a client secret")
    async def create(request: Request) -> Response:
        """Return a secret that lets one connection in, once, such as that of a page that must not know a token."""
        about = {"action": "create_client_secret", "address": address_of(request)}
        grant = None
        try:
            grant = access.grant(Credentials(authorization=request.headers.get("authorization")))
            if grant is None:
                raise MissingToken("This needs a token in the Authorization header.")
            seconds, session = _parse(await read_body(request, most=MAX_BODY))
            config = msgspec.json.encode(session).decode()
            value, expires_at = access.create_client_secret(grant, ttl=seconds, session_config=config)
        except HotmicError as error:
            audit(who=access.token_of(grant) or "", outcome=error.code, reason=error.message, **about)
            return _failure(error, _status(error))
        audit(who=access.token_of(grant) or "", outcome="ok", **about)
        shown = {"id": f"sess_{secrets.token_hex(12)}", "object": "realtime.transcription_session", **session}
        body = msgspec.json.encode({"value": value, "expires_at": expires_at, "session": shown})
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _parse(body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the seconds a secret is to live, and the configuration of its session as the client wrote it.

    Raises:
        InvalidJson: Not a JSON object.
        BadField: A wrong field; the message names it.
    """
    try:
        wanted = msgspec.json.decode(body or b"{}", type=_Wanted)
        whole = msgspec.json.decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise BadField(complain(error, _Wanted)[1]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson("The request is not valid JSON.") from error
    session = {"type": "transcription", **(whole.get("session") or {})}
    return (wanted.expires_after or _ExpiresAfter()).seconds, session


def _status(error: HotmicError) -> int:
    match error:
        case MissingToken():
            return 401
        case NotAuthorized():
            return 403
        case TooLarge():
            return 413
        case RateLimited():
            return 429
        case _:
            return 400


def _failure(error: HotmicError, status: int) -> JSONResponse:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": error.message, "type": kind, "param": None, "code": error.code}}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if error.retry_after_ms:
        headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    return JSONResponse(body, status_code=status, headers=headers)
