"""The daemon: every part built and wired, started and stopped."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from hotmic.building import (
    build_access,
    build_dialects,
    build_pool,
    build_runner,
    build_tapes,
    dialect_options,
    file_limits,
    file_quota,
    rates,
    session_options,
)
from hotmic.config.listener import parse_listeners
from hotmic.config.machine import connections_that_fit
from hotmic.config.model import ModelSpec
from hotmic.config.registry import Registry, RegistryFile
from hotmic.config.settings import Settings
from hotmic.dialects.negotiate import DIALECTS, GATEWAY_PATHS
from hotmic.errors import ConfigError
from hotmic.log import LogStream
from hotmic.metrics import Metrics
from hotmic.net.certificate import Certificate
from hotmic.net.container_feed import container_quota
from hotmic.net.control import Control
from hotmic.net.health import Health, file_limit, verdict
from hotmic.net.history import History
from hotmic.net.hub import Hub
from hotmic.net.limit import Quota
from hotmic.net.listener import Listener
from hotmic.net.pulse import Pulse
from hotmic.net.reception import ANY_PATH, Reception
from hotmic.net.roster import Roster
from hotmic.net.series import Series
from hotmic.net.services import Services
from hotmic.net.sharing import Sharing
from hotmic.net.token_watch import TokenWatch
from hotmic.net.watch import Watch
from hotmic.values import LoadProgress

DUAL_PATHS = ("/", "/ws/control", "/ws/audio")
"""Where the control and the audio port answer: a proxy may pass either path on to either."""

log = structlog.get_logger(__name__)


class Daemon:
    """hotmic as one object.

    Args:
        settings: What to build.

    Raises:
        ConfigError: The settings, the registry or the tokens file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        path = settings.registry_path()
        registry = Registry.load(path)
        self._registry_file = RegistryFile(path, registry)
        self.default_model = registry.get(settings.model or registry.default).id
        check_language(settings.language, registry.get(self.default_model))
        self.access = build_access(settings)
        self.metrics = Metrics()
        self.roster = Roster()
        self.metrics.registry.register(self.roster)
        self.hub = Hub(History(keep=settings.history_s, first_id=round(time.time() * 1000)))
        self.pool = build_pool(settings, registry, on_change=self._receive_pool_change)
        tapes = build_tapes(settings, on_failure=lambda message: self.runner.notices.show("record", message))
        self.runner = build_runner(settings, self.pool, self.hub, self.metrics, tapes=tapes)
        self.control = Control(
            pool=self.pool,
            registry=registry,
            runner=self.runner,
            hub=self.hub,
            options=session_options(settings),
            clock=time.monotonic,
            recorded=settings.record is not None,
        )
        services = Services(
            hub=self.hub,
            runner=self.runner,
            control=self.control,
            access=self.access,
            metrics=self.metrics,
            roster=self.roster,
            connections=Quota(
                "connections",
                per_address=settings.max_connections_per_address,
                per_token=settings.max_connections_per_token,
                total=connections_that_fit(file_limit() or 0),
            ),
            streams=Quota(
                "streams", per_address=settings.max_streams_per_address, per_token=settings.max_streams_per_token
            ),
            containers=container_quota(settings.max_containers),
            rates=rates(settings),
            outbox_items=settings.outbox_items,
            outbox_bytes=settings.outbox_bytes,
            slow_client=settings.slow_client_s,
            dialect_options=dialect_options(settings),
        )
        self._services = services
        self._certificate = Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        self._tls = self._certificate.context if self._certificate else None
        self._token_watch = TokenWatch(settings.tokens, self.access, self.roster)
        self._pulse = Pulse(self.metrics.loop_lag.observe)
        self._listeners = self._build_listeners(services)
        self._gateway_reception = Reception("http", services, GATEWAY_PATHS, build_dialects(settings))
        self._gateway: Any = None
        self._watcher: asyncio.Task[None] | None = None
        self.ports: dict[str, int] = {}
        self.is_draining = False

    def _build_listeners(self, services: Services) -> list[tuple[Listener, int]]:
        """Return every WebSocket port with the number it is to have.

        Raises:
            ConfigError: The setting ``listeners`` cannot be used.
        """
        settings, dialects = self.settings, build_dialects(self.settings)
        doors = [
            (name, f"{name}_port", port, dict.fromkeys(DUAL_PATHS, name) | more)
            for name, port, more in (
                ("control", settings.control_port, {"/": "control_or_caption"}),
                ("audio", settings.audio_port, {}),
            )
        ]
        more = parse_listeners(settings.listeners, dialects=DIALECTS, any_path=ANY_PATH)
        for number, (port, paths) in enumerate(more, 1):
            doors.append((f"{'-'.join(dict.fromkeys(paths.values()))}-{number}", "listeners", port, paths))
        return [
            (
                Listener(
                    Reception(name, services, paths, dialects),
                    setting=setting,
                    max_message=settings.max_message_bytes,
                    tls=self._tls,
                ),
                port,
            )
            for name, setting, port, paths in doors
        ]

    def _build_watch(self) -> Watch:
        looks = {
            "the log": self._look_at_log,
            "the tokens": self._look_at_tokens,
            "the TLS certificate": self._look_at_certificate,
            "models.yaml": self._look_at_models,
        }
        return Watch(looks, self.runner.notices)

    def _build_series(self) -> Series:
        return Series(
            model_ids=lambda: [spec.id for spec in self.control.registry.specs],
            models=self.pool.status,
            held_audio=self.runner.held_audio,
            problem=self._problem,
        )

    async def open(self, on_listening: Callable[[str, str], None]) -> None:
        """Bind the ports; audio is taken from now on and waits for the model.

        Args:
            on_listening: Told each listener's name and URL.

        Raises:
            ConfigError: A port cannot be bound.
        """
        if self.settings.record is not None:
            log.warning("Every session is recorded to disk, sound and text.", folder=str(self.settings.record))
        host = self.settings.host
        shown = f"[{host}]" if ":" in host else host
        for listener, port in self._listeners:
            self.ports[listener.name] = await listener.open(host, port)
            on_listening(listener.name, f"{self._scheme('ws')}://{shown}:{self.ports[listener.name]}")
        self._watcher = asyncio.create_task(self._build_watch().run())
        self._pulse.open()
        self.metrics.registry.register(self._build_series())
        limit = file_limit() or 0
        free = connections_that_fit(limit)
        if free is not None and free < self.settings.max_connections_per_address:
            message = (
                f"At most {limit} files may be open, enough for about {free} connections (ulimit -n, LimitNOFILE)."
            )
            self.runner.notices.show("few_files", message)

    def describe(self) -> str:
        """Return how the daemon is, as a line for a service manager."""
        sessions = f"{self.runner.session_count} sessions"
        if problem := self._problem():
            return f"{problem.capitalize()}; {sessions}."
        return f"Serving {self.pool.current}; {sessions}."

    async def open_gateway(self, on_listening: Callable[[str, str], None]) -> None:
        """Bind the HTTP port.

        Raises:
            ConfigError: It cannot be bound.
        """
        # FastAPI takes longer to import than the sockets to open.
        from hotmic.net.gateway import Gateway, build_gateway
        from hotmic.net.openai_rest import OpenAiRest

        gateway = build_gateway(
            control=self.control,
            metrics=self.metrics,
            access=self.access,
            web=find_web(),
            ports=lambda: self.ports,
            paths={listener.name: listener.paths for listener, _ in self._listeners},
            health=Health(
                control=self.control,
                pool=self.pool,
                roster=self.roster,
                places=self._places(),
                problem=self._problem,
            ),
            reception=self._gateway_reception,
            sharing=Sharing(self.settings.allowed_origins, allow_null=self.settings.allow_null_origin),
            rest=OpenAiRest(
                self._services, self.pool, limits=file_limits(self.settings), files=file_quota(self.settings)
            ),
        )
        self._gateway = Gateway(
            gateway,
            max_message=self.settings.max_message_bytes,
            may_compress=self._gateway_reception.may_compress,
            slow_client=self.settings.slow_client_s,
            tls=self._tls,
        )
        host = self.settings.host
        self.ports["http"] = await self._gateway.open(host, self.settings.http_port)
        on_listening("http", f"{self._scheme('http')}://{f'[{host}]' if ':' in host else host}:{self.ports['http']}")

    def _scheme(self, plain: str) -> str:
        return plain if self._tls is None else f"{plain}s"

    async def load_default(self) -> None:
        """Load the default model.

        Raises:
            HotmicError: It cannot be served; the daemon goes on without a model, and the status says why.
        """
        await self.pool.load(self.default_model, mode="beside", report=_log_progress)
        spec = self.control.registry.get(self.default_model)
        if spec.notice:
            log.info(spec.notice, try_saying=list(spec.phrases))

    async def close(self) -> None:
        """Stop: refuse new connections, finalise what is being said, tell the finals, end the workers.

        Every part is closed, whatever another raises.
        """
        self.is_draining = True
        async with contextlib.AsyncExitStack() as last_first:
            last_first.push_async_callback(self.pool.close)
            if self._gateway is not None:
                last_first.push_async_callback(self._gateway.close)
            last_first.callback(self.runner.close)
            last_first.push_async_callback(self.control.close)
            last_first.callback(self._pulse.close)
            if self._watcher is not None:
                last_first.callback(self._watcher.cancel)
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Tell what is still to be told, and close every connection."""
        for listener, _ in self._listeners:
            listener.drain()
        self._gateway_reception.drain()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                await self.runner.finish()
        except TimeoutError:
            log.error("Not every final could be told in time.", sessions=self.runner.session_count)
        goodbye = (1012, "the daemon restarts")
        await asyncio.gather(
            self._gateway_reception.close(*goodbye), *(listener.close(*goodbye) for listener, _ in self._listeners)
        )

    def _places(self) -> dict[str, Path]:
        log_file = self.settings.log_file
        return {"models_dir": self.settings.models_dir, **({"log_file": log_file} if log_file else {})}

    def _problem(self) -> str:
        return verdict(self.pool.status(), current=self.pool.current, is_draining=self.is_draining)

    def _receive_pool_change(self) -> None:
        self.runner.receive_pool_change()
        self.control.announce_exits()
        if all(model.state not in ("failed", "unavailable") for model in self.pool.status()):
            self.runner.notices.show("model_failed", "")
        for model in self.pool.status():
            if model.model_id == self.pool.current and model.device == "cpu" and self.settings.device == "auto":
                if "cpu" not in self.runner.notices.shown:
                    self.runner.notices.show(
                        "cpu", f"Using CPU (consider GPU for better performance). {model.reason}".strip()
                    )
            elif model.state in ("failed", "unavailable"):
                what = "could not be loaded" if model.state == "failed" else "keeps crashing and is given up"
                self.runner.notices.show("model_failed", f"The model '{model.model_id}' {what}: {model.reason}")

    async def _look_at_log(self) -> None:
        self.runner.notices.show("log", LogStream.problem)

    async def _look_at_certificate(self) -> None:
        if self._certificate is None:
            return
        try:
            if self._certificate.look():
                log.info("The TLS certificate was renewed.", file=str(self.settings.tls_cert))
        except ConfigError as error:
            log.error("The TLS certificate was edited and cannot be used; the old one stays.", reason=error.message)
        problem = "The TLS certificate was edited and cannot be used; the old one stays. The log says why."
        self.runner.notices.show("tls", problem if self._certificate.problem else "")

    async def _look_at_tokens(self) -> None:
        try:
            await self._token_watch.look()
        finally:
            self.runner.notices.show("tokens", self._token_watch.problem)

    async def _look_at_models(self) -> None:
        change = await asyncio.to_thread(self._registry_file.changed)
        match change:
            case Registry():
                self.control.registry = self.pool.registry = change
                log.info("models.yaml was edited.", models=len(change.specs))
                self.control.announce_models()
            case ConfigError():
                log.error("models.yaml was edited and cannot be used; the old one stays.", reason=change.message)
                self.control.announce_models(problem=change.message)


def check_language(language: str | None, spec: ModelSpec) -> None:
    """Refuse a language that a model does not know.

    Raises:
        ConfigError: It is not among those of its entry in the registry.
    """
    if language is not None and "multilingual" not in spec.languages and language not in spec.languages:
        known = ", ".join(spec.languages)
        raise ConfigError(f"language: {spec.id} does not know {language!r}, only {known}.", key="language")


def find_web() -> Path:
    """Return the folder of the page: inside the installed package, or at the top of the checkout.

    Raises:
        ConfigError: The installation holds none.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "web", package.parent.parent / "web"):
        if (candidate / "index.html").is_file():
            return candidate
    raise ConfigError("The page did not come with this installation.")


def _log_progress(progress: LoadProgress) -> None:
    log.info("Loading.", model=progress.model_id, stage=progress.stage, progress=round(progress.progress, 2))
