"""Recordings that clients send live in containers: through a decoder's child process into the session."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from hotmic.commands import AppendAudio, AppendContainer
from hotmic.errors import BadAudio, HotmicError
from hotmic.events import ContainerDecoded, ContainerEnded, Event
from hotmic.net.container import ContainerLimits, ContainerStream
from hotmic.net.limit import Quota
from hotmic.values import SAMPLE_RATE

LIMITS = ContainerLimits(max_bytes=256 << 20, max_seconds=12 * 3600.0)
"""What one recording may cost: half a day of Opus at the rate that browsers take."""
LAST_SOUND = 2.0
"""Seconds that a decoder has for what is left when the client has gone."""
FIRST_SOUND = 15.0
"""Seconds in which some sound must have come out; decoders look through megabytes for a beginning."""


def container_quota(most: int) -> Quota:
    """Return what counts the open containers of a daemon; one address takes half of them at most, rounded up."""
    return Quota("containers", per_address=-(-most // 2), per_token=most, total=most)


class ContainerFeed:
    """The containers of one connection, one after the other.

    Args:
        append: Feeds sound into the session; waits where the connection would.
        tell: Tells the client how much sound came out.
        fail: Tells the client that a container cannot be decoded.
        enter: Counts a container with those of the daemon and returns what counts it less again, or raises.
    """

    def __init__(
        self,
        *,
        append: Callable[[AppendAudio], Awaitable[None]],
        tell: Callable[[Event], None],
        fail: Callable[[HotmicError], None],
        enter: Callable[[], Callable[[], None]],
    ) -> None:
        self._append, self._tell, self._fail, self._enter = append, tell, fail, enter
        self._stream: ContainerStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._leave: Callable[[], None] = lambda: None
        self._is_finishing = False

    @property
    def is_open(self) -> bool:
        """Whether a container is open."""
        return self._stream is not None

    async def receive(self, command: AppendContainer) -> None:
        """Take a piece; a container that begins ends the one before it.

        Raises:
            QuotaReached: Too many containers are open.
            EngineFailed: The decoder cannot be started.
            BadAudio: It goes on with a container that is over.
        """
        if command.is_first:
            await self.finish()
            await self._open()
        if self._stream is None:
            raise BadAudio("The container is over; begin again with a header.")
        try:
            await self._stream.feed(command.data)
        except HotmicError:
            assert self._task is not None
            await asyncio.wait([self._task])  # which tells why

    async def finish(self) -> None:
        """Let the open container come to its end and everything in it be heard."""
        stream, task = self._stream, self._task
        if stream is not None and task is not None:
            self._is_finishing = True
            await stream.finish()
            await asyncio.wait([task])
            self._is_finishing = False

    async def drain(self) -> None:
        """Let what came of the open container be heard, as far as that is done soon: its client has gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SOUND):
                await self.finish()

    async def close(self) -> None:
        """Give up the open container."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            await self._end()  # a task that had not begun ends nothing

    async def _open(self) -> None:
        leave, stream = self._enter(), ContainerStream(LIMITS)
        try:
            await stream.open()
        except BaseException:
            await stream.close()
            leave()
            raise
        self._stream, self._leave = stream, leave
        self._task = asyncio.create_task(self._hear(stream))

    async def _hear(self, stream: ContainerStream) -> None:
        failure: HotmicError | None = None
        hurrying = asyncio.create_task(_hurry(stream))
        try:
            async for samples in stream:
                hurrying.cancel()
                self._tell(ContainerDecoded(seconds=len(samples) / SAMPLE_RATE))
                await self._append(AppendAudio(data=samples.astype("<i2").tobytes(), sample_rate=SAMPLE_RATE))
        except HotmicError as error:
            failure = error
        finally:
            hurrying.cancel()
            await self._end()
        if failure is not None:
            self._fail(failure)
        if not self._is_finishing:
            self._tell(ContainerEnded())

    async def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()
            self._leave()


async def _hurry(stream: ContainerStream) -> None:
    """Say that a container is complete which has given nothing for long enough: then its decoder says why."""
    await asyncio.sleep(FIRST_SOUND)
    await stream.finish()
