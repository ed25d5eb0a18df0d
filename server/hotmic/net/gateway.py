"""The HTTP side: the page, health and metrics."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hotmic import __version__
from hotmic.errors import ConfigError, HotmicError, NotAuthorized
from hotmic.metrics import Metrics
from hotmic.net.client_secret_route import add_client_secrets
from hotmic.net.control import Control
from hotmic.net.doorman import Doorman
from hotmic.net.health import Health
from hotmic.net.listener import PING_INTERVAL, PING_TIMEOUT
from hotmic.net.openai_rest import OpenAiRest
from hotmic.net.reception import Reception
from hotmic.net.security import Access, Credentials
from hotmic.net.upgrade import add_sockets

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; worker-src 'self'; "
    "script-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def build_gateway(
    *,
    control: Control,
    metrics: Metrics,
    access: Access,
    web: Path,
    page_config: Callable[[], dict[str, Any]],
    health: Health,
    reception: Reception,
    rest: OpenAiRest,
) -> FastAPI:
    """Return the HTTP application.

    Args:
        control: Knows the status.
        metrics: What /metrics prints.
        access: Checks Host and Origin.
        web: Folder of the page.
        page_config: Where the page finds the sockets.
        health: Looks at the daemon.
        reception: Serves the paths that are WebSockets.
        rest: Takes files.
    """
    app = FastAPI(title="hotmic", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        try:
            access.check_source(host=request.headers.get("host"), origin=request.headers.get("origin"))
        except HotmicError as error:
            return _refusal(error.message, 403)
        response: Response = await call_next(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
        return response

    app.add_middleware(Doorman, addresses=access.addresses)
    add_sockets(app, reception)
    _add_health(app, health, access)
    add_client_secrets(app, access)
    rest.add_to(app)

    @app.get("/metrics")
    async def series() -> PlainTextResponse:
        for model in control.status()["models"]:
            metrics.model_serving.labels(model["model_id"]).set(float(model["state"] == "serving"))
            metrics.worker_restarts.labels(model["model_id"]).set(model["restarts"])
        return PlainTextResponse(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/config.json")
    async def config() -> dict[str, Any]:
        return page_config()

    app.mount("/", StaticFiles(directory=web, html=True))
    return app


def _add_health(app: FastAPI, health: Health, access: Access) -> None:
    @app.get("/health")
    async def summary() -> JSONResponse:
        return _verdict(health.summary())

    @app.get("/health/extended")
    async def extended(request: Request) -> JSONResponse:
        try:
            grant = access.grant(Credentials(authorization=request.headers.get("authorization")))
            if grant is None:
                return _refusal("This needs a token with the scope 'control'.", 401, {"WWW-Authenticate": "Bearer"})
            grant.require("control")
        except NotAuthorized as error:
            return _refusal(error.message, 403)
        return _verdict(await health.extended())

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "ok"}


def _verdict(report: dict[str, Any]) -> JSONResponse:
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)


def _refusal(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {"type": "error", "code": NotAuthorized.code, "message": message}
    return JSONResponse(body, status_code=status, headers=headers)


class _Server(uvicorn.Server):
    """Leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Gateway:
    """The HTTP port.

    Args:
        app: What it serves.
        max_message: Largest WebSocket frame in bytes.
        tls: What the port encrypts with; ``None`` for plain sockets.
    """

    def __init__(self, app: FastAPI, *, max_message: int, tls: ssl.SSLContext | None = None) -> None:
        self._app, self._max_message, self._tls = app, max_message, tls
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> int:
        """Bind and listen; return the port.

        Raises:
            ConfigError: The address cannot be bound.
        """
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if sys.platform != "win32":  # there it would let two daemons share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            raise ConfigError(f"http_port: cannot listen on {host}:{port}: {error.strerror}.") from error
        config = uvicorn.Config(
            self._app,
            ws="websockets-sansio",
            ws_max_size=self._max_message,
            ws_ping_interval=PING_INTERVAL,
            ws_ping_timeout=PING_TIMEOUT,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        config.load()
        config.ssl = self._tls
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)
        if self._task.done():
            self._task.result()
        return int(bound.getsockname()[1])

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
