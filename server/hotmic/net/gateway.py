"""The HTTP side: one application out of the routes of many files, and the port it is served on."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from hotmic import __version__
from hotmic.errors import ConfigError
from hotmic.metrics import Metrics
from hotmic.net.client_secret_route import add_client_secrets
from hotmic.net.control import Control
from hotmic.net.doorman import Doorman
from hotmic.net.guard import Guard
from hotmic.net.health import Health
from hotmic.net.health_route import add_health
from hotmic.net.listener import PING_INTERVAL, PING_TIMEOUT
from hotmic.net.liveness import keep_short
from hotmic.net.manual_route import add_manual
from hotmic.net.model_route import add_models
from hotmic.net.openai_rest import OpenAiRest
from hotmic.net.prompt import PromptProtocol
from hotmic.net.reception import Reception
from hotmic.net.reply import explain
from hotmic.net.security import Access
from hotmic.net.sharing import Sharing
from hotmic.net.upgrade import add_sockets, compressing


def build_gateway(
    *,
    control: Control,
    metrics: Metrics,
    access: Access,
    web: Path,
    ports: Callable[[], Mapping[str, int]],
    health: Health,
    reception: Reception,
    sharing: Sharing,
    rest: OpenAiRest,
) -> FastAPI:
    """Return the HTTP application.

    Args:
        control: Loads and unloads models.
        metrics: What /metrics prints.
        access: Checks Host, Origin and tokens.
        web: Folder of the page.
        ports: Returns the port of each listener by its name.
        health: Looks at the daemon.
        reception: Serves the paths that are WebSockets.
        sharing: Which pages of other origins may read the answers.
        rest: Takes files.
    """
    app = FastAPI(title="hotmic", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, routes=app.router.routes, access=access, sharing=sharing, metrics=metrics)
    app.add_middleware(Doorman, addresses=access.addresses)
    app.add_exception_handler(HTTPException, explain)
    add_sockets(app, reception)
    add_health(app, health, access)
    add_client_secrets(app, access)
    rest.add_to(app)
    add_models(app, control, access, is_draining=lambda: reception.is_draining)
    add_manual(app, reception.paths, ports)

    @app.get("/metrics", tags=["health"], summary="Series for Prometheus", response_class=PlainTextResponse)
    async def series() -> PlainTextResponse:
        """In the text format of Prometheus; docs/operation.md says what each series is for."""
        return PlainTextResponse(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/config.json", include_in_schema=False)
    async def config() -> dict[str, Any]:
        named = {f"{name}_port": port for name, port in ports().items() if name in ("http", "control", "audio")}
        return {**named, "control_path": "/ws/control", "audio_path": "/ws/audio"}

    app.mount("/", StaticFiles(directory=web, html=True))
    return app


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
        may_compress: Whether the WebSocket at a path and query may be compressed.
        tls: What the port encrypts with; ``None`` for plain sockets.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        max_message: int,
        may_compress: Callable[[str], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._app, self._max_message, self._may_compress, self._tls = app, max_message, may_compress, tls
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
        keep_short([bound])
        config = uvicorn.Config(
            self._app,
            http=PromptProtocol,
            ws=compressing(self._may_compress),
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
