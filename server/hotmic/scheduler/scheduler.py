"""Whose turn it is: finals first, only the newest partial of a session, batches across sessions. Sans-I/O.

**Finals** are never dropped. **Partials** have one slot per session. Newer audio overwrites it but keeps its turn, so
a slot that is refreshed grows older all the same. The final of the segment empties it, and the turn goes to the next
segment. What was not overwritten for longer than two partials can lie apart is dropped: its speaker is not heard any
more. Within a lane the order is fair between tenants and sessions (see ``lane``).

**Which lane.** Finals go first, with two exceptions. Where a partial is past its deadline, a batch of partials runs
before finals that will not have waited for ``PATIENCE`` when it is done: the finals gather meanwhile, and a batch of
many costs little more than one of few. And after ``FINALS_IN_A_ROW`` batches of finals during all of which some
partial waited, one batch of partials runs: a flood of finals leaves partials one batch in eight, and costs the finals
no more than that.

**Files.** What comes from files, finals too, goes when nothing that is spoken waits. A batch under way cannot be
stopped, so while people speak only one of files runs at a time, and it is cut down to rows that together take
``BRIEF``, as far as one row does; when nobody speaks, to ``LENGTHY``. Where partials alone fill the device, a batch of
files runs every ``STARVED`` seconds all the same. Files count neither as load nor as speakers: they keep nobody out.

**Overload** is met in this order: partials are stretched (``cadence``), partials are skipped (their slots are
overwritten before they are served), newcomers are refused (``capacity``).

``receive_job`` and each row of ``batches_to_run`` cost O(log n) for n waiting jobs.
"""

from collections import OrderedDict, deque

from hotmic.scheduler.bucket import Bucket, bucket
from hotmic.scheduler.cadence import Cadence
from hotmic.scheduler.capacity import Capacity
from hotmic.scheduler.cost import Cost
from hotmic.scheduler.lane import Lane
from hotmic.values import DecodeJob, DecodeKind, Value

FINALS_IN_A_ROW = 7
LATE = 0.5
"""Seconds after which a waiting partial is late, if not sooner by its own deadline."""
PATIENCE = 0.25
"""Seconds that finals may wait for partials which are late."""


BRIEF, LENGTHY = 0.1, 1.0
"""Seconds that a batch of files may take, while people speak and while nobody does."""

STARVED = 5.0
"""Seconds after which files go before partials, once."""


class Batch(Value, frozen=True, kw_only=True):
    """Rows to decode together."""

    number: int
    jobs: tuple[DecodeJob, ...]
    started: float

    @property
    def kind(self) -> DecodeKind:
        """The lane of its rows."""
        return self.jobs[0].kind

    @property
    def is_from_file(self) -> bool:
        """Whether its rows come from files."""
        return self.jobs[0].is_from_file

    @property
    def shape(self) -> Bucket:
        """What its rows have in common."""
        return bucket(self.jobs[0])


class _Slot:
    """The waiting partial of a session: its newest job, and the turn of the first that was not served."""

    __slots__ = ("arrived", "deadline", "job")

    def __init__(self, job: DecodeJob, deadline: float, arrived: float) -> None:
        self.job, self.deadline, self.arrived = job, deadline, arrived


class Scheduler:
    """Order of work for one model.

    Args:
        max_rows: Most rows of one batch.
        max_in_flight: Batches handed out and not done, until a model says otherwise.
        cadence: Shortest time between two partials of a session, in seconds.
        max_cadence: Longest, under load.
        capacity: Decides who fits; by default one with its own defaults.
    """

    def __init__(
        self,
        *,
        max_rows: int = 8,
        max_in_flight: int = 1,
        cadence: float = 0.3,
        max_cadence: float = 2.0,
        capacity: Capacity | None = None,
    ) -> None:
        self.max_rows = max_rows
        self.max_in_flight = max_in_flight
        self.capacity = capacity or Capacity(max_rows=max_rows, ceiling=max_cadence)
        self.dropped = 0
        self._cadence = Cadence(floor=cadence, ceiling=max_cadence, max_rows=max_rows)
        self._stale_after = max_cadence + cadence
        self._finals, self._partials, self._files = Lane(), Lane(by_session=False), Lane()
        self._file_jobs: dict[str, dict[str, DecodeJob]] = {}
        self._file_cost, self._file_turn_at = Cost(), 0.0
        self._slots: dict[str, _Slot] = {}
        self._unspent: dict[str, float] = {}
        self._by_age: deque[_Slot] = deque()
        self._final_arrivals: OrderedDict[str, float] = OrderedDict()
        self._in_flight: dict[int, Batch] = {}
        self._number = 0
        self._finals_in_a_row = 0
        self._last_done = 0.0

    # inputs

    def receive_session(self, session_id: str, *, now: float) -> None:
        """A speaker was let in."""
        self.capacity.receive_session(session_id, now=now)

    def receive_job(self, job: DecodeJob, *, now: float) -> None:
        """Queue a job; a newer partial replaces the session's waiting one, a final withdraws its segment's partial."""
        if job.is_from_file:
            if not self._files:
                self._file_turn_at = now
            self._file_jobs.setdefault(job.session_id, {})[job.job_id] = job
            self._files.put(job, deadline=job.deadline)
            return
        session_id, shape = job.session_id, bucket(job)
        self.capacity.receive_job(session_id, shape, now=now)
        slot = self._slots.get(session_id)
        if job.kind == "final":
            if slot is not None and slot.job.segment_id == job.segment_id:
                self._unspent[session_id] = slot.deadline
                self._drop(slot)
            self._cadence.forget(session_id)
            self._final_arrivals[job.job_id] = now
            self._finals.put(job, deadline=job.deadline)
            return
        self._cadence.receive_partial(session_id, shape, now=now)
        deadline = min(job.deadline, now + LATE, self._unspent.pop(session_id, now + LATE))
        if slot is not None:
            deadline = min(deadline, slot.deadline)
            self._drop(slot)
        slot = self._slots[session_id] = _Slot(job, deadline, now)
        self._by_age.append(slot)
        self._partials.put(job, deadline=deadline)

    def receive_done(self, batch: Batch, *, now: float, has_failed: bool = False) -> None:
        """Learn that a batch came back.

        Args:
            batch: One that was handed out.
            now: The time.
            has_failed: Whether it came back without results, so that its time says nothing about cost.
        """
        del self._in_flight[batch.number]
        # With two in flight the second waits for the first: its own time begins where the other ended.
        seconds = now - max(batch.started, self._last_done)
        self._last_done = now
        if batch.is_from_file:
            if not has_failed:
                self._file_cost.learn(len(batch.jobs) * batch.shape.seconds, max(0.0, seconds))
            return
        if not has_failed:
            self.capacity.receive_batch(batch.shape, len(batch.jobs), seconds=max(0.0, seconds), now=now)
        self._cadence.update(self.capacity.costs["partial"], finals=self.capacity.finals_load(now=now), now=now)

    def receive_model(self, *, batches_in_flight: int) -> None:
        """Another model serves: what batches cost is learned anew.

        Args:
            batches_in_flight: Batches it is best handed before the first is back.
        """
        self.max_in_flight = batches_in_flight
        self.capacity.reset()
        self._file_cost = Cost()

    def forget(self, session_id: str, *, now: float) -> None:
        """Drop the waiting partial of a session that is gone; its finals stay."""
        slot = self._slots.get(session_id)
        if slot is not None:
            self._drop(slot)
        self._unspent.pop(session_id, None)
        self._cadence.forget(session_id)
        self.capacity.forget(session_id, now=now)

    def withdraw(self, session_id: str) -> None:
        """Drop what waits of a file that nobody wants any more."""
        for job in self._file_jobs.pop(session_id, {}).values():
            self._files.remove(job)

    # outputs

    def batches_to_run(self, *, now: float) -> list[Batch]:
        """Drain what may start now."""
        self._drop_stale(now)
        batches = []
        while len(self._in_flight) < self.max_in_flight:
            is_spoken = bool(self._finals or self._partials)
            if self._files and self._may_read(now) and (not is_spoken or self._are_starved(now)):
                rows = self._take_file_rows(now)
            elif is_spoken:
                rows = self._take_rows(now)
            else:
                break
            self._number += 1
            batch = Batch(number=self._number, jobs=tuple(rows), started=now)
            self._in_flight[batch.number] = batch
            batches.append(batch)
        return batches

    def retry_after(self, *, now: float) -> float | None:
        """Return in how many seconds a new speaker should come again; ``None`` lets it in."""
        return self.capacity.retry_after(now=now)

    @property
    def cadence(self) -> float:
        """Time between partials that the measured load allows, in seconds."""
        return self._cadence.value

    @property
    def waiting(self) -> dict[str, int]:
        """Queued jobs by lane."""
        return {"final": len(self._finals), "partial": len(self._partials), "file": len(self._files)}

    @property
    def rows_in_flight(self) -> int:
        """Rows of all batches handed out and not done."""
        return sum(len(b.jobs) for b in self._in_flight.values())

    def _take_rows(self, now: float) -> list[DecodeJob]:
        if self._finals and not (self._partials and self._are_owed(now)):
            self._finals_in_a_row = self._finals_in_a_row + 1 if self._partials else 0
            rows = self._finals.take(self.max_rows)
            for job in rows:
                del self._final_arrivals[job.job_id]
            return rows
        self._finals_in_a_row = 0
        rows = self._partials.take(self.max_rows)
        for job in rows:
            del self._slots[job.session_id]
        return rows

    def _may_read(self, now: float) -> bool:
        """Return whether a batch of files may run beside those under way."""
        return not self.capacity.has_speakers(now=now) or not any(b.is_from_file for b in self._in_flight.values())

    def _are_starved(self, now: float) -> bool:
        return not self._finals and now - self._file_turn_at >= STARVED

    def _take_file_rows(self, now: float) -> list[DecodeJob]:
        self._file_turn_at = now
        most = BRIEF if self.capacity.has_speakers(now=now) else LENGTHY
        fixed, slope = self._file_cost.line
        seconds = self._files.head[1].seconds
        fits = int((most - fixed) / (slope * seconds)) if slope else 1
        rows = self._files.take(min(self.max_rows, max(1, fits)))
        for job in rows:
            waiting = self._file_jobs[job.session_id]
            del waiting[job.job_id]
            if not waiting:
                del self._file_jobs[job.session_id]
        return rows

    def _are_owed(self, now: float) -> bool:
        """Return whether partials go before the finals that wait."""
        if self._finals_in_a_row >= FINALS_IN_A_ROW:
            return True
        deadline, shape = self._partials.head
        if now <= deadline:
            return False
        takes = self.capacity.costs["partial"].of(1, self.max_rows * shape.seconds)
        return now + takes - next(iter(self._final_arrivals.values())) <= PATIENCE

    def _drop(self, slot: _Slot) -> None:
        del self._slots[slot.job.session_id]
        self._partials.remove(slot.job)
        self.dropped += 1

    def _drop_stale(self, now: float) -> None:
        while self._by_age and now - self._by_age[0].arrived > self._stale_after:
            slot = self._by_age.popleft()
            if self._slots.get(slot.job.session_id) is slot:
                self._drop(slot)
