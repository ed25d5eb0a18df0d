from collections.abc import Callable

from hotmic.values import DecodeJob
from hotmic.worker.recovery import BACKOFF, BREAKER_DEATHS, Attempt, Recovery

Build = Callable[..., DecodeJob]


def test_the_first_restart_is_at_once_and_the_next_ones_are_not() -> None:
    recovery = Recovery()
    delays = [recovery.receive_death(jobs_done=0, now=100.0 * i) for i in range(8)]
    assert delays == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]
    assert delays[0] == 0
    assert recovery.restarts == 8


def test_a_finished_job_begins_the_row_anew() -> None:
    recovery = Recovery()
    for i in range(3):
        recovery.receive_death(jobs_done=0, now=i)
    assert recovery.receive_death(jobs_done=1, now=4.0) == 0


def test_five_fruitless_deaths_in_thirty_seconds_open_the_breaker() -> None:
    recovery = Recovery()
    delays = [recovery.receive_death(jobs_done=0, now=7.4 * i) for i in range(BREAKER_DEATHS)]
    assert delays[-1] is None
    assert None not in delays[:-1]


def test_workers_that_could_not_even_be_started_do_not() -> None:
    recovery = Recovery()
    delays = [recovery.receive_death(jobs_done=0, now=float(i), has_run=False) for i in range(20)]
    assert None not in delays
    assert delays[-1] == BACKOFF[-1]


def test_slower_deaths_do_not() -> None:
    recovery = Recovery()
    assert None not in [recovery.receive_death(jobs_done=0, now=7.6 * i) for i in range(20)]


def test_workers_that_finish_jobs_may_die_for_ever() -> None:
    recovery = Recovery()
    assert {recovery.receive_death(jobs_done=1, now=0.1 * i) for i in range(200)} == {0.0}


def test_a_batch_goes_again_whole_then_row_by_row(job: Build) -> None:
    first = Attempt([job(job_id=name) for name in "abc"])
    assert not first.needs_solitude
    (second,) = first.receive_death(alone=True)
    assert (len(second.jobs), second.needs_solitude, second.is_guilty) == (3, False, False)
    rows = second.receive_death(alone=True)
    assert [[j.job_id for j in row.jobs] for row in rows] == [["a"], ["b"], ["c"]]
    assert all(row.needs_solitude and not row.is_guilty for row in rows)


def test_a_job_is_guilty_after_two_deaths_alone(job: Build) -> None:
    attempt = Attempt([job()])
    for _ in range(5):
        (attempt,) = attempt.receive_death(alone=False)
        assert not attempt.is_guilty
    (attempt,) = attempt.receive_death(alone=True)
    assert not attempt.is_guilty
    (attempt,) = attempt.receive_death(alone=True)
    assert attempt.is_guilty
