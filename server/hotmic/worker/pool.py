"""All models of one machine, each in a worker process of its own, switched without losing a word."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from hotmic.config.model import ComputeType, Device, ModelSpec
from hotmic.errors import HotmicError, ModelUnavailable, ShuttingDown, UnknownModel
from hotmic.values import Capabilities, DecodeJob, DecodeResult, LoadMode, LoadProgress, ModelStatus
from hotmic.worker import memory
from hotmic.worker.messages import Progress, Start
from hotmic.worker.process import WorkerProcess
from hotmic.worker.service import Service

Report = Callable[[LoadProgress], None]
Fetch = Callable[[ModelSpec, Report], Awaitable[Path]]

STAGES: dict[str, tuple[float, float]] = {
    "downloading": (0.0, 0.7),
    "starting": (0.7, 0.75),
    "loading": (0.75, 0.85),
    "warming": (0.85, 1.0),
    "serving": (1.0, 1.0),
}
"""Where each stage begins and ends between 0 and 1; a model that is on disk begins at ``starting``."""

log = structlog.get_logger(__name__)


class ModelRegistry(Protocol):
    """What the pool needs of the registry."""

    def get(self, model_id: str) -> ModelSpec:
        """Return a model.

        Raises:
            UnknownModel: There is none of this id.
        """


class LocalPool:
    """Keeps one current model served, and during a switch two.

    Args:
        registry: All models; may be replaced while running.
        device: ``auto``, ``cpu`` or ``cuda``.
        compute_type: Number format for models that leave it open.
        threads: CPU threads of one batch; 0: as many as there are cores.
        batch_size: Most rows of one batch.
        num_workers: Batches a model decodes at a time.
        gpu_memory_fraction: Share of the GPU's memory that all models together may use.
        fetch: Returns the directory with a model's weights, downloads them when they are missing.
        on_change: Called when the current model or a status changed.
        build_worker: Makes a process that is not started yet.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        *,
        device: Device,
        compute_type: ComputeType,
        threads: int,
        batch_size: int,
        num_workers: int,
        gpu_memory_fraction: float,
        fetch: Fetch,
        on_change: Callable[[], None],
        build_worker: Callable[[], WorkerProcess] = WorkerProcess,
    ) -> None:
        self.registry = registry
        self._device, self._compute_type, self._threads = device, compute_type, threads
        self._batch_size, self._num_workers = batch_size, num_workers
        self._gpu_memory_fraction = gpu_memory_fraction
        self._fetch, self._on_change, self._build_worker = fetch, on_change, build_worker
        self._current: Service | None = None
        self._services: list[Service] = []
        self._failed: dict[str, ModelStatus] = {}
        self._loads: dict[str, tuple[asyncio.Task[ModelStatus], list[Report]]] = {}
        self._switching = asyncio.Lock()
        self._switched = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def current(self) -> str | None:
        """The id of the model that serves."""
        return self._current.spec.id if self._current else None

    @property
    def current_spec(self) -> ModelSpec | None:
        """What the registry said about the model that serves when it was loaded."""
        return self._current.spec if self._current else None

    def capabilities(self, model_id: str) -> Capabilities:
        """Return what a served model can do.

        Raises:
            ModelUnavailable: It is not served.
        """
        for service in self._services:
            if service.spec.id == model_id and service.is_healthy:
                return service.capabilities
        raise ModelUnavailable(f"The model {model_id} is not served.")

    def status(self) -> list[ModelStatus]:
        """Return the state of every model that has a worker, and of those whose last load failed."""
        return [service.status for service in self._services] + list(self._failed.values())

    async def load(self, model_id: str, *, mode: LoadMode, report: Report) -> ModelStatus:
        """Load a model and make it the current one; the old one keeps serving until then.

        A caller that goes away does not stop a load. A model whose entry in the registry has changed is loaded anew.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded; the message says why.
            DownloadFailed: Its weights are missing and could not be fetched.
            ShuttingDown: The pool is closed.
        """
        if self._closed:
            raise ShuttingDown("The daemon is stopping.")
        spec = self.registry.get(model_id)
        if spec.id not in self._loads:
            reports = [report]
            task = asyncio.get_running_loop().create_task(self._load(spec, mode, reports))
            self._loads[spec.id] = (task, reports)
            task.add_done_callback(lambda _: self._forget_load(spec.id))
        else:
            task, reports = self._loads[spec.id]
            reports.append(report)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ShuttingDown("The daemon is stopping.") from None
            raise

    async def unload(self, model_id: str) -> None:
        """End the worker of a model, after the batches it has.

        Raises:
            UnknownModel: No such model is loaded.
        """
        wanted = self.registry.get(model_id).id
        async with self._switching:
            service = next((s for s in self._services if s.spec.id == wanted and s.status.state != "retiring"), None)
            if service is None:
                raise UnknownModel(f"The model {model_id!r} is not loaded.")
            if service is self._current:
                self._switch(None)
            await self._retire(service)

    async def decode(self, model_id: str, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode one batch: one result per job, in order.

        A model that was switched off in the meantime is stood in for by the current one.

        Raises:
            ModelUnavailable: No model serves, and none is being loaded.
        """
        while True:
            service = self._choose(model_id)
            if service is None:
                if self._closed or not (self._loads or self._switching.locked()):
                    raise ModelUnavailable("No model is loaded.")
                # Between the end of the old model and the start of the new one audio waits.
                self._switched.clear()
                await self._switched.wait()
                continue
            try:
                return await service.decode(jobs)
            except ModelUnavailable:
                if self._choose(model_id) in (None, service):
                    raise

    async def close(self) -> None:
        """End all workers, those that are just loading or retiring too."""
        self._closed = True
        tasks = [task for task, _ in self._loads.values()] + list(self._retiring)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._switch(None)
        await asyncio.gather(*(service.close() for service in self._services))
        self._services.clear()

    async def _load(self, spec: ModelSpec, mode: LoadMode, reports: list[Report]) -> ModelStatus:
        def tell(stage: str, share: float) -> None:
            low, high = STAGES[stage]
            progress = LoadProgress(model_id=spec.id, stage=stage, progress=low + (high - low) * share)  # type: ignore[arg-type]
            for report in reports:
                report(progress)

        current = self._current
        if current is not None and current.spec == spec and current.is_healthy:
            tell("serving", 1.0)
            return current.status
        try:
            # The download is outside of the lock: it must not hold up a switch between models on disk.
            directory = await self._fetch(spec, lambda p: tell("downloading", p.progress))
            async with self._switching:
                status = await self._replace(spec, directory, mode, tell)
        except HotmicError as error:
            self._failed[spec.id] = ModelStatus(model_id=spec.id, state="failed", reason=error.message)
            self._on_change()
            raise
        tell("serving", 1.0)
        return status

    def _forget_load(self, model_id: str) -> None:
        del self._loads[model_id]
        # Who waits for a model must look again, also when there will be none.
        self._switched.set()

    async def _replace(
        self, spec: ModelSpec, directory: Path, mode: LoadMode, tell: Callable[[str, float], None]
    ) -> ModelStatus:
        old = self._current
        if old is not None and not old.is_healthy:
            mode = "replace"
        if mode == "replace" and old is not None:
            self._switch(None)
            await self._retire(old)
        try:
            service = await self._open(spec, directory, tell)
        except HotmicError as error:
            log.error("model_load_failed", model=spec.id, reason=error.message)
            if mode == "replace" and old is not None and old.spec != spec:
                await self._bring_back(old)
            raise ModelUnavailable(f"The model {spec.id} could not be loaded. {error.message}") from error
        self._failed.pop(spec.id, None)
        self._switch(service)
        if mode == "beside" and old is not None:
            task = asyncio.get_running_loop().create_task(self._retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        log.info("model_serves", model=spec.id, seconds=service.status.load_seconds, device=service.status.device)
        return service.status

    async def _open(self, spec: ModelSpec, directory: Path, tell: Callable[[str, float], None]) -> Service:
        await self._admit(spec, directory)
        start = Start(
            spec=spec,
            directory=directory,
            device=self._device,
            compute_type=self._compute_type if spec.compute_type == "auto" else spec.compute_type,
            threads=self._threads,
            batch_size=self._batch_size,
            num_workers=self._num_workers,
        )
        service = Service(start, build_worker=self._build_worker, on_change=self._on_change)
        self._services.append(service)
        tell("starting", 0.0)

        def report(progress: Progress) -> None:
            tell(progress.stage, progress.share)

        try:
            await service.open(report)
        except BaseException:
            self._services.remove(service)
            await service.close()
            raise
        return service

    async def _admit(self, spec: ModelSpec, directory: Path) -> None:
        if spec.type == "echo":
            return
        on_gpu = self._device != "cpu"
        room = await asyncio.to_thread(memory.measure_room, with_gpu=on_gpu)
        refusal = memory.refuse(
            memory.measure_weights(directory), room, on_gpu=on_gpu, gpu_fraction=self._gpu_memory_fraction
        )
        if refusal:
            advice = ' Load it with mode "replace" to end the present one first.' if self._current else ""
            raise ModelUnavailable(refusal + advice)

    async def _bring_back(self, old: Service) -> None:
        try:
            self._switch(await self._open(old.spec, old.directory, lambda _stage, _share: None))
        except HotmicError as error:
            log.error("model_lost", model=old.spec.id, reason=error.message)
            self._failed[old.spec.id] = ModelStatus(model_id=old.spec.id, state="failed", reason=error.message)

    async def _retire(self, service: Service) -> None:
        with contextlib.suppress(ModelUnavailable):
            await service.drain()
        await service.close()
        if service in self._services:
            self._services.remove(service)
        self._on_change()

    def _switch(self, service: Service | None) -> None:
        self._current = service
        self._switched.set()
        self._on_change()

    def _choose(self, model_id: str) -> Service | None:
        for service in self._services:
            if service.spec.id == model_id and service.status.state == "serving":
                return service
        return self._current
