"""Which model a session chose for itself, and the pool's promise to keep it served."""

from collections.abc import Callable

from hotmic.net.dispatcher import CURRENT, Dispatcher
from hotmic.scheduler.scheduler import Scheduler
from hotmic.values import LoadProgress, Pool

Report = Callable[[LoadProgress], None]


class Choices:
    """Sessions and their models.

    Args:
        pool: Serves the models.
        dispatcher: Has the jobs of new sessions wait for them.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher) -> None:
        self._pool, self._dispatcher = pool, dispatcher
        self._chosen: dict[str, str] = {}
        self._held: dict[str, str] = {}

    def of(self, session_id: str) -> str:
        """Return the model that a session chose, empty where it follows the current one."""
        return self._chosen.get(session_id, CURRENT)

    def scheduler_of(self, session_id: str) -> Scheduler:
        """Return what orders the jobs of a session."""
        return self._dispatcher.scheduler(self.of(session_id))

    def expect(self, session_id: str, model_id: str) -> None:
        """A session begins with a model; its jobs wait until ``receive_expected`` is over."""
        self._chosen[session_id] = model_id
        self._dispatcher.expect(model_id)

    async def receive_expected(self, session_id: str, model_id: str) -> None:
        """Have the model served that a session began with.

        Raises:
            HotmicError: It cannot be; the session follows the current one.
        """
        try:
            await self._pool.acquire(model_id, report=lambda _: None)
        except BaseException:
            if self._chosen.get(session_id) == model_id and session_id not in self._held:
                del self._chosen[session_id]
            raise
        else:
            if self._chosen.get(session_id) == model_id and session_id not in self._held:
                self._held[session_id] = model_id
            else:
                self._pool.release(model_id)
        finally:
            self._dispatcher.unexpect(model_id)

    async def acquire(self, model_id: str, *, report: Report) -> str:
        """Have a model served; return its id, and for an empty one that of the current one's followers.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded, or too many others are in use.
            DownloadFailed: Its weights are missing and could not be fetched.
        """
        return await self._pool.acquire(model_id, report=report) if model_id else CURRENT

    def release(self, model_id: str) -> None:
        """Give up what was acquired and is not set."""
        if model_id:
            self._pool.release(model_id)

    def set(self, session_id: str, acquired: str, *, now: float) -> None:
        """Give a session the model that was acquired for it."""
        self.scheduler_of(session_id).forget(session_id, now=now)
        self.forget(session_id)
        if acquired:
            self._chosen[session_id] = self._held[session_id] = acquired
        self.scheduler_of(session_id).receive_session(session_id, now=now)

    def forget(self, session_id: str) -> None:
        """A session is over, or chooses anew."""
        self._chosen.pop(session_id, None)
        self.release(self._held.pop(session_id, CURRENT))
