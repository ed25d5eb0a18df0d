"""A file through the same sessions, scheduler and workers as live speech, as fast as they have room for it."""

import asyncio
from collections.abc import AsyncIterator

from hotmic.commands import EndAudio, SessionOptions
from hotmic.errors import EngineFailed, ModelUnavailable, ShuttingDown
from hotmic.events import ErrorRaised, Event, FinalTranscribed, RecordingStopped
from hotmic.net.presence import Owner
from hotmic.net.runner import Runner
from hotmic.values import SAMPLE_RATE, Samples

LONGEST_WAIT = 24 * 3600.0
"""Seconds for which a file waits for room: those who speak go first."""
SLICE = SAMPLE_RATE
"""Samples fed in one go, so that a file does not hold the event loop."""


class Transcription:
    """The text of one file, read final by final.

    Iterate it once. It reads ahead of what is iterated, so leave it with ``close``: what is not decoded by then is not
    wanted any more.

    Args:
        runner: Holds the session.
        samples: The file's audio.
        options: What to decode with.
        channel: A name for it.
        tenant: Whose token or address brings it.
    """

    def __init__(
        self,
        runner: Runner,
        samples: AsyncIterator[Samples],
        options: SessionOptions,
        *,
        channel: str,
        tenant: str = "",
    ) -> None:
        self.seconds = 0.0
        """Audio that was taken so far."""
        self._runner, self._samples = runner, samples
        self._heard: asyncio.Queue[FinalTranscribed | Exception | None] = asyncio.Queue()
        owner = Owner(hear=self._hear, end=self._end)
        self._session_id = runner.open_session(channel, options, owner=owner, tenant=tenant, is_file=True)
        self._feeding = asyncio.create_task(self._feed())

    def __aiter__(self) -> "Transcription":
        return self

    async def __anext__(self) -> FinalTranscribed:
        """Return the next final.

        Raises:
            HotmicError: The file cannot be decoded to its end; which, its own source of samples says.
            EngineFailed: A stretch of it could not be transcribed.
            ModelUnavailable: The model is not to be had.
            ShuttingDown: The daemon is stopping.
        """
        heard = await self._heard.get()
        if heard is None:
            raise StopAsyncIteration
        if isinstance(heard, Exception):
            raise heard
        return heard

    async def close(self) -> None:
        """Want no more of it."""
        self._feeding.cancel()
        await asyncio.gather(self._feeding, return_exceptions=True)
        self._runner.abandon_file(self._session_id)

    async def _feed(self) -> None:
        try:
            async for samples in self._samples:
                for begin in range(0, len(samples), SLICE):
                    await self._append(samples[begin : begin + SLICE])
            self._runner.receive_command(self._session_id, EndAudio())
        except Exception as error:  # noqa: BLE001 - whoever iterates is to judge it, a mistake of ours too
            self._heard.put_nowait(error)

    async def _append(self, samples: Samples) -> None:
        seconds = len(samples) / SAMPLE_RATE
        if not self._runner.has_room(self._session_id, seconds):
            await self._runner.wait_for_room(self._session_id, seconds, limit=LONGEST_WAIT)
        self._runner.receive_audio(
            self._session_id, samples.astype("<i2", copy=False).tobytes(), encoding="pcm16", sample_rate=SAMPLE_RATE
        )
        self.seconds += seconds
        await asyncio.sleep(0)

    def _hear(self, event: Event) -> None:
        match event:
            case FinalTranscribed():
                self._heard.put_nowait(event)
            case RecordingStopped():
                self._heard.put_nowait(None)
            case ErrorRaised(segment_id=segment, start=start, end=end) if segment and start is not None:
                message = f"{start:.1f}-{end:.1f} s could not be decoded: {event.message}"
                self._heard.put_nowait(EngineFailed(message))
            case ErrorRaised(code=code) if code in (ModelUnavailable.code, "download_failed", "unknown_model"):
                self._heard.put_nowait(ModelUnavailable(event.message))
            case ErrorRaised():
                self._heard.put_nowait(EngineFailed(event.message))

    def _end(self) -> None:
        # After the last final this is heard by nobody.
        self._heard.put_nowait(ShuttingDown("The daemon is stopping."))
