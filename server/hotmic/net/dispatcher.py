"""From jobs to results: one scheduler for those who follow the current model, one for each model that was chosen."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from hotmic.errors import EngineFailed, HotmicError, ModelUnavailable
from hotmic.metrics import Metrics
from hotmic.scheduler.scheduler import Batch, Scheduler
from hotmic.values import Capabilities, DecodeJob, DecodeResult, Pool

CURRENT = ""
"""Stands for the model of all sessions that chose none."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Hands batches to the pool and results to who asked.

    Args:
        pool: Decodes.
        metrics: Counts.
        build_scheduler: Makes the scheduler of a model.
        on_results: Takes the jobs of a batch, the result of each, and the time.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        metrics: Metrics,
        build_scheduler: Callable[[], Scheduler],
        on_results: Callable[[Sequence[DecodeJob], Sequence[DecodeResult], float], None],
    ) -> None:
        self._pool, self._metrics = pool, metrics
        self._build_scheduler, self._on_results = build_scheduler, on_results
        self._schedulers: dict[str, Scheduler] = {CURRENT: build_scheduler()}
        self._known: dict[str, tuple[str, Capabilities]] = {}
        self._expected: Counter[str] = Counter()
        self._told_waiting: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def scheduler(self, choice: str = CURRENT) -> Scheduler:
        """Return the scheduler of a chosen model, or of the current one."""
        scheduler = self._schedulers.get(choice)
        if scheduler is None:
            scheduler = self._schedulers[choice] = self._build_scheduler()
            self._learn(choice)
        return scheduler

    @property
    def waiting(self) -> dict[str, int]:
        """Queued jobs by lane, of all models together."""
        total = {"final": 0, "partial": 0, "file": 0}
        for scheduler in self._schedulers.values():
            for kind, count in scheduler.waiting.items():
                total[kind] += count
        return total

    def expect(self, choice: str) -> None:
        """Have the jobs of a chosen model wait for it."""
        self._expected[choice] += 1

    def unexpect(self, choice: str) -> None:
        """A chosen model serves, or will not; then the pool finds another."""
        self._expected[choice] -= 1
        if self._expected[choice] <= 0:
            del self._expected[choice]
        self.dispatch()

    def stop_waiting(self) -> None:
        """Have nothing wait for a chosen model any more: the current one decodes what is left."""
        self._expected.clear()
        self.dispatch()

    def receive_pool_change(self) -> None:
        """Another model serves, or one again."""
        for choice in self._schedulers:
            self._learn(choice)
        self.dispatch()

    def _learn(self, choice: str) -> None:
        """Tell a scheduler of a model that is new to it."""
        model_id = choice or self._pool.current
        if model_id is None:
            return
        with contextlib.suppress(ModelUnavailable):  # it has died since; its successor is told of in its turn
            model = model_id, self._pool.capabilities(model_id)
            if self._known.get(choice) != model:
                self._known[choice] = model
                self._schedulers[choice].receive_model(batches_in_flight=model[1].batches_in_flight)

    def dispatch(self) -> None:
        """Hand out what may start now."""
        for choice, scheduler in tuple(self._schedulers.items()):
            if self._must_wait(choice):
                continue
            for batch in scheduler.batches_to_run(now=self._now()):
                task = asyncio.get_running_loop().create_task(self._run(scheduler, choice, batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        waiting = self.waiting
        if waiting != self._told_waiting:
            self._told_waiting = waiting
            for kind, count in waiting.items():
                self._metrics.queue.labels(kind).set(count)

    def _must_wait(self, choice: str) -> bool:
        if choice and self._pool.serves(choice):
            return False
        return self._pool.current is None or choice in self._expected

    def close(self) -> None:
        """Cancel what is under way."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _run(self, scheduler: Scheduler, choice: str, batch: Batch) -> None:
        results = await self._decode(choice or self._pool.current or "", batch)
        now = self._now()
        scheduler.receive_done(batch, now=now, has_failed=all(result.error_code for result in results))
        self._metrics.receive_batch(batch.jobs, results, started=batch.started, done=now)
        try:
            self._on_results(batch.jobs, results, now)
        finally:
            self.dispatch()

    async def _decode(self, model_id: str, batch: Batch) -> list[DecodeResult]:
        try:
            return await self._pool.decode(model_id, batch.jobs)
        except HotmicError as error:
            log.error("A batch failed.", code=error.code, reason=error.message)
            return _failed(batch, error)
        except Exception:
            log.exception("A batch failed unexpectedly.")
            return _failed(batch, EngineFailed("The window could not be decoded; the log has the reason."))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _failed(batch: Batch, error: HotmicError) -> list[DecodeResult]:
    return [DecodeResult(job_id=j.job_id, error_code=error.code, error_message=error.message) for j in batch.jobs]
