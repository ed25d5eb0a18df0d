"""Rows of one kind that wait for a batch, in fair order.

The order has three keys. Least served **tenant** first, counted in seconds of padded audio; then least served
**session** of the tenant, counted in rows (if at all); then the oldest deadline. Both counts are rounded to a quantum
(``TENANT_QUANTUM``, ``SESSION_QUANTUM``): among those that were served about alike, the deadline decides. A tenant
with a hundred streams therefore gets at most as much as one with two, as long as both have something waiting.

The first row in that order decides the shape of the batch, and rows of that shape fill it in the same order; only the
first moves the virtual time, so rows that merely ride along never cost others their place. ``put``, ``remove`` and
each row of ``take`` cost O(log n): orders are kept per shape and tenant, and where a count has grown meanwhile, the
entry is put back when it comes up.
"""

from collections import deque
from collections.abc import Callable

from hotmic.scheduler.account import Account
from hotmic.scheduler.bucket import Bucket, bucket
from hotmic.scheduler.ranking import Name, Ranking
from hotmic.values import DecodeJob

TENANT_QUANTUM = 30.0
"""Seconds of audio, the longest row there is. More would weaken the protection from a tenant with many streams; the
price is smaller batches where there are many tenants (a modelled card carried a sixth fewer speakers when each of 1500
came with a token of its own)."""
SESSION_QUANTUM = 4
"""Rows; more than a speaker needs in one go, less than a file that is pushed in."""

Key = tuple[int, ...] | tuple[int, float] | tuple[int, int, float]


class _Queue:
    """Rows of one tenant and one shape."""

    def __init__(self) -> None:
        self.sessions: Ranking[str] = Ranking()
        self.rows: dict[str, deque[tuple[float, DecodeJob]]] = {}


class _Shelf:
    """Rows of one shape."""

    def __init__(self) -> None:
        self.tenants: Ranking[str] = Ranking()
        self.queues: dict[str, _Queue] = {}


class Lane:
    """Rows of one kind that wait for a batch.

    Args:
        by_session: Whether rows of sessions are counted. Where a session has one row at a time, the deadline alone is
            fair between them, and counting would only hold up those who talk long.
    """

    def __init__(self, *, by_session: bool = True) -> None:
        self._by_session = by_session
        self._shelves: dict[Bucket, _Shelf] = {}
        self._order: Ranking[Bucket] = Ranking()
        self._tenants = Account(TENANT_QUANTUM)
        self._sessions: dict[str, Account] = {}
        self._waiting: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def head(self) -> tuple[float, Bucket]:
        """Deadline and shape of the row whose turn it is; something must wait."""
        first = _first(self._order, self._shelf_key)
        assert first is not None
        return first[1][-1], first[0]

    def put(self, job: DecodeJob, *, deadline: float) -> None:
        """Queue a row.

        Args:
            job: The row.
            deadline: What it is ordered by; a row that replaces another keeps that one's.
        """
        shape, tenant = bucket(job), job.tenant
        shelf = self._shelves.get(shape)
        if shelf is None:
            shelf = self._shelves[shape] = _Shelf()
        queue = shelf.queues.get(tenant)
        if queue is None:
            queue = shelf.queues[tenant] = _Queue()
        queue.rows.setdefault(job.session_id, deque()).append((deadline, job))
        self._waiting[tenant] = self._waiting.get(tenant, 0) + 1
        self._count += 1
        self._place(shape, tenant, job.session_id)

    def remove(self, job: DecodeJob) -> None:
        """Take a waiting row out."""
        shape = bucket(job)
        rows = self._shelves[shape].queues[job.tenant].rows[job.session_id]
        index = next(i for i, (_, waiting) in enumerate(rows) if waiting is job)
        del rows[index]
        self._taken(shape, job.tenant, job.session_id)

    def take(self, limit: int) -> list[DecodeJob]:
        """Take out the rows of the next batch, at most ``limit`` of one shape; none when nothing waits."""
        first = _first(self._order, self._shelf_key)
        if first is None:
            return []
        shape = first[0]
        rows: list[DecodeJob] = []
        while len(rows) < limit and (shelf := self._shelves.get(shape)) is not None:
            tenant, session = self._next(shelf)
            _, job = shelf.queues[tenant].rows[session].popleft()
            self._charge(tenant, session, shape.seconds, is_first=not rows)
            rows.append(job)
            self._taken(shape, tenant, session)
        return rows

    def _charge(self, tenant: str, session: str, seconds: float, *, is_first: bool) -> None:
        if is_first:
            self._tenants.advance(tenant)
        self._tenants.charge(tenant, seconds)
        if not self._by_session:
            return
        account = self._sessions.get(tenant)
        if account is None:
            account = self._sessions[tenant] = Account(SESSION_QUANTUM)
        if is_first:
            account.advance(session)
        account.charge(session, 1)

    def _next(self, shelf: _Shelf) -> tuple[str, str]:
        """Return the tenant and the session whose turn it is; a shelf is never empty."""
        first = _first(shelf.tenants, lambda name: self._tenant_key(shelf, name))
        assert first is not None
        session = self._first_session(shelf.queues[first[0]], first[0])
        assert session is not None
        return first[0], session[0]

    def _taken(self, shape: Bucket, tenant: str, session: str) -> None:
        self._count -= 1
        self._waiting[tenant] -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]
            self._forget_idle()
        shelf = self._shelves[shape]
        queue = shelf.queues[tenant]
        if queue.rows[session]:
            self._place(shape, tenant, session)
            return
        del queue.rows[session]
        queue.sessions.discard(session)
        if not queue.rows:
            del shelf.queues[tenant]
            shelf.tenants.discard(tenant)
        if not shelf.queues:
            del self._shelves[shape]
            self._order.discard(shape)

    def _forget_idle(self) -> None:
        """Forget the sessions of tenants that have nothing waiting, once there are many."""
        if len(self._sessions) > 2 * len(self._waiting) + 64:
            self._sessions = {t: a for t, a in self._sessions.items() if t in self._waiting}

    def _place(self, shape: Bucket, tenant: str, session: str) -> None:
        """Put a session, its tenant and its shape where they belong now."""
        shelf = self._shelves[shape]
        queue = shelf.queues[tenant]
        queue.sessions.put(session, self._session_key(queue, tenant, session))
        shelf.tenants.put(tenant, self._tenant_key(shelf, tenant))
        self._order.put(shape, self._shelf_key(shape))

    def _session_key(self, queue: _Queue, tenant: str, session: str) -> Key:
        account = self._sessions.get(tenant)
        return 0 if account is None else account.round(session), queue.rows[session][0][0]

    def _first_session(self, queue: _Queue, tenant: str) -> tuple[str, Key] | None:
        return _first(queue.sessions, lambda name: self._session_key(queue, tenant, name))

    def _tenant_key(self, shelf: _Shelf, tenant: str) -> Key:
        first = self._first_session(shelf.queues[tenant], tenant)
        return (self._tenants.round(tenant), *(first[1] if first else ()))

    def _shelf_key(self, shape: Bucket) -> Key:
        shelf = self._shelves[shape]
        first = _first(shelf.tenants, lambda name: self._tenant_key(shelf, name))
        return first[1] if first else ()


def _first(ranking: Ranking[Name], key_of: Callable[[Name], Key]) -> tuple[Name, Key] | None:
    """Return the first name after putting back those whose keys have grown."""
    while (first := ranking.first()) is not None:
        name, key = first
        current = key_of(name)
        if current == key:
            return name, key
        ranking.put(name, current)
    return None
