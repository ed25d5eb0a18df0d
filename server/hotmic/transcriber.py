"""Files through the same sessions, scheduler and workers as live speech, as fast as they go."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from hotmic.audio.container import decode, duration
from hotmic.building import build_pool, build_runner, session_options
from hotmic.commands import EndAudio
from hotmic.config.registry import Registry
from hotmic.config.settings import Settings
from hotmic.errors import EngineFailed, PeerError
from hotmic.events import ErrorRaised, Event, FinalTranscribed, RecordingStopped
from hotmic.metrics import Metrics
from hotmic.net.hub import Hub
from hotmic.net.presence import Owner
from hotmic.values import SAMPLE_RATE, LoadProgress


class _Ear:
    """Hears one channel."""

    is_speaker = False

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.finals: list[FinalTranscribed] = []
        self.failures: list[ErrorRaised] = []
        self.done = asyncio.Event()

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        """Take an event."""
        match event:
            case FinalTranscribed():
                self.finals.append(event)
            case ErrorRaised():
                self.failures.append(event)
            case RecordingStopped():
                self.done.set()


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
        self._runner = build_runner(settings, self._pool, self._hub, Metrics(), partials=False)

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
        ear = _Ear(path.name)
        self._hub.join(ear)
        session = self._runner.open_session(ear.channel, session_options(self._settings), owner=Owner(hear=_raise))
        try:
            chunks = decode(path)
            done = 0.0
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                seconds = len(chunk) / SAMPLE_RATE
                await self._runner.has_room(session, seconds, limit=3600)
                self._runner.receive_audio(session, chunk.tobytes(), encoding="pcm16", sample_rate=SAMPLE_RATE)
                done += seconds
                if length:
                    report(min(0.99, done / length))
            self._runner.receive_command(session, EndAudio())
            await ear.done.wait()
        finally:
            self._runner.close_session(session)
            self._hub.leave(ear)
        if ear.failures:
            first = ear.failures[0]
            raise EngineFailed(f"{first.start:.1f}-{first.end:.1f} s could not be decoded: {first.message}")
        return ear.finals

    async def close(self) -> None:
        """End the worker."""
        self._runner.close()
        await self._pool.close()

    def _receive_pool_change(self) -> None:
        self._runner.receive_pool_change()


def _raise(event: Event) -> None:
    if isinstance(event, ErrorRaised):
        raise PeerError(event.message)
