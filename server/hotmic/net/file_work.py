"""One uploaded file on its way to text: bytes in, finals out, everything ended with it."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator

import structlog

from hotmic.commands import SessionOptions
from hotmic.errors import BadField, EngineFailed, HotmicError, ModelUnavailable, TooLarge
from hotmic.events import FinalTranscribed
from hotmic.net.container import ContainerLimits, ContainerStream
from hotmic.net.grant import Grant
from hotmic.net.services import Services
from hotmic.net.transcription import Transcription
from hotmic.values import SAMPLE_RATE, LoadProgress, Pool, Samples

log = structlog.get_logger(__name__)


class FileWork:
    """Decodes a file while it comes and transcribes it once it is known how.

    The decoder begins with the first bytes and waits when it is ahead, so a file that is none is refused early. Bytes
    that it has not taken yet are held here, ``max_bytes`` at most. Whoever made it closes it.

    Args:
        services: The daemon.
        pool: Its models.
        limits: What a file may cost.
        grant: Whose audio it is.
    """

    def __init__(self, services: Services, pool: Pool, limits: ContainerLimits, grant: Grant) -> None:
        self._services, self._pool, self._limits, self._grant = services, pool, limits, grant
        self._container = ContainerStream(limits)
        self._held: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._size = 0
        self._is_complete = False
        self._pushing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard: asyncio.Queue[FinalTranscribed | HotmicError | None] = asyncio.Queue()
        self._transcription: Transcription | None = None

    # the file

    async def open(self) -> None:
        """Start the decoder."""
        await self._container.open()
        self._pushing = asyncio.create_task(self._push())

    def receive_bytes(self, data: bytes) -> None:
        """Take bytes of the file.

        Raises:
            TooLarge: The file is larger than it may be.
            BadAudio: It cannot be decoded.
        """
        self._size += len(data)
        if self._size > self._limits.max_bytes:
            raise TooLarge(f"The file is larger than {self._limits.max_bytes} bytes.")
        if self._pushing is not None and self._pushing.done():
            self._pushing.result()
        self._held.append(data)
        self._news.set()

    def finish(self) -> None:
        """There are no more bytes."""
        self._is_complete = True
        self._news.set()

    async def _push(self) -> None:
        while self._held or not self._is_complete:
            if not self._held:
                self._news.clear()
                await self._news.wait()
                continue
            await self._container.feed(self._held.popleft())
        await self._container.finish()

    # the text

    def start(self, options: SessionOptions, *, tenant: str) -> None:
        """Begin to transcribe.

        Args:
            options: What to decode with; a model only where it is not the one that serves.
            tenant: Whose token or address brings it.
        """
        self._reading = asyncio.create_task(self._read(options, tenant))

    @property
    def seconds(self) -> float:
        """Audio that was taken so far; nothing is before the model is there."""
        return self._transcription.seconds if self._transcription else 0.0

    async def next_final(self) -> FinalTranscribed | None:
        """Return the next final, ``None`` behind the last.

        Raises:
            HotmicError: The file or a part of it could not be transcribed.
        """
        heard = await self._heard.get()
        if isinstance(heard, HotmicError):
            raise heard
        return heard

    async def _read(self, options: SessionOptions, tenant: str) -> None:
        held = ""
        try:
            if options.model:
                held = await self._pool.acquire(options.model, report=_ignore)
            self._check_task(held, options)
            channel = f"file-{uuid.uuid4().hex}"
            self._transcription = transcription = Transcription(
                self._services.runner, self._samples(), options, channel=channel, tenant=tenant
            )
            try:
                async for final in transcription:
                    self._services.access.check_grant(self._grant)
                    self._heard.put_nowait(final)
            finally:
                await transcription.close()
            self._heard.put_nowait(None)
        except HotmicError as error:
            self._heard.put_nowait(error)
        except Exception:
            log_id = uuid.uuid4().hex[:12]
            log.exception("A file failed.", log_id=log_id)
            self._heard.put_nowait(EngineFailed(f"The file could not be transcribed ({log_id})."))
        finally:
            if held:
                self._pool.release(held)

    def _check_task(self, model_id: str, options: SessionOptions) -> None:
        """Pass if the model can do what is asked.

        Raises:
            BadField: It cannot.
            ModelUnavailable: None serves.
        """
        serving = model_id or self._pool.current
        if serving is None:
            raise ModelUnavailable("No model is serving.")
        if options.task is not None and options.task not in self._pool.capabilities(serving).tasks:
            raise BadField(f"The model {serving} cannot {options.task}.")

    async def _samples(self) -> AsyncIterator[Samples]:
        access, metrics = self._services.access, self._services.metrics
        async for samples in self._container:
            seconds = len(samples) / SAMPLE_RATE
            access.check_grant(self._grant)
            access.spend(self._grant, seconds)
            metrics.audio_seconds.inc(seconds)
            yield samples

    async def close(self) -> None:
        """End everything: the decoder, and what is not transcribed yet."""
        tasks = [task for task in (self._pushing, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._held.clear()
        await self._container.close()


def _ignore(_: LoadProgress) -> None:
    return
