"""The daemon: every part built and wired, started and stopped."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from hotmic.audio.segmenter import Segmenter
from hotmic.audio.vad import build_vad, segmenter_numbers
from hotmic.commands import SessionOptions
from hotmic.config.model import ModelSpec
from hotmic.config.registry import Registry, RegistryFile
from hotmic.config.settings import Settings
from hotmic.config.weight import locate, verify
from hotmic.errors import ConfigError, DownloadFailed
from hotmic.metrics import Metrics
from hotmic.net.connection import Services
from hotmic.net.control import Control
from hotmic.net.history import History
from hotmic.net.hub import Hub
from hotmic.net.limit import Limit
from hotmic.net.listener import Listener
from hotmic.net.runner import Runner
from hotmic.net.security import Access, Tokens
from hotmic.policies.align_att import AlignAtt
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.policies.policy import Policy
from hotmic.scheduler.scheduler import Scheduler
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import SAMPLE_RATE, LoadProgress, PolicyName, VadProfile
from hotmic.worker.pool import LocalPool

REGISTRY_POLL = 1.0
"""Seconds between two looks at models.yaml."""

FILE_SILENCE = 86_400.0
"""Seconds without audio that end a segment of a file: reading it may take as long as it likes."""

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
        self.access = Access(
            host=settings.host,
            tokens=Tokens.load(settings.tokens) if settings.tokens else Tokens({}),
            allow_anonymous=settings.auth == "none",
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
            allow_null_origin=settings.allow_null_origin,
        )
        self.metrics = Metrics()
        self.hub = Hub(History(keep=settings.history_s, first_id=round(time.time() * 1000)))
        self.pool = build_pool(settings, registry, on_change=self._receive_pool_change)
        self.runner = build_runner(settings, self.pool, self.hub, self.metrics)
        self.control = Control(
            pool=self.pool,
            registry=registry,
            runner=self.runner,
            hub=self.hub,
            options=session_options(settings),
            clock=time.monotonic,
        )
        services = Services(
            hub=self.hub,
            runner=self.runner,
            control=self.control,
            access=self.access,
            metrics=self.metrics,
            streams=Limit(settings.max_streams_per_address),
            outbox_items=settings.outbox_items,
            outbox_bytes=settings.outbox_bytes,
            slow_client=settings.slow_client_s,
        )
        connections = Limit(settings.max_connections_per_address)
        self._listeners = [
            Listener(name, services, connections=connections, max_message=settings.max_message_bytes)
            for name in ("control", "audio")
        ]
        self._gateway: Any = None
        self._watcher: asyncio.Task[None] | None = None
        self.ports: dict[str, int] = {}
        self.is_draining = False

    async def open(self, on_listening: Callable[[str, str], None]) -> None:
        """Bind the ports; audio is taken from now on and waits for the model.

        Args:
            on_listening: Told each listener's name and URL.

        Raises:
            ConfigError: A port cannot be bound.
        """
        host = self.settings.host
        shown = f"[{host}]" if ":" in host else host
        wanted = {"control": self.settings.control_port, "audio": self.settings.audio_port}
        for listener in self._listeners:
            self.ports[listener.name] = await listener.open(host, wanted[listener.name])
            on_listening(listener.name, f"ws://{shown}:{self.ports[listener.name]}")
        self._watcher = asyncio.create_task(self._watch_registry())

    async def open_gateway(self, on_listening: Callable[[str, str], None]) -> None:
        """Bind the HTTP port.

        Raises:
            ConfigError: It cannot be bound.
        """
        from hotmic.net.gateway import Gateway, build_gateway  # FastAPI takes longer to import than the sockets to open

        gateway = build_gateway(
            control=self.control,
            metrics=self.metrics,
            access=self.access,
            web=find_web(),
            page_config=lambda: {
                "http_port": self.ports["http"],
                "control_port": self.ports["control"],
                "audio_port": self.ports["audio"],
                "control_path": "/ws/control",
                "audio_path": "/ws/audio",
            },
            is_draining=lambda: self.is_draining,
        )
        self._gateway = Gateway(gateway)
        host = self.settings.host
        self.ports["http"] = await self._gateway.open(host, self.settings.http_port)
        on_listening("http", f"http://{f'[{host}]' if ':' in host else host}:{self.ports['http']}")

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
        """Stop: refuse new connections, finalise what is being said, tell the finals, end the workers."""
        self.is_draining = True
        for listener in self._listeners:
            listener.drain()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                await self.runner.finish()
        except TimeoutError:
            log.error("Not every final could be told in time.", sessions=self.runner.session_count)
        await asyncio.gather(*(listener.close(1012, "the daemon restarts") for listener in self._listeners))
        if self._watcher is not None:
            self._watcher.cancel()
        await self.control.close()
        self.runner.close()
        if self._gateway is not None:
            await self._gateway.close()
        await self.pool.close()

    def _receive_pool_change(self) -> None:
        self.runner.receive_pool_change()
        if all(model.state not in ("failed", "unavailable") for model in self.pool.status()):
            self.runner.warnings.pop("model_failed", None)
        for model in self.pool.status():
            if model.model_id == self.pool.current and model.device == "cpu" and self.settings.device == "auto":
                if "cpu" not in self.runner.warnings:
                    self.runner.warn("cpu", f"Using CPU (consider GPU for better performance). {model.reason}".strip())
            elif model.state in ("failed", "unavailable"):
                what = "could not be loaded" if model.state == "failed" else "keeps crashing and is given up"
                self.runner.warn("model_failed", f"The model '{model.model_id}' {what}: {model.reason}")

    async def _watch_registry(self) -> None:
        while True:
            await asyncio.sleep(REGISTRY_POLL)
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


def build_pool(settings: Settings, registry: Registry, *, on_change: Callable[[], None]) -> LocalPool:
    """Return the pool of local workers."""
    return LocalPool(
        registry,
        device=settings.device,
        compute_type=settings.compute_type,
        threads=settings.threads,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        gpu_memory_fraction=settings.gpu_memory_fraction,
        fetch=_fetcher(settings),
        on_change=on_change,
    )


def build_runner(settings: Settings, pool: LocalPool, hub: Hub, metrics: Metrics, *, partials: bool = True) -> Runner:
    """Return the runner of all sessions, with or without real-time text."""
    numbers = SessionSettings(
        partials=partials,
        cadence=settings.partial_cadence_ms / 1000,
        wire_silence=settings.wire_silence_ms / 1000 if partials else FILE_SILENCE,
        ring=settings.ring_s,
    )

    def build_session(session_id: str, channel: str, options: SessionOptions, tenant: str) -> Session:
        return Session(
            session_id,
            channel=channel,
            settings=numbers,
            options=options,
            build_segmenter=lambda profile: build_segmenter(settings, profile),
            build_policy=lambda name: build_policy(pool, name),
            tenant=tenant,
        )

    scheduler = Scheduler(
        max_rows=settings.batch_size,
        cadence=settings.partial_cadence_ms / 1000,
        max_cadence=settings.partial_cadence_max_ms / 1000,
    )
    return Runner(
        pool=pool,
        hub=hub,
        scheduler=scheduler,
        metrics=metrics,
        build_session=build_session,
        session_ttl=settings.session_ttl_s,
        first_number=round(time.time() * 1000),
    )


def build_policy(pool: LocalPool, name: PolicyName | None) -> Policy:
    """Return the policy of a segment: the session's choice, else the model's, with the model's numbers."""
    spec = pool.current_spec
    if (name or (spec.policy if spec else "local_agreement")) == "align_att":
        return AlignAtt(spec.attention_margin_s) if spec else AlignAtt()
    return LocalAgreement(spec.agreement_n) if spec else LocalAgreement()


def build_segmenter(settings: Settings, profile: VadProfile) -> Segmenter:
    """Return a segmenter for a VAD profile: the settings' numbers, but for ``seed`` its own."""
    numbers = segmenter_numbers(profile)
    own = profile == "seed"

    def pick(milliseconds: int, profile_samples: int) -> int:
        return profile_samples if own else milliseconds * SAMPLE_RATE // 1000

    return Segmenter(
        build_vad(profile),
        min_speech=pick(settings.min_speech_ms, numbers.min_speech),
        min_silence=pick(settings.min_silence_ms, numbers.min_silence),
        pre_roll=settings.pre_roll_ms * SAMPLE_RATE // 1000,
        hang_over=settings.hang_over_ms * SAMPLE_RATE // 1000,
        max_segment=int(settings.max_segment_s * SAMPLE_RATE),
        soft_after=None if own else int(settings.soft_segment_s * SAMPLE_RATE),
        start_gap=numbers.start_gap,
        start_threshold=numbers.start_threshold,
        stay_threshold=numbers.stay_threshold,
    )


def session_options(settings: Settings) -> SessionOptions:
    """Return what sessions start with."""
    return SessionOptions(language=settings.language, vad=settings.vad, denoise=settings.denoise)


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


def _fetcher(settings: Settings) -> Callable[[ModelSpec, Callable[[LoadProgress], None]], Awaitable[Path]]:
    """Return what finds a model's weights on disk, downloading them where the settings allow it."""

    async def fetch(spec: ModelSpec, report: Callable[[LoadProgress], None]) -> Path:
        found = await asyncio.to_thread(locate, spec, settings.models_dir)
        if found is None:
            if settings.download == "never":
                raise DownloadFailed(
                    f"The weights of '{spec.id}' are not on disk and downloads are off: run 'hotmic pull {spec.id}'."
                )
            found = await _download(spec, settings.models_dir, report)
        await asyncio.to_thread(verify, spec, found)
        return found

    return fetch


async def _download(spec: ModelSpec, models_dir: Path, report: Callable[[LoadProgress], None]) -> Path:
    from hotmic.config import hub

    loop = asyncio.get_running_loop()
    cancelled = threading.Event()

    def tell(done: int, total: int) -> None:
        share = done / total if total else 0.0
        loop.call_soon_threadsafe(
            report, LoadProgress(model_id=spec.id, stage="downloading", progress=0.9 * min(1.0, share))
        )

    try:
        return await asyncio.to_thread(hub.fetch, spec, models_dir, report=tell, should_stop=cancelled.is_set)
    finally:
        cancelled.set()


def _log_progress(progress: LoadProgress) -> None:
    log.info("Loading.", model=progress.model_id, stage=progress.stage, progress=round(progress.progress, 2))
