"""``/v1/audio/transcriptions``, ``/v1/audio/translations`` and ``/v1/models``, as OpenAI's libraries ask them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from types import EllipsisType
from typing import Any, NoReturn, TypeVar

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from hotmic.commands import SessionOptions
from hotmic.config.model import ModelSpec
from hotmic.dialects import openai_file as wire
from hotmic.dialects.multipart import FileReceived, FileStarted, MultipartForm
from hotmic.errors import BadMessage, HotmicError, NotAuthorized, TooLarge
from hotmic.events import FinalTranscribed
from hotmic.net.audit import audit
from hotmic.net.container import ContainerLimits
from hotmic.net.control import merge
from hotmic.net.file_work import FileWork
from hotmic.net.grant import Grant
from hotmic.net.limit import Quota
from hotmic.net.reply import address_of
from hotmic.net.security import Credentials
from hotmic.net.services import Services
from hotmic.net.session_config import configure
from hotmic.values import Pool, Task

UPLOAD_PATIENCE = 60.0
"""Seconds in which something of an upload must come."""
FORM_BYTES = 1 << 20
"""Bytes of a request besides its file."""
DISCARD_SECONDS = 10.0
"""Seconds for which the rest of a refused upload is read: who is cut while it sends does not read the answer."""
PROGRESS_EVERY = 5.0
"""Seconds without an event after which a stream gets a comment."""

log = structlog.get_logger(__name__)


T = TypeVar("T")
_News = FinalTranscribed | EllipsisType | None


class OpenAiRest:
    """The routes.

    Args:
        services: The daemon.
        pool: Its models.
        limits: What a file may cost.
        files: How many at a time.
    """

    def __init__(self, services: Services, pool: Pool, *, limits: ContainerLimits, files: Quota) -> None:
        self._services, self._pool, self._limits, self._files = services, pool, limits, files
        self._closing: set[asyncio.Task[None]] = set()

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""

        @app.post("/v1/audio/transcriptions", **_described("The text of a file"))
        async def transcribe(request: Request) -> Response:
            """As OpenAI's libraries ask it; docs/protocol.md tells the fields. Needs the scopes `speak`, `listen`."""
            return await self._answer(request, "transcribe")

        @app.post("/v1/audio/translations", **_described("The text of a file in English"))
        async def translate(request: Request) -> Response:
            """As a transcription, without `language`; for models that can translate."""
            return await self._answer(request, "translate")

        @app.get("/v1/models", tags=["models"], summary="All models and their other names")
        async def models(request: Request) -> Response:
            """In the shape that OpenAI's libraries read."""
            return self._tell(request, lambda: {"object": "list", "data": [self._shown(n) for n in self._names()]})

        @app.get("/v1/models/{name}", tags=["models"], summary="One model")
        async def model(request: Request, name: str) -> Response:
            """As an entry of the list."""

            def find() -> dict[str, Any]:
                self._services.control.registry.get(name)
                return self._shown(name)

            return self._tell(request, find)

    # models

    def _names(self) -> list[str]:
        registry = self._services.control.registry
        return [spec.id for spec in registry.specs] + list(registry.aliases)

    def _shown(self, name: str) -> dict[str, Any]:
        spec = self._services.control.registry.get(name)
        return {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "hotmic",
            "model": spec.id,
            "description": spec.description,
            "languages": list(spec.languages),
            "is_serving": self._pool.serves(spec.id),
        }

    def _tell(self, request: Request, find: Callable[[], dict[str, Any]]) -> Response:
        try:
            self._grant(request)
            return JSONResponse(find())
        except HotmicError as error:
            audit("request", who="", address=address_of(request), outcome=error.code, reason=error.message)
            return self._refusal(error)

    # files

    async def _answer(self, request: Request, task: Task) -> Response:
        address = address_of(request)
        grant: Grant | None = None
        try:
            grant = self._grant(request)
            grant.require("speak")
            grant.require("listen")
            token = self._services.access.token_of(grant)
            leave = self._files.enter(most=grant.streams, address=address, token=token)
        except HotmicError as error:
            await _discard(request)
            return self._refuse(error, grant, address)
        work = FileWork(self._services, self._pool, self._limits, grant)
        is_streaming = False
        try:
            wish = await _unless(work.barred(), self._receive(request, work, task))
            options = self._options(wish, grant)
            work.start(options, tenant=f"address:{address}" if token is None else f"token:{token}")
            response: Response
            if wish.stream:
                events = self._events(work, await _unless(_gone(request), _first(work)))
                response, is_streaming = _EventResponse(events, lambda: self._end(work, leave)), True
            else:
                finals = await _unless(_gone(request), _collect(work))
                body, media_type = wire.encode(wish, finals, seconds=work.seconds)
                response = Response(body, media_type=media_type)
            audit("transcribe_file", who=token or "", address=address, outcome="ok", model=wish.model[:64])
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody reads it
        except HotmicError as error:
            await work.close()
            await _discard(request)
            response = self._refuse(error, grant, address)
        finally:
            if not is_streaming:
                await self._close(work, leave)
        return response

    def _grant(self, request: Request) -> Grant:
        """Return what the request may do.

        Raises:
            _NoToken: It carries no token, or none that is in force.
        """
        try:
            grant = self._services.access.grant(Credentials(authorization=request.headers.get("authorization")))
        except NotAuthorized as error:
            raise _NoToken(error.message) from error
        if grant is None:
            raise _NoToken("This needs a token in the Authorization header.")
        return grant

    async def _receive(self, request: Request, work: FileWork, task: Task) -> wire.FileWish:
        """Read the form, hand on the file, return what is asked."""
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and int(length[:18]) > self._limits.max_bytes + FORM_BYTES:
            raise TooLarge(f"The file is larger than {self._limits.max_bytes} bytes.")
        form = MultipartForm(request.headers.get("content-type", ""))
        pieces = request.stream().__aiter__()
        while True:
            try:
                async with asyncio.timeout(UPLOAD_PATIENCE):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise BadMessage("The upload stands still.") from error
            if piece is None:
                break
            form.receive_bytes(piece)
            for part in form.parts_to_read():
                match part:
                    case FileStarted():
                        await work.open()
                    case FileReceived(data=data):
                        work.receive_bytes(data)
        if not form.is_complete:
            raise BadMessage("The form breaks off before its end.")
        if not form.has_file:
            raise wire.BadParameter("The field 'file' is missing.", "file")
        work.finish()
        return wire.parse_fields(form.fields, task=task)

    def _options(self, wish: wire.FileWish, grant: Grant) -> SessionOptions:
        """Return what the session is to start with.

        Raises:
            HotmicError: The model is not to be had, or cannot do what is asked.
        """
        control = self._services.control
        spec = self._chosen(wish.model)
        if spec is not None:
            grant.require("control")
        asked = msgspec.structs.replace(wish.options, model=spec.id if spec is not None else None)
        options = merge(configure(control.options_of(""), grant.session_config, control)[0], asked)
        try:
            control.check(options)
        except HotmicError as error:
            if "'language'" in error.message:
                raise wire.BadParameter(error.message, "language") from error
            raise
        return options

    def _chosen(self, name: str) -> ModelSpec | None:
        """Return the model that a name asks for; ``None`` where that is the one that serves."""
        registry = self._services.control.registry
        model_id = self._services.control.meant(name)
        return None if model_id in ("", self._pool.current or registry.default) else registry.get(model_id)

    async def _events(self, work: FileWork, first: _News) -> AsyncIterator[bytes]:
        text, news = "", first
        try:
            while news is not None:
                if isinstance(news, FinalTranscribed):
                    event, text = wire.encode_delta(text, news)
                    yield event
                else:
                    yield wire.encode_progress(work.seconds)
                news = await _first(work)
            yield wire.encode_done(text)
        except HotmicError as error:
            self._services.metrics.reject(error.code)
            yield wire.encode_event(wire.error_body(error))

    def _end(self, work: FileWork, leave: Callable[[], None]) -> None:
        """End a stream: in a task of its own, for the one that sent it may have been cancelled."""
        closing = asyncio.create_task(self._close(work, leave))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, work: FileWork, leave: Callable[[], None]) -> None:
        try:
            await work.close()
        finally:
            leave()

    def _refuse(self, error: HotmicError, grant: Grant | None, address: str) -> Response:
        who = self._services.access.token_of(grant) or ""
        audit("transcribe_file", who=who, address=address, outcome=error.code, reason=error.message)
        return self._refusal(error)

    def _refusal(self, error: HotmicError) -> Response:
        self._services.metrics.reject(NotAuthorized.code if isinstance(error, _NoToken) else error.code)
        status = wire.error_status(error)
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if error.retry_after_ms or status == 503:
            headers["Retry-After"] = str(-(-(error.retry_after_ms or 5000) // 1000))
        return JSONResponse(wire.error_body(error), status_code=status, headers=headers)


def _described(summary: str) -> dict[str, Any]:
    """Return what the OpenAPI document says of a route that takes a form."""
    fields = {"file": {"type": "string", "format": "binary"}, "model": {"type": "string"}}
    schema = {"type": "object", "required": list(fields), "properties": fields, "additionalProperties": True}
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    return {"tags": ["files"], "summary": summary, "openapi_extra": {"requestBody": body}}


class _NoToken(NotAuthorized):
    """A request that shows no token in force."""

    code = "invalid_api_key"


class _EventResponse(StreamingResponse):
    """A stream of events with something to do at its end, however that comes, and be it before the first event."""

    def __init__(self, events: AsyncIterator[bytes], at_end: Callable[[], None]) -> None:
        super().__init__(events, media_type=wire.EVENTS)
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


async def _first(work: FileWork) -> _News:
    """Return what comes next, ``Ellipsis`` where nothing does for a while."""
    try:
        async with asyncio.timeout(PROGRESS_EVERY):
            return await work.next_final()
    except TimeoutError:
        return ...


async def _unless(end: Coroutine[None, None, NoReturn], work: Coroutine[None, None, T]) -> T:
    """Do work, unless something comes first that ends it; what that raises is raised."""
    doing, ending = asyncio.create_task(work), asyncio.create_task(end)
    try:
        await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else ending.result()
    finally:
        for task in (doing, ending):
            task.cancel()
        await asyncio.gather(doing, ending, return_exceptions=True)


async def _collect(work: FileWork) -> list[FinalTranscribed]:
    finals = []
    while (final := await work.next_final()) is not None:
        finals.append(final)
    return finals


async def _gone(request: Request) -> NoReturn:
    """Wait until the client has left.

    Raises:
        ClientDisconnect: It has.
    """
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _discard(request: Request) -> None:
    """Read what is left of a request."""
    with contextlib.suppress(ClientDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _ in request.stream():
                pass
