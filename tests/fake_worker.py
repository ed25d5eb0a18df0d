"""A worker without a process: scripted deaths, in virtual time."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

from hotmic.errors import EngineFailed, WorkerDied
from hotmic.values import Capabilities, DecodeJob, DecodeResult, ExitKind, WorkerExit
from hotmic.worker.messages import Loaded, Progress, Start


class FakeWorker:
    """Takes the place of ``WorkerProcess``; says each job's audio and its own number.

    Args:
        pid: Its number.
        load_s: How long it loads.
        decode_s: How long a batch takes.
        fail_load: Why it does not load.
        deadly: Audio that ends it.
        dies_after: Jobs after which it dies in the next batch.
    """

    def __init__(
        self,
        pid: int = 1,
        *,
        load_s: float = 1.0,
        decode_s: float = 0.1,
        fail_load: str = "",
        deadly: frozenset[bytes] = frozenset(),
        dies_after: int = -1,
    ) -> None:
        self.pid, self.jobs_done, self.threads = pid, 0, 0
        self.exit: WorkerExit | None = None
        self.batches: list[list[str]] = []
        self.most_at_once = self._at_once = 0
        self._load_s, self._decode_s, self._fail_load = load_s, decode_s, fail_load
        self._deadly, self._dies_after = deadly, dies_after
        self._dead = asyncio.Event()

    @property
    def is_dead(self) -> bool:
        return self._dead.is_set()

    async def start(self, start: Start, report: Callable[[Progress], None]) -> Loaded:
        self.threads = start.threads
        report(Progress(stage="loading", share=0.0))
        await asyncio.sleep(self._load_s)
        if self._fail_load:
            self.die(self._fail_load, kind="exception")
            raise EngineFailed(self._fail_load)
        report(Progress(stage="warming", share=1.0))
        return Loaded(device="cpu", compute_type="int8", reason="Fake.", threads=1, capabilities=Capabilities())

    async def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        self._raise_if_dead()
        self.batches.append([job.job_id for job in jobs])
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        gone = asyncio.create_task(self._dead.wait())
        await asyncio.wait({gone}, timeout=self._decode_s)
        gone.cancel()
        self._at_once -= 1
        self._raise_if_dead()
        if self._deadly & {job.samples for job in jobs} or self.jobs_done == self._dies_after:
            self.die("The worker was ended by SIGSEGV.")
        self._raise_if_dead()
        self.jobs_done += len(jobs)
        return [DecodeResult(job_id=job.job_id, text=f"{job.samples.decode()}@{self.pid}") for job in jobs]

    async def stop(self) -> None:
        self.die("The worker was stopped.", kind="stopped")

    async def wait_dead(self) -> WorkerExit:
        await self._dead.wait()
        assert self.exit is not None
        return self.exit

    def die(self, reason: str = "The worker was ended by SIGKILL.", *, kind: ExitKind = "signal") -> None:
        if not self.is_dead:
            self.exit = WorkerExit(kind=kind, message=reason, at=asyncio.get_running_loop().time())
            self._dead.set()

    def _raise_if_dead(self) -> None:
        if self.exit is not None:
            raise WorkerDied(self.exit.message)


class Fleet:
    """Builds workers, each as scripted for its turn, the last script for all that follow."""

    def __init__(self, *scripts: dict[str, object]) -> None:
        self._scripts = scripts or ({},)
        self._pids = itertools.count(1)
        self.workers: list[FakeWorker] = []

    def __call__(self) -> FakeWorker:
        script = self._scripts[min(len(self.workers), len(self._scripts) - 1)]
        self.workers.append(FakeWorker(next(self._pids), **script))  # type: ignore[arg-type]
        return self.workers[-1]

    @property
    def alive(self) -> list[int]:
        return [worker.pid for worker in self.workers if not worker.is_dead]
