"""Files through the same sessions, scheduler and workers as live speech, as fast as they go."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from hotmic.audio.container import decode, duration
from hotmic.building import build_pool, build_runner, session_options
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings
from hotmic.events import FinalTranscribed
from hotmic.metrics import Metrics
from hotmic.net.hub import Hub
from hotmic.net.transcription import Transcription
from hotmic.values import LoadProgress, Samples


class Transcriber:
    """Transcribes files one after the other.

    Args:
        settings: Model, device, options.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry = Registry.load(settings.registry_path())
        self._spec = self._registry.get(settings.model or self._registry.default)
        self._hub = Hub()
        self._pool = build_pool(settings, self._registry, on_change=self._receive_pool_change)
        self._runner = build_runner(settings, self._pool, self._hub, Metrics())

    async def open(self, report: Callable[[LoadProgress], None]) -> str:
        """Load the model; return what a person should know about it, if anything.

        Raises:
            HotmicError: It cannot be served.
        """
        await self._pool.load(self._spec.id, mode="beside", report=report)
        return self._spec.notice

    async def transcribe(self, path: Path, *, report: Callable[[float], None]) -> list[FinalTranscribed]:
        """Return the finals of a file, in order.

        Args:
            path: Any audio or video file.
            report: Told the share that is done, 0 to 1.

        Raises:
            BadAudio: No sound can be decoded from it.
            EngineFailed: A stretch of it could not be decoded.
        """
        length = await asyncio.to_thread(duration, path)
        transcription = Transcription(
            self._runner, _read(path), session_options(self._settings), channel=path.name[:64]
        )
        finals = []
        try:
            async for final in transcription:
                finals.append(final)
                if length:
                    report(min(0.99, transcription.seconds / length))
        finally:
            await transcription.close()
        return finals

    async def close(self) -> None:
        """End the worker."""
        self._runner.close()
        await self._pool.close()

    def _receive_pool_change(self) -> None:
        self._runner.receive_pool_change()


async def _read(path: Path) -> AsyncIterator[Samples]:
    chunks = decode(path)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
