"""Which model a session chose for itself, and the pool's promise to keep it served."""

import itertools
from collections.abc import Callable

from hotmic.errors import Superseded
from hotmic.net.dispatcher import CURRENT, Dispatcher
from hotmic.scheduler.scheduler import Scheduler
from hotmic.values import LoadProgress, Pool

Report = Callable[[LoadProgress], None]


class Choices:
    """Sessions and their models; of several wishes of a session the newest counts.

    Args:
        pool: Serves the models.
        dispatcher: Has the jobs of new sessions wait for them.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher) -> None:
        self._pool, self._dispatcher = pool, dispatcher
        self._numbers = itertools.count(1)
        self._wishes: dict[str, int] = {}
        self._chosen: dict[str, str] = {}
        self._held: dict[str, str] = {}

    def of(self, session_id: str) -> str:
        """Return the model that a session chose, empty where it follows the current one."""
        return self._chosen.get(session_id, CURRENT)

    def scheduler_of(self, session_id: str) -> Scheduler:
        """Return what orders the jobs of a session."""
        return self._dispatcher.scheduler(self.of(session_id))

    def wish(self, session_id: str) -> int:
        """Note that a session is to have another model; return the number of the wish."""
        number = self._wishes[session_id] = next(self._numbers)
        return number

    def begin_with(self, session_id: str, model_id: str) -> int:
        """A session begins with a model: its jobs wait until ``await_first`` is over. Return the number of the wish."""
        self._chosen[session_id] = model_id
        self._dispatcher.expect(model_id)
        return self.wish(session_id)

    async def await_first(self, session_id: str, model_id: str, wish: int) -> None:
        """Have the model served that a session began with.

        Raises:
            HotmicError: It cannot be; the session follows the current one.
        """
        try:
            self._held[session_id] = await self.acquire(session_id, model_id, wish, report=lambda _: None)
        except BaseException:
            if self._wishes.get(session_id) == wish:
                del self._chosen[session_id]
            raise
        finally:
            self._dispatcher.unexpect(model_id)

    async def acquire(self, session_id: str, model_id: str, wish: int, *, report: Report) -> str:
        """Have the model of a wish served; ``set`` is to follow at once.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded, or too many others are in use.
            DownloadFailed: Its weights are missing and could not be fetched.
            Superseded: The session has a newer wish, or is over.
        """
        acquired = await self._pool.acquire(model_id, report=report) if model_id else CURRENT
        if self._wishes.get(session_id) != wish:
            if acquired:
                self._pool.release(acquired)
            raise Superseded("Another model was chosen for the session in the meantime, or it is over.")
        return acquired

    def set(self, session_id: str, acquired: str, *, now: float) -> None:
        """Give a session the model that was acquired for it."""
        self.scheduler_of(session_id).forget(session_id, now=now)
        self._let_go(session_id)
        if acquired:
            self._chosen[session_id] = self._held[session_id] = acquired
        self.scheduler_of(session_id).receive_session(session_id, now=now)

    def forget(self, session_id: str) -> None:
        """A session is over."""
        self._wishes.pop(session_id, None)
        self._let_go(session_id)

    def _let_go(self, session_id: str) -> None:
        self._chosen.pop(session_id, None)
        held = self._held.pop(session_id, CURRENT)
        if held:
            self._pool.release(held)
