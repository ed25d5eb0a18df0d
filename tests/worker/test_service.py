import asyncio
from collections.abc import Awaitable, Callable

import pytest

import virtual_time
from fake_worker import Fleet
from hotmic.errors import EngineFailed, ModelUnavailable
from hotmic.values import DecodeJob
from hotmic.worker.messages import Progress, Start
from hotmic.worker.service import Service

Build = Callable[..., DecodeJob]
PLAIN: dict[str, object] = {"load_s": 1.0}


def serve(
    start: Start, fleet: Fleet, test: Callable[[Service], Awaitable[None]], told: list[str] | None = None
) -> None:
    """Open a service in virtual time, run the test, close it and see that nothing is left."""

    async def main() -> None:
        seen: list[str] = [] if told is None else told
        service = Service(start, build_worker=fleet, on_change=lambda: seen.append(service.status.state))  # type: ignore[arg-type]
        try:
            await service.open(lambda _: None)
            await test(service)
        finally:
            await service.close()
        assert fleet.alive == []

    virtual_time.run(main())


def texts(results: list[object]) -> list[str]:
    return [result.text for result in results]  # type: ignore[attr-defined]


def test_it_loads_and_decodes(start: Callable[..., Start], job: Build) -> None:
    told: list[str] = []

    async def test(service: Service) -> None:
        assert texts(await service.decode([job(b"a", "1"), job(b"b", "2")])) == ["a@1", "b@1"]  # type: ignore[arg-type]
        status = service.status
        assert (status.state, status.pid, status.reason, status.restarts) == ("serving", 1, "Fake.", 0)

    serve(start(), Fleet(), test, told)
    assert list(dict.fromkeys(told)) == ["loading", "warming", "serving", "retiring"]


def test_a_killed_worker_costs_no_job(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        fleet_tasks = [asyncio.create_task(service.decode([job(b"x", str(i))])) for i in range(6)]
        await asyncio.sleep(0.05)
        assert service.status.in_flight == 2
        fleet.workers[0].die()
        results = await asyncio.gather(*fleet_tasks)
        assert service.status.in_flight == 0
        assert [texts(r) for r in results] == [["x@2"]] * 6  # type: ignore[arg-type]
        assert (service.status.restarts, service.status.pid, service.status.state) == (1, 2, "serving")

    fleet = Fleet(PLAIN)
    serve(start(), fleet, test)


def test_the_reason_of_a_restart_is_told_while_it_lasts(start: Callable[..., Start]) -> None:
    async def test(service: Service) -> None:
        fleet.workers[0].die("It froze.", kind="hang")
        await asyncio.sleep(0.5)
        assert (service.status.reason, service.status.pid) == ("The worker is started again. It froze.", 0)
        await asyncio.sleep(1)
        assert (service.status.reason, service.status.pid) == ("Fake.", 2)
        last = service.status.last_exit
        assert last is not None
        assert (last.kind, last.message) == ("hang", "It froze.")

    fleet = Fleet(PLAIN)
    serve(start(), fleet, test)


def test_two_batches_at_a_time(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        await asyncio.gather(*(service.decode([job(b"x", str(i))]) for i in range(9)))
        assert fleet.workers[0].most_at_once == 2

    fleet = Fleet()
    serve(start(), fleet, test)


def test_a_deadly_job_is_found_among_its_neighbours(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        jobs = [job(audio, str(i)) for i, audio in enumerate([b"a", b"bomb", b"c", b"d"])]
        results = await service.decode(jobs)
        assert [(r.job_id, r.text.split("@")[0], r.error_code) for r in results] == [
            ("0", "a", ""),
            ("1", "", "engine_failed"),
            ("2", "c", ""),
            ("3", "d", ""),
        ]
        assert "left out" in results[1].error_message
        # Twice with the others, twice alone.
        assert service.status.restarts == 4
        assert service.status.quarantined == 1
        assert service.is_healthy

    serve(start(), Fleet({"deadly": frozenset({b"bomb"})}), test)


def test_bystanders_of_a_deadly_job_are_not_blamed(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        bomb = asyncio.create_task(service.decode([job(b"bomb", "bomb")]))
        others = [asyncio.create_task(service.decode([job(b"x", str(i))])) for i in range(5)]
        assert (await bomb)[0].error_code == "engine_failed"
        for task in others:
            assert (await task)[0].text.startswith("x@")

    serve(start(), Fleet({"deadly": frozenset({b"bomb"})}), test)


def test_a_worker_that_always_dies_is_given_up_with_the_reason(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        waiting = asyncio.create_task(service.decode([job(b"x")]))
        await asyncio.sleep(0.01)
        fleet.workers[0].die("It fell.")
        with pytest.raises(ModelUnavailable, match="again and again"):
            await waiting
        assert service.status.state == "unavailable"
        assert "No memory." in service.status.reason
        assert len(fleet.workers) == 5
        with pytest.raises(ModelUnavailable):
            await service.decode([job(b"x")])

    fleet = Fleet({}, {"load_s": 0.5, "fail_load": "No memory."})
    serve(start(), fleet, test)


def test_a_load_that_fails_leaves_no_worker(start: Callable[..., Start]) -> None:
    async def test(_: Service) -> None:
        raise AssertionError("it opened")

    with pytest.raises(EngineFailed, match="No weights"):
        serve(start(), Fleet({"fail_load": "No weights."}), test)


def test_draining_waits_for_what_was_handed_in(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        tasks = [asyncio.create_task(service.decode([job(b"x", str(i))])) for i in range(5)]
        await asyncio.sleep(0.15)
        fleet.workers[0].die()
        service.release()
        await service.drain()
        assert all(task.done() for task in tasks)
        assert service.status.state == "retiring"
        assert {text for task in tasks for text in texts(task.result())} <= {"x@1", "x@2"}  # type: ignore[arg-type]

    fleet = Fleet(PLAIN)
    serve(start(), fleet, test)


def test_a_cancelled_batch_gives_its_place_back(start: Callable[..., Start], job: Build) -> None:
    async def test(service: Service) -> None:
        tasks = [asyncio.create_task(service.decode([job(b"x", str(i))])) for i in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        assert texts(await service.decode([job(b"y")])) == ["y@1"]  # type: ignore[arg-type]
        await service.drain()

    serve(start(), Fleet(), test)


def test_progress_is_passed_on(start: Callable[..., Start]) -> None:
    async def main() -> None:
        told: list[Progress] = []
        service = Service(start(), build_worker=Fleet(), on_change=lambda: None)  # type: ignore[arg-type]
        await service.open(told.append)
        assert [(p.stage, p.share) for p in told] == [("loading", 0.0), ("warming", 1.0)]
        await service.close()

    virtual_time.run(main())


def test_a_batch_under_way_when_the_model_is_given_up_fails_and_does_not_wait(
    start: Callable[..., Start], job: Build
) -> None:
    fleet = Fleet({"load_s": 0.5, "decode_s": 1.0})

    async def test(service: Service) -> None:
        batch = asyncio.create_task(service.decode([job(b"x", "1"), job(b"y", "2"), job(b"z", "3")]))
        for _ in range(5):
            while fleet.workers[-1].is_dead or not fleet.workers[-1].most_at_once:
                await asyncio.sleep(0.05)
            fleet.workers[-1].die()
            await asyncio.sleep(0.1)
        with pytest.raises(ModelUnavailable, match="given up"):
            await batch
        service.release()
        await service.drain()

    serve(start(), fleet, test)
