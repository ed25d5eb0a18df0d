"""The interfaces described: ``/openapi.json`` and ``/docs``, ``/asyncapi.yaml`` and ``/asyncapi.html``."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from hotmic import __version__
from hotmic.dialects.asyncapi import build_document
from hotmic.dialects.catalogue import EXCHANGES
from hotmic.net import manual
from hotmic.net.reception import ANY_PATH


def add_manual(app: FastAPI, paths: Mapping[str, Mapping[str, str]], ports: Callable[[], Mapping[str, int]]) -> None:
    """Add the routes to an application; they are plain functions, which run on threads: making a document takes long.

    Args:
        app: The application; all routes it has when it is asked are described.
        paths: The dialect of each path of each listener that takes WebSockets, by its name.
        ports: Returns the port of each listener by its name.
    """

    @lru_cache(maxsize=8)
    def messages(scheme: str, host: str) -> tuple[str, str]:
        servers = {_named(name): f"{host}:{port}" for name, port in ports().items()}
        tables = {_named(name): table for name, table in paths.items()}
        protocol = "wss" if scheme == "https" else "ws"
        document = build_document(
            EXCHANGES, paths=tables, servers=servers, protocol=protocol, version=__version__, any_path=ANY_PATH
        )
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True), manual.messages_page(document)

    @app.get("/openapi.json", include_in_schema=False)
    def routes_document() -> dict[str, Any]:
        return app.openapi()

    @app.get("/docs", include_in_schema=False)
    def routes_page() -> HTMLResponse:
        return HTMLResponse(manual.routes_page(app.openapi()))

    @app.get("/asyncapi.yaml", include_in_schema=False)
    def messages_document(request: Request) -> Response:
        return Response(messages(*_address(request))[0], media_type="application/yaml")

    @app.get("/asyncapi.html", include_in_schema=False)
    def messages_page(request: Request) -> HTMLResponse:
        return HTMLResponse(messages(*_address(request))[1])


def _named(listener: str) -> str:
    return "gateway" if listener == "http" else listener


def _address(request: Request) -> tuple[str, str]:
    host = request.url.hostname or "localhost"
    return request.url.scheme, f"[{host}]" if ":" in host else host
