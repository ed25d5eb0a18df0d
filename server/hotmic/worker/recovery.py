"""When a dead worker is started again, when its model is given up, and which job is to blame. Pure."""

from collections import deque
from collections.abc import Sequence

from hotmic.values import DecodeJob

BREAKER_DEATHS = 5
BREAKER_WINDOW = 30.0
"""So many deaths of workers that finished nothing, within so many seconds, and the model is unavailable."""
BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each restart in a row; a worker that finished a job begins the row anew."""
QUARANTINE_DEATHS = 2
"""A job that was alone in so many dying workers is not tried again."""


class Recovery:
    """The record of one model's crashes."""

    def __init__(self) -> None:
        self._fruitless: deque[float] = deque()
        self._in_a_row = 0
        self.restarts = 0

    def receive_death(self, *, jobs_done: int, now: float, has_run: bool = True) -> float | None:
        """Learn that a worker died.

        Args:
            jobs_done: Jobs it finished since it started.
            now: Seconds.
            has_run: Whether there was a process at all; a machine that can start none is not the model's fault.

        Returns:
            Seconds to wait before the next start; ``None`` when there should be none.
        """
        if jobs_done:
            self._in_a_row = 0
            self._fruitless.clear()
        elif has_run:
            self._fruitless.append(now)
        while self._fruitless and now - self._fruitless[0] > BREAKER_WINDOW:
            self._fruitless.popleft()
        if len(self._fruitless) >= BREAKER_DEATHS:
            return None
        delay = BACKOFF[min(self._in_a_row, len(BACKOFF) - 1)]
        self._in_a_row += 1
        self.restarts += 1
        return delay


class Attempt:
    """One batch on its way through workers that may die under it.

    Args:
        jobs: The batch.
        alone_deaths: Workers that died with this batch, of one job, and nothing else.
    """

    def __init__(self, jobs: Sequence[DecodeJob], *, deaths: int = 0, alone_deaths: int = 0) -> None:
        self.jobs = tuple(jobs)
        self.deaths = deaths
        self.alone_deaths = alone_deaths

    @property
    def needs_solitude(self) -> bool:
        """Whether the next try should have a worker to itself, so that its death has one possible cause."""
        return self.deaths > 0 and len(self.jobs) == 1

    @property
    def is_guilty(self) -> bool:
        """Whether its job killed enough workers on its own."""
        return self.alone_deaths >= QUARANTINE_DEATHS

    def receive_death(self, *, alone: bool) -> list["Attempt"]:
        """Return what to try next after a worker died with this batch.

        The first time the same again; a batch of several that dies twice goes on row by row.

        Args:
            alone: Nothing else was under way in that worker.
        """
        deaths = self.deaths + 1
        if len(self.jobs) > 1 and deaths > 1:
            return [Attempt((job,), deaths=deaths) for job in self.jobs]
        return [Attempt(self.jobs, deaths=deaths, alone_deaths=self.alone_deaths + (alone and len(self.jobs) == 1))]
