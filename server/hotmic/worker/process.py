"""One child process as the event loop sees it."""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

import hotmic
from hotmic.errors import BadMessage, EngineFailed, WorkerDied
from hotmic.values import DecodeJob, DecodeResult, ExitKind, WorkerExit
from hotmic.worker import messages
from hotmic.worker.arena import Arena, create_arena
from hotmic.worker.exit import KernelKills, count_kernel_kills, explain
from hotmic.worker.messages import MAX_IN_FLIGHT, Decode, Failed, Heartbeat, Loaded, Progress, Results, Start, Started

MAX_LINE = 2000
"""Characters of a line of the child's stderr that reach the log."""
LAST_LINES = 20
"""Lines of it that are looked at when the child has ended."""

log = structlog.get_logger(__name__)


class WorkerProcess:
    """Starts, feeds, watches and ends one child.

    Args:
        heartbeat_timeout: Seconds of silence after which the child counts as hung.
        load_timeout: The same while it loads libraries and weights.
        decode_timeout: Seconds a batch may take.
        stop_timeout: Seconds the child has to end by itself.
    """

    def __init__(
        self,
        *,
        heartbeat_timeout: float = 4.0,
        load_timeout: float = 60.0,
        decode_timeout: float = 120.0,
        stop_timeout: float = 2.0,
    ) -> None:
        self._heartbeat_timeout, self._load_timeout = heartbeat_timeout, load_timeout
        self._decode_timeout, self._stop_timeout = decode_timeout, stop_timeout
        self._process: asyncio.subprocess.Process | None = None
        self._loaded: asyncio.Future[Loaded] | None = None
        self._batches: dict[int, tuple[Sequence[DecodeJob], asyncio.Future[list[DecodeResult]]]] = {}
        self._arena: Arena | None = None
        self._slots: dict[int, int] = {}
        self._numbers = itertools.count(1)
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: list[asyncio.Task[None]] = []
        self._last_seen = 0.0
        self._report: Callable[[Progress], None] = _ignore
        self._dead = asyncio.Event()
        self._verdict: WorkerExit | None = None
        self._kernel_kills = KernelKills(None, None)
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.exit: WorkerExit | None = None
        """How the child ended; ``None`` while it lives."""
        self.jobs_done = 0

    @property
    def pid(self) -> int:
        """The child's process id, 0 before it runs."""
        return self._process.pid if self._process else 0

    @property
    def reason(self) -> str:
        """Why the child is gone, as a sentence; empty while it lives."""
        return self.exit.message if self.exit else ""

    @property
    def is_dead(self) -> bool:
        """Whether the child has ended."""
        return self._dead.is_set()

    async def start(self, start: Start, report: Callable[[Progress], None]) -> Loaded:
        """Start the child and load the model; cancelled or failed, it leaves no process behind.

        Raises:
            EngineFailed: The model could not be loaded; the message says why.
            WorkerDied: The child could not be started, or ended while it loaded.
        """
        loop = asyncio.get_running_loop()
        self._report = report
        self._loaded = loop.create_future()
        self._kernel_kills = count_kernel_kills()
        try:
            self._process = await self._spawn(start.batch_size)
        except OSError as error:
            # uvloop passes on numbers of its own, which are negative.
            why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "the system refuses"
            self._loaded.cancel()
            self._judge("exception", f"The worker could not be started ({why}).")
            self._end()
            raise WorkerDied(self.reason) from error
        self._last_seen = loop.time()
        self._tasks = [loop.create_task(work) for work in (self._read(), self._read_log(), self._watch())]
        try:
            await self._write(start)
            return await self._loaded
        except BaseException:
            await self.kill("Its start was given up.")
            raise

    async def decode(self, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode a batch: one result per job, in order. Waits while two batches are under way.

        Raises:
            WorkerDied: The child ended, hung or answered with nonsense; the jobs can be sent to another.
            EngineFailed: The child could not decode the batch at all.
        """
        async with self._room:
            if self.is_dead:
                raise WorkerDied(self.reason)
            number = next(self._numbers)
            done: asyncio.Future[list[DecodeResult]] = asyncio.get_running_loop().create_future()
            self._batches[number] = (jobs, done)
            try:
                await self._write(self._pack(number, jobs))
                return await done
            finally:
                self._batches.pop(number, None)

    async def stop(self) -> None:
        """End the child: let it go, then kill it."""
        if self._process is None or self.is_dead:
            return
        self._judge("stopped", "The worker was stopped.")
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._stop_timeout):
                await self._dead.wait()
        await self.kill("The worker was stopped.")

    async def kill(self, reason: str) -> None:
        """End the child at once."""
        if self._process is None:
            return
        self._judge("stopped", reason)
        self._signal_kill()
        await self._dead.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_dead(self) -> WorkerExit:
        """Wait for the child's end and return how it came."""
        await self._dead.wait()
        assert self.exit is not None
        return self.exit

    async def _spawn(self, rows: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-P", "-m", "hotmic.worker.child"]
        shared = create_arena(MAX_IN_FLIGHT, rows)
        inherited: tuple[int, ...] = ()
        if shared is not None:
            self._arena, descriptor = shared
            inherited = (descriptor,)
            command.append(str(descriptor))
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(),
                pass_fds=inherited,
            )
        finally:
            for descriptor in inherited:
                os.close(descriptor)

    def _pack(self, number: int, jobs: Sequence[DecodeJob]) -> Decode:
        slot = self._arena.write(jobs) if self._arena is not None else None
        if slot is None:
            return Decode(batch_id=number, jobs=tuple(jobs))
        self._slots[number] = slot
        bare = tuple(msgspec.structs.replace(job, samples=b"") for job in jobs)
        return Decode(batch_id=number, jobs=bare, slot=slot, sizes=tuple(len(job.samples) for job in jobs))

    async def _write(self, message: messages.ToChild) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(messages.encode_frame(message))
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            # The child is gone or going: who waits for its answer learns the reason from the reader.
            log.debug("worker_pipe_closed", pid=self.pid)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while True:
                header = await self._process.stdout.readexactly(messages.LENGTH_BYTES)
                body = await self._process.stdout.readexactly(messages.parse_length(header))
                self._receive(messages.parse_from_child(body))
        except asyncio.IncompleteReadError:
            # The pipe's end is the child's: what follows finds out how.
            pass
        except BadMessage as error:
            self._judge("nonsense", error.message)
        except Exception:
            # Whatever it was, nobody reads the pipe any more.
            log.exception("worker_pipe_failed", pid=self.pid)
            self._judge("nonsense", "The worker's messages could not be read; the log has the reason.")
        await self._finish()

    async def _finish(self) -> None:
        assert self._process is not None
        try:
            async with asyncio.timeout(self._stop_timeout):
                status = await self._process.wait()
        except TimeoutError:
            # Its pipe is closed, so it is of no use, whatever it still does.
            self._signal_kill()
            status = await self._process.wait()
        # The last words are in the pipe; the child's own children, if it had any, could keep it open.
        await asyncio.wait(self._tasks[1:2], timeout=self._stop_timeout)
        if self._verdict is None:
            now = asyncio.get_running_loop().time()
            self._verdict = explain(
                status,
                last_words="\n".join(self._last_lines),
                before=self._kernel_kills,
                after=count_kernel_kills(),
                at=now,
            )
        self._end()

    def _judge(self, kind: ExitKind, message: str) -> None:
        """Note why the child has to end; the first reason counts."""
        if self._verdict is None:
            self._verdict = WorkerExit(kind=kind, message=message, at=asyncio.get_running_loop().time())

    def _signal_kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _end(self) -> None:
        assert self._verdict is not None
        self.exit = self._verdict
        self._dead.set()
        if self._arena is not None:
            self._arena.close()
        error = WorkerDied(self.reason)
        for _, done in self._batches.values():
            if not done.done():
                done.set_exception(error)
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(error)
        for task in self._tasks[2:]:
            task.cancel()

    def _receive(self, message: messages.FromChild) -> None:
        self._last_seen = asyncio.get_running_loop().time()
        assert self._loaded is not None
        match message:
            case Started() | Loaded() | Progress():
                if isinstance(message, Progress):
                    self._report(message)
                elif isinstance(message, Loaded) and not self._loaded.done():
                    self._loaded.set_result(message)
            case Heartbeat(busy_s=busy_s):
                if busy_s > self._decode_timeout:
                    self._judge("hang", f"The worker did not finish a batch within {self._decode_timeout:g} s.")
                    self._signal_kill()
            case Failed(batch_id=None, code=code, message=reason):
                self._judge("out_of_memory" if code == messages.OUT_OF_MEMORY else "exception", reason)
                if not self._loaded.done():
                    self._loaded.set_exception(EngineFailed(reason))
            case Failed(batch_id=number, message=reason):
                self._resolve(number, EngineFailed(reason))
            case Results(batch_id=number, results=results):
                self._resolve(number, list(results))

    def _resolve(self, number: int | None, outcome: list[DecodeResult] | EngineFailed) -> None:
        # Only now: a batch that nobody waits for any more is decoded all the same.
        slot = self._slots.pop(number or 0, None)
        if slot is not None and self._arena is not None:
            self._arena.release(slot)
        jobs, done = self._batches.get(number or 0, ((), None))
        if done is None or done.done():
            return
        if isinstance(outcome, EngineFailed):
            done.set_exception(outcome)
        elif [job.job_id for job in jobs] != [result.job_id for result in outcome]:
            raise BadMessage("The worker answered for other jobs than it was asked for.")
        else:
            self.jobs_done += len(jobs)
            done.set_result(outcome)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        interval = self._heartbeat_timeout / 5
        while True:
            asleep = loop.time()
            await asyncio.sleep(interval)
            if loop.time() - asleep > 2 * interval:
                # This process was held up itself; what the child sent meanwhile is still to be read.
                self._last_seen = max(self._last_seen, loop.time() - interval)
                continue
            loading = self._loaded is None or not self._loaded.done()
            limit = self._load_timeout if loading else self._heartbeat_timeout
            if loop.time() - self._last_seen > limit:
                self._judge("hang", f"The worker gave no sign of life for {limit:g} s.")
                self._signal_kill()
                return

    async def _read_log(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(1 << 14):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-MAX_LINE:]
            for line in lines:
                if text := line[:MAX_LINE].decode("utf-8", "replace").strip():
                    self._last_lines.append(text)
                    log.info("worker_says", pid=self.pid, line=text)


def _environment() -> dict[str, str]:
    # The child must find this very package, also when the daemon runs from a checkout that is not installed.
    package_parent = str(Path(hotmic.__file__).parent.parent)
    paths = [package_parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _ignore(_: Progress) -> None:
    return
