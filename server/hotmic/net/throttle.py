"""How fast one connection may send: audio that comes too fast is held back, commands are refused."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from hotmic.errors import RateLimited
from hotmic.events import WarningRaised
from hotmic.net.rate import TOLERANCE, Bucket

CALM = 5.0
"""Seconds without holding anything back after which the client is told again."""
COMMAND_BURST = 2.0
"""Commands that may come at once, in seconds' worth of their rate."""
TICK = 0.001
"""Shortest sleep; uvloop's clock counts milliseconds."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one connection may send; 0 is no limit."""

    messages: float = 0.0
    """Frames of any kind per second; a second's worth may come at once."""
    audio: float = 0.0
    """Seconds of audio per second."""
    audio_burst: float = 30.0
    """Seconds of audio that may come at once."""
    commands: float = 0.0
    """Messages that are no audio per second; two seconds' worth may come at once."""


class Throttle:
    """The rate limits of one connection.

    Holding back is waiting: the connection is not read meanwhile, so nothing is lost.

    Args:
        rates: The limits.
        tell: Warns the client; called once, until nothing was held back for ``CALM`` seconds.
        withhold: Entered while audio waits, so that the wire does not count as silent.
    """

    def __init__(
        self,
        rates: Rates,
        *,
        tell: Callable[[WarningRaised], None],
        withhold: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.held = 0.0
        """Seconds that frames were held back."""
        self._messages = Bucket(rates.messages, max(1.0, rates.messages))
        self._audio = Bucket(rates.audio, rates.audio_burst)
        self._commands = Bucket(rates.commands, max(1.0, COMMAND_BURST * rates.commands))
        self._rates, self._tell, self._withhold = rates, tell, withhold
        self._held_at = float("-inf")
        self._spend: Callable[[float], None] = lambda seconds: None

    def limit_audio(self, speed: float | None, spend: Callable[[float], None]) -> None:
        """Heed what a token says of audio, too.

        Args:
            speed: Seconds of audio per second, where that is less than everybody's; ``None`` for no limit of its own.
            spend: Told of all audio before it is taken; raises where there was enough.
        """
        self._spend = spend
        if speed is not None and (speed < self._rates.audio or not self._rates.audio):
            self._rates = replace(self._rates, audio=speed)
            self._audio = Bucket(speed, self._rates.audio_burst)

    async def admit_message(self) -> None:
        """Hold a frame back until it may come."""
        wait = self._messages.take(1.0, asyncio.get_running_loop().time())
        if wait:
            sentence = f"more than {self._rates.messages:g} messages per second"
            await self._hold(self._messages, 1.0, wait, sentence)

    async def admit_audio(self, seconds: float) -> None:
        """Hold audio back until it may come.

        Raises:
            HotmicError: The token has brought enough.
        """
        self._spend(seconds)
        wait = self._audio.take(seconds, asyncio.get_running_loop().time())
        if wait:
            await self._hold(self._audio, seconds, wait, f"audio faster than {self._rates.audio:g} times real time")

    async def admit_end(self) -> None:
        """Hold the end of the audio back until it may come: it counts as a command and is never refused."""
        wait = self._commands.take(1.0, asyncio.get_running_loop().time())
        if wait:
            await self._hold(self._commands, 1.0, wait, f"more than {self._rates.commands:g} commands per second")

    def admit_command(self) -> None:
        """Let a command pass.

        Raises:
            RateLimited: Too many came; tells when the next one may.
        """
        wait = self._commands.take(1.0, asyncio.get_running_loop().time())
        if wait:
            message = f"More than {self._rates.commands:g} commands per second: this one was not carried out."
            raise RateLimited(message, retry_after_ms=_milliseconds(wait))

    async def _hold(self, bucket: Bucket, amount: float, wait: float, what: str) -> None:
        """Wait ``wait`` seconds and as long as it takes after that until a bucket has an amount."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._held_at >= CALM:
            message = f"You send {what}: you are held back, nothing is lost."
            self._tell(WarningRaised(code=RateLimited.code, message=message, retry_after_ms=_milliseconds(wait)))
        with self._withhold():
            while wait:
                began = loop.time()
                await asyncio.sleep(max(wait, TICK))
                self._held_at = loop.time()
                self.held += self._held_at - began
                wait = bucket.take(amount, self._held_at)


def _milliseconds(wait: float) -> int:
    return math.ceil((wait - TOLERANCE) * 1000)
