"""Whose turn it is: finals first, only the newest partial of a session, batches across sessions. Sans-I/O.

Finals queue in the order of their deadlines and are never dropped. Each session has one partial slot, which newer
audio overwrites and the final of the same segment empties. A batch takes rows of one bucket, oldest deadline first.
"""

from collections import deque
from collections.abc import Sequence

from hotmic.scheduler.bucket import bucket
from hotmic.values import DecodeJob, Value

SMOOTHING = 0.2
"""Weight of the newest batch in the running means."""


class Batch(Value, frozen=True, kw_only=True):
    """Rows to decode together."""

    number: int
    jobs: tuple[DecodeJob, ...]
    started: float

    @property
    def kind(self) -> str:
        """The lane of its rows."""
        return self.jobs[0].kind


class Scheduler:
    """Order of work for one model.

    Args:
        max_rows: Most rows of one batch.
        max_in_flight: Batches handed out and not done; two keep a device busy, one keeps latency low on CPU.
        cadence: Shortest time between two partials of a session, in seconds.
        max_cadence: Longest, under load.
    """

    def __init__(
        self, *, max_rows: int = 8, max_in_flight: int = 1, cadence: float = 0.3, max_cadence: float = 2.0
    ) -> None:
        self.max_rows = max_rows
        self.max_in_flight = max_in_flight
        self._floor, self._ceiling = cadence, max_cadence
        self._finals: deque[DecodeJob] = deque()
        self._partials: dict[str, DecodeJob] = {}
        self._in_flight: dict[int, Batch] = {}
        self._number = 0
        self._partial_wait = 0.0
        self._arrived: dict[str, float] = {}
        self.dropped = 0

    def receive_job(self, job: DecodeJob, *, now: float) -> None:
        """Queue a job; a newer partial replaces the session's waiting one, a final withdraws its segment's partial."""
        self._arrived[job.job_id] = now
        waiting = self._partials.get(job.session_id)
        if job.kind == "partial":
            if waiting is not None:
                self._drop(waiting)
            self._partials[job.session_id] = job
            return
        if waiting is not None and waiting.segment_id == job.segment_id:
            self._drop(self._partials.pop(job.session_id))
        self._finals.append(job)

    def receive_done(self, batch: Batch, *, now: float) -> None:
        """Learn that a batch came back, whatever came of it."""
        self._in_flight.pop(batch.number)
        for job in batch.jobs:
            arrived = self._arrived.pop(job.job_id)
            if job.kind == "partial":
                self._partial_wait += SMOOTHING * (now - arrived - self._partial_wait)

    def forget(self, session_id: str) -> None:
        """Drop the waiting partial of a session that is gone; its finals stay."""
        waiting = self._partials.pop(session_id, None)
        if waiting is not None:
            self._drop(waiting)

    def batches_to_run(self, *, now: float) -> list[Batch]:
        """Drain what may start now."""
        batches = []
        while len(self._in_flight) < self.max_in_flight and (self._finals or self._partials):
            self._number += 1
            batch = Batch(number=self._number, jobs=tuple(self._take_rows()), started=now)
            self._in_flight[batch.number] = batch
            batches.append(batch)
        return batches

    @property
    def cadence(self) -> float:
        """Time between partials that the measured load allows, in seconds."""
        return min(self._ceiling, max(self._floor, 1.5 * self._partial_wait))

    @property
    def waiting(self) -> dict[str, int]:
        """Queued jobs by lane."""
        return {"final": len(self._finals), "partial": len(self._partials)}

    @property
    def rows_in_flight(self) -> int:
        """Rows of all batches handed out and not done."""
        return sum(len(b.jobs) for b in self._in_flight.values())

    def _take_rows(self) -> list[DecodeJob]:
        lane: Sequence[DecodeJob] = self._finals or tuple(self._partials.values())
        in_turn = sorted(lane, key=lambda j: j.deadline)
        shape = bucket(in_turn[0])
        rows = [job for job in in_turn if bucket(job) == shape][: self.max_rows]
        taken = {job.job_id for job in rows}
        if self._finals:
            self._finals = deque(job for job in self._finals if job.job_id not in taken)
        else:
            for job in rows:
                del self._partials[job.session_id]
        return rows

    def _drop(self, job: DecodeJob) -> None:
        self._arrived.pop(job.job_id, None)
        self.dropped += 1
