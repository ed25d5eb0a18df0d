"""One uploaded file on its way to text: bytes in, finals out, everything ended with it."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import nullcontext
from functools import partial
from typing import NoReturn

import structlog

from hotmic.commands import SessionOptions
from hotmic.errors import BadField, EngineFailed, HotmicError, ModelUnavailable, NotAuthorized, TooLarge
from hotmic.events import FinalTranscribed
from hotmic.net.container import ContainerLimits, ContainerStream
from hotmic.net.grant import Grant
from hotmic.net.services import Services
from hotmic.net.throttle import Rates, Throttle
from hotmic.net.transcription import Transcription
from hotmic.values import SAMPLE_RATE, LoadProgress, Pool, Samples

log = structlog.get_logger(__name__)


class FileWork:
    """Decodes a file while it comes and transcribes it once it is known how.

    The decoder begins with the first bytes and waits when it is ahead, so a file that is none is refused early. Bytes
    that it has not taken yet are held here, ``max_bytes`` at most. It ends with the token it came with. Whoever made
    it closes it.

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
        self._bar: asyncio.Event = asyncio.Event()
        self._barred: NotAuthorized | None = None
        rates = Rates(audio_burst=services.rates.audio_burst)
        self._throttle = Throttle(rates, tell=lambda warning: None, withhold=nullcontext)
        self._throttle.limit_audio(grant.audio_speed, partial(services.access.spend, grant))
        services.roster.join_file(self)

    # the token

    def check_grant(self) -> None:
        """End the work if the token is no longer in force; whoever waits for it is told."""
        if self._barred is not None:
            return
        try:
            self._services.access.check_grant(self._grant)
        except NotAuthorized as error:
            self._barred = error
            self._bar.set()
            self._heard.put_nowait(error)
            for task in (self._pushing, self._reading):
                if task is not None:
                    task.cancel()

    async def barred(self) -> NoReturn:
        """Wait until the token is no longer in force.

        Raises:
            NotAuthorized: That is now.
        """
        await self._bar.wait()
        assert self._barred is not None
        raise self._barred

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
            NotAuthorized: Its token is no longer in force.
        """
        if self._barred is not None:
            raise self._barred
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
        async for samples in self._container:
            seconds = len(samples) / SAMPLE_RATE
            await self._throttle.admit_audio(seconds)
            self._services.metrics.audio_seconds.inc(seconds)
            yield samples

    async def close(self) -> None:
        """End everything: the decoder, and what is not transcribed yet."""
        self._services.roster.leave_file(self)
        tasks = [task for task in (self._pushing, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._held.clear()
        await self._container.close()


def _ignore(_: LoadProgress) -> None:
    return
