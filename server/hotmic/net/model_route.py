"""``POST /v1/models/{id}/load`` and ``/unload``: what controllers do over a WebSocket, for scripts."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects import dual
from hotmic.dialects.complaint import complain
from hotmic.errors import BadField, InvalidJson, ModelUnavailable, RateLimited, ShuttingDown
from hotmic.net.audit import auditing
from hotmic.net.connection import COMMON_CHANNEL
from hotmic.net.control import Control
from hotmic.net.grant import Grant
from hotmic.net.hub import wall_clock
from hotmic.net.reply import address_of, read_body, require, status_of
from hotmic.net.security import Access
from hotmic.values import LoadMode

MAX_BODY = 4096
"""Bytes of a request."""
MAX_WAITING = 32
"""Requests that wait for a model at a time; one more is refused."""


class Wish(msgspec.Struct):
    """The body of a load, which may be left out."""

    mode: LoadMode = "beside"


class Caller:
    """Asks ``Control`` for one thing and hears how it ended.

    Args:
        grant: What it may do.
    """

    channel = COMMON_CHANNEL
    is_speaker = False

    def __init__(self, grant: Grant) -> None:
        self.grant: Grant | None = grant
        self.outcome: asyncio.Future[e.Event] = asyncio.get_running_loop().create_future()

    def answer(self, event: e.Event) -> None:
        """Take an answer; progress is none yet."""
        if not isinstance(event, e.ModelLoading) and not self.outcome.done():
            self.outcome.set_result(event)

    def move(self, channel: str) -> None:
        """Hear another channel: not asked for here."""
        raise NotImplementedError(channel)

    def hear(self, event: e.Event, *, timestamp: str, key: str = "") -> None:
        """Take an event of a channel: it is in none."""
        raise NotImplementedError(type(event).__name__)


def add_models(app: FastAPI, control: Control, access: Access, *, is_draining: Callable[[], bool]) -> None:
    """Add the routes to an application.

    Args:
        app: The application.
        control: Loads and unloads; WebSocket clients hear of it as if one of them had asked.
        access: Knows who may.
        is_draining: Returns whether the daemon stops.
    """
    waiting: set[Caller] = set()

    async def ask(command: c.LoadModel | c.UnloadModel, grant: Grant, request: Request) -> e.Event:
        who = access.token_of(grant) or ""
        with auditing(command, who=who, address=address_of(request), channel=COMMON_CHANNEL):
            caller = begin(command, grant)
        try:
            return await caller.outcome
        finally:
            waiting.discard(caller)

    def begin(command: c.LoadModel | c.UnloadModel, grant: Grant) -> Caller:
        if is_draining():
            raise ShuttingDown("The daemon is stopping.")
        if len(waiting) >= MAX_WAITING:
            raise RateLimited("As many requests wait for models as may; come again later.", retry_after_ms=1000)
        control.registry.get(command.model_id)
        caller = Caller(grant)
        control.receive(command, caller)
        waiting.add(caller)
        return caller

    @app.post(
        "/v1/models/{model_id:path}/load",
        tags=["models"],
        summary="Load a model",
        responses=_ERRORS,
        openapi_extra=_BODY,
    )
    async def load(model_id: str, request: Request) -> JSONResponse:
        """Load a model and make it the one that serves; answers when it does, with `load_seconds`.

        The old model serves until then, and goes on if this fails. `mode: replace` ends it first, where both do not
        fit. Needs the scope `control`.
        """
        grant = require(request, access, "control")
        wish = await _read(request)
        return _answer(await ask(c.LoadModel(model_id=model_id, mode=wish.mode), grant, request))

    @app.post("/v1/models/{model_id:path}/unload", tags=["models"], summary="Unload a model", responses=_ERRORS)
    async def unload(model_id: str, request: Request) -> JSONResponse:
        """End the worker of a model; answers when its memory is free. Needs the scope `control`."""
        grant = require(request, access, "control")
        await _read(request)
        return _answer(await ask(c.UnloadModel(model_id=model_id), grant, request), {ModelUnavailable.code: 409})


_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {"description": "The message `error`; docs/operation.md says which status means what"}
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"mode": {"enum": ["beside", "replace"], "default": "beside"}},
                }
            }
        },
    }
}


async def _read(request: Request) -> Wish:
    """Return the body of a request.

    A page of another origin can post a form or plain text without being asked back; JSON it cannot.

    Raises:
        BadField: It is not JSON by name, or a field of it is wrong.
        InvalidJson: It is not JSON.
        HotmicError: See ``read_body``.
    """
    body = await read_body(request, most=MAX_BODY)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (kind or body) and kind != "application/json":
        raise BadField("The Content-Type must be application/json, or there must be no body.")
    try:
        return msgspec.json.decode(body, type=Wish) if body else Wish()
    except msgspec.ValidationError as error:
        raise BadField(complain(error, Wish)[1]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson("The request is not valid JSON.") from error


def _answer(event: e.Event, statuses: dict[str, int] | None = None) -> JSONResponse:
    body = dual.encode(event, wall_clock()) or {}
    if not isinstance(event, e.ErrorRaised):
        return JSONResponse(body)
    return JSONResponse(body, (statuses or {}).get(event.code) or status_of(event.code))
