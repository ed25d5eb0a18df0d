"""The process that holds one loaded model: ``python -m hotmic.worker.child``, spoken to over its pipes.

A thread reads messages, a thread sends heartbeats, the main thread loads and decodes. The process ends when its
standard input does, so it never outlives the pool, however that died.
"""

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from typing import BinaryIO

# Small crops decode three times cheaper without idle threads spinning, and numpy's BLAS is only used for the mel
# filters; both libraries read this once, when they are loaded. CTranslate2 gets its number of threads as an argument.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import logging  # noqa: E402

from hotmic.engines import probe  # noqa: E402
from hotmic.engines.division import decode_divided  # noqa: E402
from hotmic.engines.engine import Engine, load_engine  # noqa: E402
from hotmic.errors import BadMessage, EngineFailed, HotmicError  # noqa: E402
from hotmic.values import DecodeJob  # noqa: E402
from hotmic.worker import messages  # noqa: E402
from hotmic.worker.arena import Arena  # noqa: E402
from hotmic.worker.exit import EXIT_LOAD_FAILED, EXIT_OUT_OF_MEMORY, EXIT_UNCAUGHT, FAILED_ALLOCATION  # noqa: E402
from hotmic.worker.heap import keep_freed_memory  # noqa: E402
from hotmic.worker.messages import Decode, Failed, FromChild, Heartbeat, Loaded, Progress, Results, Start  # noqa: E402

HEARTBEAT_EVERY = 1.0
_PR_SET_PDEATHSIG = 1

# Not structlog: its import would be a fifth of the time a worker needs to start. The parent logs these lines.
log = logging.getLogger("hotmic.worker.child")


class Port:
    """Both directions of the pipe; sending is safe from any thread.

    Args:
        source: Frames from the pool.
        sink: Frames to it.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()

    def send(self, message: FromChild) -> None:
        """Send a message; a pool that is gone ends the process."""
        frame = messages.encode_frame(message)
        with self._lock:
            try:
                self._sink.write(frame)
                self._sink.flush()
            except OSError:
                # Nobody is there to hear anything more.
                os._exit(0)

    def receive(self) -> messages.ToChild | None:
        """Return the next message; ``None`` when the pool closed the pipe."""
        body = messages.read_frame(self._source)
        return None if body is None else messages.parse_to_child(body)


class Child:
    """Loads one model and decodes batches until the pool closes the pipe.

    Args:
        port: The pipe to the pool.
        arena: Memory shared with it, where there is any.
    """

    def __init__(self, port: Port, arena: Arena | None = None) -> None:
        self._port, self._arena = port, arena
        self._batches: queue.SimpleQueue[Decode | None] = queue.SimpleQueue()
        self._busy_since: float | None = None

    def run(self) -> int:
        """Serve; return the exit status."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        self._port.send(messages.Started(pid=os.getpid()))
        start = self._port.receive()
        if start is None:
            return 0
        if not isinstance(start, Start):
            raise BadMessage("The pool did not begin with start.")
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        engine = self._load(start)
        if engine is None:
            return EXIT_LOAD_FAILED
        while (batch := self._batches.get()) is not None:
            self._decode(engine, batch)
        return 0

    def _read(self) -> None:
        try:
            while (message := self._port.receive()) is not None:
                if isinstance(message, Decode):
                    self._batches.put(message)
        except BadMessage as error:
            log.error("%s", error.message)
        # A pool that is gone wants nothing of what is under way.
        os._exit(0)

    def _beat(self) -> None:
        while True:
            since = self._busy_since
            self._port.send(Heartbeat(busy_s=0.0 if since is None else time.monotonic() - since))
            time.sleep(HEARTBEAT_EVERY)

    def _load(self, start: Start) -> Engine | None:
        try:
            self._port.send(Progress(stage="loading", share=0.0))
            machine = probe.examine(start.spec.type)
            compute_type = start.spec.compute_type if start.compute_type == "auto" else start.compute_type
            placement = probe.choose_placement(start.device, compute_type, machine)
            engine = load_engine(
                start.spec,
                start.directory,
                device=placement.device,
                compute_type=placement.compute_type,
                threads=start.threads,
                batch_size=start.batch_size,
                num_workers=start.num_workers,
            )
            self._port.send(Progress(stage="warming", share=0.0))
            engine.warm_up(lambda share: self._port.send(Progress(stage="warming", share=share)))
        except HotmicError as error:
            log.error("%s", error.message)
            code = messages.OUT_OF_MEMORY if _is_out_of_memory(error) else error.code
            self._port.send(Failed(code=code, message=error.message))
            return None
        except Exception as error:
            log.exception("Loading failed.")
            if _is_out_of_memory(error):
                message = f"The memory does not suffice to load the model {start.spec.id}."
                self._port.send(Failed(code=messages.OUT_OF_MEMORY, message=message))
            else:
                message = f"The model {start.spec.id} could not be loaded; the log has the reason."
                self._port.send(Failed(code=EngineFailed.code, message=message))
            return None
        self._port.send(
            Loaded(
                device=placement.device,
                compute_type=placement.compute_type,
                reason=placement.reason,
                threads=start.threads,
                capabilities=engine.capabilities,
            )
        )
        return engine

    def _jobs(self, batch: Decode) -> tuple[DecodeJob, ...]:
        if batch.slot is None:
            return batch.jobs
        if self._arena is None:
            raise BadMessage("The pool named shared memory that this process does not have.")
        return self._arena.read(batch.slot, batch.jobs, batch.sizes)

    def _decode(self, engine: Engine, batch: Decode) -> None:
        self._busy_since = time.monotonic()
        try:
            results = decode_divided(self._jobs(batch), engine.decode)
        except Exception as error:
            log.exception("A batch of %d failed.", len(batch.jobs))
            if _is_out_of_memory(error):
                # Another process has its memory anew, and takes the jobs one by one if it must.
                sys.stderr.flush()
                os._exit(EXIT_OUT_OF_MEMORY)
            message = "The batch could not be decoded; the log has the reason."
            self._port.send(Failed(code=EngineFailed.code, message=message, batch_id=batch.batch_id))
        else:
            self._port.send(Results(batch_id=batch.batch_id, results=tuple(results)))
        finally:
            self._busy_since = None


def _is_out_of_memory(error: Exception) -> bool:
    # CTranslate2 and CUDA raise RuntimeError with such a text; engines may wrap it.
    known: BaseException | None = error
    while known is not None:
        if isinstance(known, MemoryError) or FAILED_ALLOCATION.search(str(known)):
            return True
        known = known.__cause__
    return False


def _end_with_thread(failure: threading.ExceptHookArgs) -> None:
    # Without its reader the process would wait for ever, and its heart would go on beating.
    threading.__excepthook__(failure)
    sys.stderr.flush()
    os._exit(EXIT_UNCAUGHT)


def main() -> int:
    """Take over the pipes and serve."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # Whoever stops the daemon signals the whole group; finals are still to be decoded then, so the pool decides.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.excepthook = _end_with_thread
    keep_freed_memory()
    # Libraries print; from here on that goes to the log instead of into the protocol.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = os.fdopen(os.dup(0), "rb")
    if sys.platform == "win32":
        import msvcrt

        for stream in (source, sink):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    arena = Arena(int(sys.argv[1]), messages.MAX_IN_FLIGHT) if len(sys.argv) > 1 else None
    return Child(Port(source, sink), arena).run()


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Past the destructors of inference libraries, which can block on threads of theirs.
    os._exit(status)
