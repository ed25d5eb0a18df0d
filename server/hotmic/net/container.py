"""Files and recordings in containers, decoded while they come, in a child that can be killed.

The child runs ``hotmic.audio.decoder``. What it decodes comes from strangers, and FFmpeg is large: it may crash, run
wild or hang without anybody else noticing.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from types import TracebackType

import numpy as np
import structlog

import hotmic
from hotmic.errors import BadAudio, EngineFailed, HotmicError, PeerError, TooLarge
from hotmic.values import Samples, Value

PIECE = 1 << 16
"""Bytes that are handed on at a time."""
EXIT_REFUSED = 3
"""The child's exit status when it says why; ``hotmic.audio.decoder`` is not imported, for it loads FFmpeg."""
MAX_WORDS = 1 << 14
"""Bytes of the child's standard error that are kept."""
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""What the child sees of the environment: nothing that could be a secret."""
_ERRORS: dict[str, type[PeerError]] = {kind.code: kind for kind in (BadAudio, TooLarge)}

log = structlog.get_logger(__name__)


class ContainerLimits(Value, frozen=True, kw_only=True):
    """What one container may cost."""

    max_bytes: int = 100 << 20
    max_seconds: float = 4 * 3600.0
    """Seconds of audio in it."""
    patience: float = 20.0
    """Seconds that the decoder may go without taking or giving anything while it has something to do."""
    max_memory_bytes: int = 1 << 30
    """Address space of the child besides what it holds of the file."""


class ContainerStream:
    """One container: bytes in, 16 kHz mono out as soon as they can be decoded.

    Feed and iterate from two tasks: whichever is ahead waits for the other, so no more than some pieces are held here.
    Either one raises what is wrong with the container. Whoever made it closes it, which ends the child, whatever it is
    doing.

    Args:
        limits: What it may cost.
    """

    def __init__(self, limits: ContainerLimits | None = None) -> None:
        self._limits = limits or ContainerLimits()
        self._process: asyncio.subprocess.Process | None = None
        self._words: asyncio.Task[bytes] | None = None
        self._odd = b""
        self._verdict: HotmicError | None = None
        self._fed = 0
        """Bytes that came."""
        self._taken = 0
        """Bytes that the child's pipe took."""
        self._is_complete = False

    async def __aenter__(self) -> "ContainerStream":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        """The child's process id, 0 before it runs."""
        return self._process.pid if self._process else 0

    async def open(self) -> None:
        """Start the child.

        Raises:
            EngineFailed: It cannot be started.
        """
        limits = self._limits
        memory = limits.max_memory_bytes + 2 * limits.max_bytes
        numbers = (limits.max_bytes, limits.max_seconds, memory)
        command = [sys.executable, "-P", "-m", "hotmic.audio.decoder", *map(str, numbers)]
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=PIECE, env=_environment()
            )
        except OSError as error:
            raise EngineFailed("The decoder of files could not be started.") from error
        self._words = asyncio.create_task(self._read_words())

    async def feed(self, data: bytes) -> None:
        """Hand on bytes of the container; waits until the child has taken most of them.

        Raises:
            TooLarge: It is longer than it may be, in bytes or in seconds.
            BadAudio: It cannot be decoded.
            EngineFailed: The decoder was killed.
        """
        self._fed += len(data)
        if self._fed > self._limits.max_bytes:
            error = TooLarge(f"The file is longer than {self._limits.max_bytes} bytes.")
            await self._kill(error)
            raise error
        assert self._process is not None
        assert self._process.stdin is not None
        for begin in range(0, len(data), PIECE):
            try:
                self._process.stdin.write(data[begin : begin + PIECE])
                await self._process.stdin.drain()
            except (ConnectionError, RuntimeError):  # uvloop raises the second for a pipe that is closing
                await self._judge()
                return  # it has what it wants, the rest is no audio
            self._taken += len(data[begin : begin + PIECE])

    async def finish(self) -> None:
        """Say that the container is complete."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._is_complete = True
        self._process.stdin.close()

    def __aiter__(self) -> "ContainerStream":
        return self

    async def __anext__(self) -> Samples:
        """Return what was decoded next, shape ``[n]``, n > 0.

        Raises:
            TooLarge: It is longer than it may be, in bytes or in seconds.
            BadAudio: It cannot be decoded.
            EngineFailed: The decoder was killed.
        """
        while True:
            data = await self._read()
            if not data:
                await self._judge()
                raise StopAsyncIteration
            data = self._odd + data
            whole = len(data) & ~1
            self._odd = data[whole:]
            if whole:
                return np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False)

    async def close(self) -> None:
        """End the child and wait for its end."""
        if self._process is None:
            return
        await self._kill(BadAudio("The file was given up."))
        assert self._words is not None
        await self._words
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.wait_closed()

    async def _read(self) -> bytes:
        """Return the next bytes from the child, none at its end; one that is stuck is killed."""
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            taken = self._taken
            try:
                async with asyncio.timeout(self._limits.patience):
                    return await self._process.stdout.read(PIECE)
            except TimeoutError:
                has_work = self._is_complete or self._fed > self._taken
                if has_work and taken == self._taken:
                    await self._kill(BadAudio("Decoding the file takes too long."))
                    return b""

    async def _kill(self, reason: HotmicError) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._verdict = self._verdict or reason
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    async def _judge(self) -> None:
        """Raise what was wrong, once the child has ended; nothing if it came to the end of the container."""
        assert self._process is not None
        assert self._words is not None
        status, words = await self._process.wait(), await self._words
        if self._verdict is None and status:
            self._verdict = _explain(status, words.decode("utf-8", "replace"))
            log.info("A container could not be decoded.", status=status, reason=self._verdict.message)
        if self._verdict is not None:
            raise self._verdict

    async def _read_words(self) -> bytes:
        assert self._process is not None
        assert self._process.stderr is not None
        words = b""
        while chunk := await self._process.stderr.read(PIECE):
            words = (words + chunk)[-MAX_WORDS:]
        return words


def _explain(status: int, words: str) -> HotmicError:
    if status == EXIT_REFUSED:
        code, _, message = words.rstrip("\n").rpartition("\n")[2].partition("\t")
        if code in _ERRORS:
            return _ERRORS[code](message)
    if status == -getattr(signal, "SIGKILL", 9):
        return EngineFailed("The decoder of the file was killed.")
    if status == -getattr(signal, "SIGXCPU", 24):
        return BadAudio("Decoding the file takes too long.")
    log.error("The decoder of a container failed.", status=status, words=words[-2000:])
    return BadAudio("The file is damaged: its decoder broke off.")


def _environment() -> dict[str, str]:
    # The child must find this very package, also when the daemon runs from a checkout that is not installed.
    paths = [
        str(Path(hotmic.__file__).parent.parent),
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
