"""What the daemon looks at again and again while it runs: its files, and whose tokens are still in force."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from hotmic.net.notices import Notices

EVERY = 1.0
"""Seconds between two rounds."""

log = structlog.get_logger(__name__)


class Watch:
    """Take every look in turn, for ever.

    One that fails by a mistake of ours is logged with its traceback, once until it succeeds again, stands among the
    warnings of the status meanwhile, and is taken in the next round as before; the others are taken all the same.

    Args:
        looks: What is done, by what is looked at.
        notices: Told which of them fail.
    """

    def __init__(self, looks: Mapping[str, Callable[[], Awaitable[None]]], notices: Notices) -> None:
        self._looks, self._notices = dict(looks), notices
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            for what, look in self._looks.items():
                await self._take(what, look)
            names = " and ".join(what for what in self._looks if what in self._failing)
            message = f"Looking at {names} fails, so changes there do not count; the log says why." if names else ""
            self._notices.show("watch", message)

    async def _take(self, what: str, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Exception:
            if what not in self._failing:
                log.exception("A look failed.", at=what)
            self._failing.add(what)
        else:
            self._failing.discard(what)
