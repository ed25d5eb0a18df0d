"""What ``/v1`` says where it has no route: refusals in the shape that OpenAI's libraries read."""

from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from hotmic.dialects.openai_file import error_body
from hotmic.errors import BadMessage, NotFound

PREFIX = "/v1"


def add_refusals(app: FastAPI) -> None:
    """Answer for all paths below ``/v1`` that no route of an application takes; add it behind those."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        asked = {**scope, "root_path": scope.get("app_root_path", "")}
        methods: set[str] = set()
        for route in app.router.routes:
            if isinstance(route, Route) and route.matches(asked)[0] is Match.PARTIAL:
                methods |= route.methods or set()
        answer = _other_method(sorted(methods)) if methods else _nothing()
        await answer(scope, receive, send)

    app.mount(PREFIX, refuse)


def _other_method(methods: list[str]) -> JSONResponse:
    error = BadMessage(f"This path takes {' or '.join(methods)} alone.")
    return JSONResponse(error_body(error), 405, {"Allow": ", ".join(methods)})


def _nothing() -> JSONResponse:
    return JSONResponse(error_body(NotFound("There is nothing at this path.")), 404)
