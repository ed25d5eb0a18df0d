"""One model kept served: its worker, restarted when it dies, and the batches that survive that."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from hotmic.config.model import ModelSpec
from hotmic.errors import EngineFailed, HotmicError, ModelUnavailable, WorkerDied
from hotmic.values import Capabilities, DecodeJob, DecodeResult, ModelState, ModelStatus, WorkerExit
from hotmic.worker.gate import Gate
from hotmic.worker.lifecycle import Trigger, advance
from hotmic.worker.messages import MAX_IN_FLIGHT, Loaded, Progress, Start
from hotmic.worker.process import WorkerProcess
from hotmic.worker.recovery import Attempt, Recovery

log = structlog.get_logger(__name__)


class Service:
    """A model and the worker that serves it.

    Args:
        start: How to start the worker.
        build_worker: Makes a process that is not started yet.
        on_change: Called when the status changes.
    """

    def __init__(
        self, start: Start, *, build_worker: Callable[[], WorkerProcess], on_change: Callable[[], None]
    ) -> None:
        self._start, self._build_worker, self._on_change = start, build_worker, on_change
        self._recovery = Recovery()
        self._gate = Gate(MAX_IN_FLIGHT)
        self._worker: WorkerProcess | None = None
        self._loaded: Loaded | None = None
        self._ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._last_exit: WorkerExit | None = None
        self._quarantined = 0
        self._resent = 0
        self._status = ModelStatus(model_id=start.spec.id, state="loading")

    @property
    def status(self) -> ModelStatus:
        """How it is."""
        return msgspec.structs.replace(self._status, in_flight=self._gate.inside, resent=self._resent)

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self._start.spec

    @property
    def directory(self) -> Path:
        """Its weights."""
        return self._start.directory

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do."""
        assert self._loaded is not None, "asked before it was open"
        return self._loaded.capabilities

    @property
    def is_healthy(self) -> bool:
        """Whether it serves, or will again after a restart."""
        return self._loaded is not None and self.status.state in ("serving", "draining")

    async def open(self, report: Callable[[Progress], None]) -> None:
        """Start the worker and load the model.

        Raises:
            EngineFailed: The model could not be loaded.
            WorkerDied: The worker ended while it loaded.
        """

        def tell(progress: Progress) -> None:
            if progress.stage == "warming" and self.status.state == "loading":
                self.move(Trigger.LOADED)
            else:
                self._note(self.status.state)
            report(progress)

        await self._launch(tell)
        self.move(Trigger.WARMED)
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())

    async def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode a batch; a dying worker costs time, not text.

        Raises:
            ModelUnavailable: The worker died too often.
        """
        self._users += 1
        self._unused.clear()
        try:
            results: dict[str, DecodeResult] = {}
            attempts = [Attempt(jobs)]
            while attempts:
                attempt = attempts.pop(0)
                if attempt.is_guilty:
                    results[attempt.jobs[0].job_id] = _quarantined(attempt.jobs[0])
                    self._quarantined += 1
                    self._note(self._status.state)
                    continue
                try:
                    done = await self._try(attempt)
                except _AttemptDied as died:
                    self._resent += len(attempt.jobs)
                    attempts[:0] = attempt.receive_death(alone=died.alone)
                else:
                    results.update((result.job_id, result) for result in done)
            return [msgspec.structs.replace(results[job.job_id], model_id=self.spec.id) for job in jobs]
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    def release(self) -> None:
        """Take it out of service: it is to finish the batches it has."""
        self.move(Trigger.RELEASED)

    async def drain(self) -> None:
        """Wait until every batch that was handed in has its results."""
        await self._unused.wait()
        if self.status.state == "draining":
            self.move(Trigger.DRAINED)

    async def close(self) -> None:
        """End the worker."""
        if self.status.state != "retiring":
            self.move(Trigger.STOPPED)
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        if self._worker is not None:
            await self._worker.stop()
        self._ready.set()

    def move(self, trigger: Trigger, reason: str | None = None) -> None:
        """Note what happened to the model."""
        self._note(advance(self.status.state, trigger), reason)

    def _note(self, state: ModelState, reason: str | None = None) -> None:
        loaded, worker = self._loaded, self._worker
        told = loaded.reason if loaded and reason is None else reason or ""
        status = msgspec.structs.replace(
            self._status,
            state=state,
            reason=told,
            device=loaded.device if loaded else "",
            compute_type=loaded.compute_type if loaded else "",
            restarts=self._recovery.restarts,
            pid=worker.pid if worker and not worker.is_dead else 0,
            last_exit=self._last_exit,
            quarantined=self._quarantined,
        )
        if status != self._status:
            self._status = status
            self._on_change()

    async def _try(self, attempt: Attempt) -> list[DecodeResult]:
        async with self._gate.enter(alone=attempt.needs_solitude):
            await self._ready.wait()
            if not self.is_healthy or self._worker is None:
                raise ModelUnavailable(self.status.reason or f"The model {self.spec.id} is not served any more.")
            worker, alone_at_start = self._worker, self._gate.inside == 1
            try:
                return await worker.decode(attempt.jobs)
            except WorkerDied as error:
                log.warning("worker_died_with_jobs", model=self.spec.id, jobs=len(attempt.jobs), reason=error.message)
                if worker is self._worker and self.is_healthy:
                    self._ready.clear()
                raise _AttemptDied(alone=alone_at_start and self._gate.inside == 1) from error
            except EngineFailed as error:
                return [_failed(job, error) for job in attempt.jobs]

    async def _launch(self, report: Callable[[Progress], None]) -> None:
        worker = self._build_worker()
        self._worker = worker
        started = time.monotonic()
        self._loaded = await worker.start(self._start, report)
        self._status = msgspec.structs.replace(self._status, load_seconds=round(time.monotonic() - started, 3))
        self._ready.set()

    async def _supervise(self) -> None:
        while True:
            assert self._worker is not None
            await self._worker.wait_dead()
            self._ready.clear()
            if not await self._restart():
                return

    async def _restart(self) -> bool:
        loop = asyncio.get_running_loop()
        while True:
            assert self._worker is not None
            self._last_exit = end = await self._worker.wait_dead()
            delay = self._recovery.receive_death(
                jobs_done=self._worker.jobs_done, now=loop.time(), has_run=self._worker.pid != 0
            )
            if delay is None:
                log.error("model_unavailable", model=self.spec.id, kind=end.kind, reason=end.message)
                self.move(Trigger.GIVEN_UP, f"Its worker died again and again and is given up. {end.message}")
                self._ready.set()
                return False
            log.warning("worker_restarts", model=self.spec.id, kind=end.kind, reason=end.message, delay=delay)
            self._note(self._status.state, f"The worker is started again. {end.message}")
            await asyncio.sleep(delay)
            try:
                await self._launch(_ignore)
            except HotmicError:
                # The worker has ended, and knows why.
                continue
            self._note(self.status.state)
            return True


class _AttemptDied(Exception):
    def __init__(self, *, alone: bool) -> None:
        self.alone = alone


def _quarantined(job: DecodeJob) -> DecodeResult:
    log.error("job_quarantined", job=job.job_id, session=job.session_id, start=job.start)
    message = "This piece of audio ended the decoder twice and is left out."
    return DecodeResult(job_id=job.job_id, error_code=EngineFailed.code, error_message=message)


def _failed(job: DecodeJob, error: EngineFailed) -> DecodeResult:
    return DecodeResult(job_id=job.job_id, error_code=error.code, error_message=error.message)


def _ignore(_: Progress) -> None:
    return
