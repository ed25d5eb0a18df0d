"""From an entry of models.yaml to a worker that serves it: fetched, admitted to memory, loaded and warm."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from hotmic.config.cores import count_cores
from hotmic.config.model import ComputeType, Device, ModelSpec
from hotmic.errors import ModelUnavailable
from hotmic.values import LoadProgress
from hotmic.worker import memory
from hotmic.worker.messages import Progress, Start
from hotmic.worker.process import WorkerProcess
from hotmic.worker.service import Service

Report = Callable[[LoadProgress], None]
Fetch = Callable[[ModelSpec, Report], Awaitable[Path]]
Tell = Callable[[str, float], None]
"""Takes a stage and how far it is, 0 to 1."""

STAGES: dict[str, tuple[float, float]] = {
    "downloading": (0.0, 0.7),
    "starting": (0.7, 0.75),
    "loading": (0.75, 0.85),
    "warming": (0.85, 1.0),
    "serving": (1.0, 1.0),
}
"""Where each stage begins and ends between 0 and 1; a model that is on disk begins at ``starting``."""


class Loader:
    """Opens the workers of models.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        compute_type: Number format for models that leave it open.
        threads: CPU threads of one model; 0: its share of the cores there are.
        batch_size: Most rows of one batch.
        num_workers: Batches a model decodes at a time.
        gpu_memory_fraction: Share of the GPU's memory that all models together may use.
        fetch: Returns the directory with a model's weights, downloads them when they are missing.
        build_worker: Makes a process that is not started yet.
    """

    def __init__(
        self,
        *,
        device: Device,
        compute_type: ComputeType,
        threads: int,
        batch_size: int,
        num_workers: int,
        gpu_memory_fraction: float,
        fetch: Fetch,
        build_worker: Callable[[], WorkerProcess] = WorkerProcess,
    ) -> None:
        self._device, self._compute_type, self._threads = device, compute_type, threads
        self._batch_size, self._num_workers = batch_size, num_workers
        self._gpu_memory_fraction = gpu_memory_fraction
        self._fetch, self._build_worker = fetch, build_worker

    async def fetch(self, spec: ModelSpec, tell: Tell) -> Path:
        """Return the directory with a model's weights.

        Raises:
            DownloadFailed: They are missing and could not be fetched.
        """
        return await self._fetch(spec, lambda progress: tell("downloading", progress.progress))

    def build(self, spec: ModelSpec, directory: Path, *, beside: int, on_change: Callable[[], None]) -> Service:
        """Return a model that is not open yet.

        Args:
            spec: The model.
            directory: Its weights.
            beside: Models that go on serving beside it; the cores are shared with them.
            on_change: Called when its status changed.
        """
        start = Start(
            spec=spec,
            directory=directory,
            device=self._device,
            compute_type=self._compute_type if spec.compute_type == "auto" else spec.compute_type,
            threads=self._threads or max(1, count_cores() // (1 + beside)),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
        )
        return Service(start, build_worker=self._build_worker, on_change=on_change)

    async def admit(self, spec: ModelSpec, directory: Path, *, make_room: Callable[[], Awaitable[bool]]) -> None:
        """Pass if the model fits into memory.

        Args:
            spec: The model.
            directory: Its weights.
            make_room: Unloads a model that nobody uses; returns ``False`` where there is none.

        Raises:
            ModelUnavailable: It does not fit.
        """
        if spec.type == "echo":
            return
        on_gpu = self._device != "cpu"
        while True:
            room = await asyncio.to_thread(memory.measure_room, with_gpu=on_gpu)
            weights = memory.measure_weights(directory)
            refusal = memory.refuse(weights, room, on_gpu=on_gpu, gpu_fraction=self._gpu_memory_fraction)
            if not refusal:
                return
            if not await make_room():
                raise ModelUnavailable(refusal)

    async def open(self, service: Service, tell: Tell) -> None:
        """Start the worker, load the model and warm it.

        Raises:
            EngineFailed: The model could not be loaded.
            WorkerDied: The worker ended while it loaded.
        """
        tell("starting", 0.0)

        def report(progress: Progress) -> None:
            tell(progress.stage, progress.share)

        await service.open(report)


def progress_of(model_id: str, stage: str, share: float) -> LoadProgress:
    """Return how far a model is within all stages together."""
    low, high = STAGES[stage]
    return LoadProgress(model_id=model_id, stage=stage, progress=low + (high - low) * share)  # type: ignore[arg-type]
