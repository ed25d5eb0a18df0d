import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import virtual_time
from fake_worker import Fleet
from hotmic.config.model import ModelSpec
from hotmic.errors import DownloadFailed, ModelUnavailable, ShuttingDown, Superseded, UnknownModel
from hotmic.values import DecodeJob, LoadMode, LoadProgress, ModelStatus, Pool
from hotmic.worker import memory
from hotmic.worker.loader import Loader
from hotmic.worker.pool import LocalPool

Build = Callable[..., DecodeJob]


class Models:
    def __init__(self, *specs: ModelSpec) -> None:
        self._specs = {spec.id: spec for spec in specs}

    def get(self, model_id: str) -> ModelSpec:
        if model_id not in self._specs:
            raise UnknownModel(f"There is no model {model_id!r}.")
        return self._specs[model_id]


async def fetch(spec: ModelSpec, report: Callable[[LoadProgress], None]) -> Path:
    if spec.id == "remote":
        report(LoadProgress(model_id=spec.id, stage="downloading", progress=0.5))
        await asyncio.sleep(1)
    if spec.id == "lost":
        await asyncio.sleep(0.5)
        raise DownloadFailed("The hub does not answer.")
    return Path("/nowhere")


def ignore(_: LoadProgress) -> None:
    pass


def loader_of(fleet: Fleet) -> Loader:
    return Loader(
        device="cpu",
        compute_type="auto",
        threads=0,
        batch_size=8,
        num_workers=1,
        gpu_memory_fraction=0.8,
        fetch=fetch,
        build_worker=fleet,  # type: ignore[arg-type]
    )


@pytest.fixture
def run(spec: Callable[..., ModelSpec]) -> Callable[..., None]:
    """Run a test against a pool of fake workers in virtual time; nothing may be left afterwards."""

    def runner(fleet: Fleet, test: Callable[[LocalPool], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            specs = (spec(model_id) for model_id in ("a", "b", "c", "d", "remote", "lost"))
            pool = LocalPool(Models(*specs), loader_of(fleet), **{"on_change": lambda: None, **options})
            try:
                await test(pool)
            finally:
                await pool.close()
            assert fleet.alive == []
            assert pool.status() == []
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left

        virtual_time.run(main())

    return runner


def load(pool: LocalPool, model_id: str, mode: LoadMode = "beside") -> "asyncio.Task[ModelStatus]":
    return asyncio.create_task(pool.load(model_id, mode=mode, report=ignore))


async def said(pool: Pool, job: Build, model_id: str = "a", audio: bytes = b"x") -> str:
    return (await pool.decode(model_id, [job(audio)]))[0].text


def test_load_decode_status(run: Callable[..., None], job: Build) -> None:
    changes: list[str | None] = []

    async def test(pool: LocalPool) -> None:
        assert pool.current is None
        told: list[LoadProgress] = []
        status = await pool.load("a", mode="beside", report=told.append)
        assert (status.state, status.model_id, status.device) == ("serving", "a", "cpu")
        assert pool.status() == [status]
        assert pool.current == "a"
        assert pool.capabilities("a").batch == 8
        assert await said(pool, job) == "x@1"
        assert [p.stage for p in told] == ["starting", "loading", "warming", "serving"]
        progress = [p.progress for p in told]
        assert progress == sorted(progress)
        assert progress[-1] == 1.0
        assert changes

    run(Fleet(), test, on_change=lambda: changes.append("changed"))


def test_loading_what_serves_is_nothing(run: Callable[..., None]) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        for _ in range(3):
            await pool.load("a", mode="beside", report=ignore)
        assert len(fleet.workers) == 1

    run(fleet, test)


def test_a_changed_entry_is_loaded_anew(run: Callable[..., None], spec: Callable[..., ModelSpec]) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        pool.registry = Models(spec("a", beam=2))
        await pool.load("a", mode="beside", report=ignore)
        assert len(fleet.workers) == 2

    run(fleet, test)


def test_loads_of_one_model_are_shared(run: Callable[..., None]) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        told: list[list[str]] = [[], [], []]
        loads = [pool.load("a", mode="beside", report=lambda p, seen=seen: seen.append(p.stage)) for seen in told]
        first, *others = await asyncio.gather(*loads)
        assert all(other == first for other in others)
        assert len(fleet.workers) == 1
        assert all(seen[-1] == "serving" for seen in told)

    run(fleet, test)


def test_who_leaves_does_not_stop_a_load(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        leaver = asyncio.create_task(pool.load("a", mode="beside", report=ignore))
        await asyncio.sleep(0.1)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        await asyncio.sleep(2)
        assert pool.current == "a"

    run(Fleet(), test)


def test_the_old_model_serves_until_the_new_one_does(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({"decode_s": 0.4})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        load = asyncio.create_task(pool.load("b", mode="beside", report=ignore))
        heard = []
        while not load.done():
            heard.append(await said(pool, job))
        assert heard[0] == "x@1"
        assert len(heard) == 3
        assert pool.current == "b"
        assert await said(pool, job) == "x@2"
        assert [status.model_id for status in pool.status()] == ["b"]

    run(fleet, test)


def test_batches_in_flight_finish_on_the_old_model(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({"decode_s": 5.0})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        tasks = [asyncio.create_task(said(pool, job)) for _ in range(4)]
        await asyncio.sleep(0.1)
        await pool.load("b", mode="beside", report=ignore)
        assert {s.model_id: s.state for s in pool.status()} == {"a": "draining", "b": "serving"}
        assert await asyncio.gather(*tasks) == ["x@1"] * 4
        await asyncio.sleep(0.1)
        assert fleet.alive == [2]

    run(fleet, test)


def test_a_failing_load_leaves_the_old_model(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({}, {"fail_load": "No weights."})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        with pytest.raises(ModelUnavailable, match=r"^The model b could not be loaded\. No weights\.$"):
            await pool.load("b", mode="beside", report=ignore)
        assert pool.current == "a"
        assert await said(pool, job) == "x@1"
        failed = pool.status()[1]
        assert (failed.model_id, failed.state) == ("b", "failed")
        assert "No weights." in failed.reason

    run_and_forget_failures(run, fleet, test)


def run_and_forget_failures(
    run: Callable[..., None], fleet: Fleet, test: Callable[[LocalPool], Awaitable[None]]
) -> None:
    async def wrapped(pool: LocalPool) -> None:
        await test(pool)
        pool._failed.clear()

    run(fleet, wrapped)


@pytest.mark.parametrize("mode", ["beside", "replace"])
def test_no_batch_is_lost_in_a_switch(run: Callable[..., None], job: Build, mode: LoadMode) -> None:
    fleet = Fleet({"decode_s": 0.3, "load_s": 2.0})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)

        async def speak(name: int) -> list[str]:
            return [await said(pool, job, audio=f"{name}.{i}".encode()) for i in range(12)]

        speaking = [asyncio.create_task(speak(name)) for name in range(3)]
        await asyncio.sleep(0.5)
        await pool.load("b", mode=mode, report=ignore)
        for name, heard in enumerate(await asyncio.gather(*speaking)):
            assert [text.split("@")[0] for text in heard] == [f"{name}.{i}" for i in range(12)]
            assert heard[0].endswith("@1")
            assert heard[-1].endswith("@2")
        await asyncio.sleep(1)
        assert fleet.alive == [2]

    run(fleet, test)


def test_replace_never_has_two_workers(run: Callable[..., None]) -> None:
    fleet = Fleet()
    most: list[int] = []

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        await pool.load("b", mode="replace", report=lambda _: most.append(len(fleet.alive)))
        assert max(most) == 1

    run(fleet, test)


def test_a_failing_replace_brings_the_old_model_back(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({}, {"fail_load": "No."}, {})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        load = asyncio.create_task(pool.load("b", mode="replace", report=ignore))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(said(pool, job))
        with pytest.raises(ModelUnavailable):
            await load
        assert pool.current == "a"
        assert await waiting == "x@3"

    run_and_forget_failures(run, fleet, test)


def test_batches_wait_for_the_first_model(run: Callable[..., None], job: Build) -> None:
    async def test(pool: LocalPool) -> None:
        load = asyncio.create_task(pool.load("remote", mode="beside", report=ignore))
        await asyncio.sleep(0.1)
        assert await said(pool, job, "remote") == "x@1"
        await load

    run(Fleet(), test)


def test_without_any_model_batches_fail(run: Callable[..., None], job: Build) -> None:
    async def test(pool: LocalPool) -> None:
        with pytest.raises(ModelUnavailable, match="No model is loaded"):
            await said(pool, job)
        load = asyncio.create_task(pool.load("a", mode="beside", report=ignore))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(said(pool, job))
        with pytest.raises(ModelUnavailable, match="could not be loaded"):
            await load
        with pytest.raises(ModelUnavailable):
            await waiting

    run_and_forget_failures(run, Fleet({"fail_load": "No."}), test)


def test_unload_waits_for_batches(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        batch = asyncio.create_task(said(pool, job))
        await asyncio.sleep(0.01)
        await pool.unload("a")
        assert (pool.current, fleet.alive, await batch) == (None, [], "x@1")
        for model_id in ("a", "nobody"):
            with pytest.raises(UnknownModel):
                await pool.unload(model_id)
        with pytest.raises(ModelUnavailable):
            pool.capabilities("a")

    run(fleet, test)


def test_unknown_and_missing_models(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        with pytest.raises(UnknownModel):
            await pool.load("nobody", mode="beside", report=ignore)
        with pytest.raises(DownloadFailed, match="hub"):
            await pool.load("lost", mode="beside", report=ignore)
        assert pool.status()[0].reason == "The hub does not answer."

    run_and_forget_failures(run, Fleet(), test)


def test_download_progress_comes_first(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        told: list[LoadProgress] = []
        await pool.load("remote", mode="beside", report=told.append)
        assert (told[0].stage, told[0].progress) == ("downloading", pytest.approx(0.35))

    run(Fleet(), test)


def test_a_model_that_was_given_up_can_be_loaded_again(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({}, *[{"fail_load": "No."}] * 4, {})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        fleet.workers[0].die()
        await asyncio.sleep(30)
        assert pool.status()[0].state == "unavailable"
        with pytest.raises(ModelUnavailable):
            await said(pool, job)
        await pool.load("a", mode="beside", report=ignore)
        assert [status.state for status in pool.status()] == ["serving"]
        assert await said(pool, job) == "x@6"

    run(fleet, test)


def test_closing_ends_a_load(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        load = asyncio.create_task(pool.load("a", mode="beside", report=ignore))
        await asyncio.sleep(0.1)
        await pool.close()
        with pytest.raises(ShuttingDown):
            await load
        with pytest.raises(ShuttingDown):
            await pool.load("a", mode="beside", report=ignore)

    run(Fleet(), test)


@pytest.mark.integration
def test_what_does_not_fit_is_refused(spec: Callable[..., ModelSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "measure_room", lambda **_: memory.Room(host_bytes=1000))

    async def main() -> None:
        fleet = Fleet()
        pool = LocalPool(Models(spec("a", "faster_whisper")), loader_of(fleet), on_change=lambda: None)
        with pytest.raises(ModelUnavailable, match=r"It needs about 0\.1 GB of memory"):
            await pool.load("a", mode="beside", report=ignore)
        assert fleet.workers == []
        await pool.close()

    asyncio.run(main())


def test_the_last_wish_wins_and_every_asker_is_told(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({}, {"load_s": 5.0}, {"load_s": 1.0})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        first = asyncio.create_task(pool.load("b", mode="beside", report=ignore))
        await asyncio.sleep(0.5)
        second = [asyncio.create_task(pool.load("c", mode="beside", report=ignore)) for _ in range(2)]
        with pytest.raises(Superseded, match="another model was asked for after it"):
            await first
        assert [status.model_id for status in await asyncio.gather(*second)] == ["c", "c"]
        await asyncio.sleep(1)
        assert (pool.current, fleet.alive) == ("c", [3])

    run(fleet, test)


def test_a_wish_taken_back_and_made_again(run: Callable[..., None]) -> None:
    fleet = Fleet(*[{"load_s": 2.0}] * 3)

    async def test(pool: LocalPool) -> None:
        tasks = []
        for model_id in ("a", "b", "a"):
            tasks.append(asyncio.create_task(pool.load(model_id, mode="beside", report=ignore)))
            await asyncio.sleep(0.5)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(o).__name__ for o in outcomes] == ["ModelStatus", "Superseded", "ModelStatus"]
        assert pool.current == "a"
        assert len(fleet.alive) == 1

    run(fleet, test)


def test_a_load_is_not_given_up_while_nothing_else_serves(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({}, {"load_s": 5.0}, {"fail_load": "No."})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        replacing = load(pool, "b", "replace")
        await asyncio.sleep(0.5)
        assert pool.current is None
        failing = load(pool, "c")
        waiting = asyncio.create_task(said(pool, job))
        assert (await replacing).model_id == "b"
        with pytest.raises(ModelUnavailable, match=r"No\."):
            await failing
        assert await waiting == "x@2"
        assert pool.current == "b"

    run_and_forget_failures(run, fleet, test)


def test_the_first_model_serves_though_a_failing_one_was_asked_for_meanwhile(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        first, failing = load(pool, "a"), load(pool, "b", "replace")
        assert (await first).model_id == "a"
        with pytest.raises(ModelUnavailable):
            await failing
        assert pool.current == "a"

    run_and_forget_failures(run, Fleet({"load_s": 3.0}, {"fail_load": "No."}, {}), test)


def test_sessions_have_models_of_their_own(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        assert await asyncio.gather(*(pool.acquire("b", report=ignore) for _ in range(3))) == ["b"] * 3
        assert (pool.current, pool.status()[1].sessions, len(fleet.workers)) == ("a", 3, 2)
        assert [await said(pool, job, m) for m in ("a", "b")] == ["x@1", "x@2"]
        await pool.load("c", mode="replace", report=ignore)
        assert [await said(pool, job, m) for m in ("a", "b", "c")] == ["x@3", "x@2", "x@3"]
        with pytest.raises(ModelUnavailable, match="in use by sessions"):
            await pool.unload("b")
        for _ in range(3):
            pool.release("b")
        await asyncio.sleep(9)
        assert pool.serves("b")
        await asyncio.sleep(2)
        assert (pool.serves("b"), fleet.alive) == (False, [3])

    run(fleet, test, keep_alive=10.0)


def test_the_current_model_stays_for_those_who_chose_it(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        await pool.acquire("a", report=ignore)
        await pool.load("b", mode="replace", report=ignore)
        assert [await said(pool, job, m) for m in ("a", "b")] == ["x@1", "x@2"]
        await pool.load("a", mode="beside", report=ignore)
        await asyncio.sleep(1)
        assert (pool.current, fleet.alive, len(fleet.workers)) == ("a", [1], 2)
        pool.release("a")
        await asyncio.sleep(60)
        assert pool.current == "a"

    run(fleet, test, keep_alive=10.0)


def test_the_model_left_longest_ago_makes_room(run: Callable[..., None]) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        await pool.acquire("b", report=ignore)
        with pytest.raises(ModelUnavailable, match="As many models"):
            await pool.acquire("c", report=ignore)
        pool.release("b")
        await pool.acquire("c", report=ignore)
        assert [status.model_id for status in pool.status()] == ["a", "c"]
        pool.release("c")

    run(fleet, test, max_chosen_models=1)


def test_a_choice_that_fails_is_no_choice(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        with pytest.raises(ModelUnavailable, match=r"No\."):
            await pool.acquire("b", report=ignore)
        with pytest.raises(UnknownModel):
            await pool.acquire("nobody", report=ignore)
        assert (pool.current, pool.status()[1].sessions, pool.status()[1].state) == ("a", 0, "failed")

    run_and_forget_failures(run, Fleet({}, {"fail_load": "No."}), test)


def test_a_wish_does_not_give_up_a_load_that_a_session_wants(run: Callable[..., None]) -> None:
    fleet = Fleet({}, {"load_s": 3.0})

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        wish = asyncio.create_task(pool.load("b", mode="beside", report=ignore))
        choice = asyncio.create_task(pool.acquire("b", report=ignore))
        await asyncio.sleep(0.5)
        assert [s.state for s in pool.status()] == ["serving", "loading"]
        await pool.load("c", mode="beside", report=ignore)
        with pytest.raises(Superseded):
            await wish
        assert (await choice, pool.current) == ("b", "c")
        pool.release("b")

    run(fleet, test)


def test_an_unload_leaves_a_newer_wish_alone(run: Callable[..., None]) -> None:
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await load(pool, "a")
        wish = load(pool, "remote")
        await asyncio.sleep(0.5)
        await pool.unload("a")
        assert (await wish).model_id == "remote"
        assert (pool.current, fleet.alive) == ("remote", [2])

    run(fleet, test)


def test_an_old_model_that_drains_ends_whatever_becomes_of_its_successor(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet({"decode_s": 5.0}, {}, {})

    async def test(pool: LocalPool) -> None:
        await load(pool, "a")
        batch = asyncio.create_task(said(pool, job))
        await asyncio.sleep(0.1)
        replacing = load(pool, "b", "replace")
        await asyncio.sleep(1)
        await load(pool, "c")
        assert await batch == "x@1"
        assert (await replacing).model_id == "b"
        await asyncio.sleep(60)
        assert ([s.model_id for s in pool.status()], len(fleet.alive)) == (["c"], 1)

    run(fleet, test)


def test_a_model_that_just_expires_is_loaded_anew_for_who_chooses_it(run: Callable[..., None]) -> None:
    async def test(pool: LocalPool) -> None:
        await load(pool, "a")
        await pool.acquire("b", report=ignore)
        pool.release("b")
        await asyncio.sleep(10)
        choosing = asyncio.create_task(pool.acquire("b", report=ignore))
        pool._expire()  # as when the timer comes before the task has begun
        assert await choosing == "b"
        await asyncio.sleep(60)
        assert pool.serves("b")
        pool.release("b")

    run(Fleet(), test, keep_alive=10.0)


def test_two_choices_at_a_time_each_find_a_place(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet(*[{"decode_s": 5.0}] * 3)

    async def test(pool: LocalPool) -> None:
        await load(pool, "remote")
        for model_id in ("a", "b"):
            await pool.acquire(model_id, report=ignore)
        batches = [asyncio.create_task(said(pool, job, model_id)) for model_id in ("a", "b")]
        await asyncio.sleep(0.1)
        for model_id in ("a", "b"):
            pool.release(model_id)
        chosen = await asyncio.gather(*(pool.acquire(m, report=ignore) for m in ("c", "d")))
        assert chosen == ["c", "d"]
        assert sorted(await asyncio.gather(*batches)) == ["x@2", "x@3"]
        for model_id in chosen:
            pool.release(model_id)

    run(fleet, test, max_chosen_models=2)


def test_batches_of_a_model_given_up_while_it_makes_way_wait_for_the_next(run: Callable[..., None], job: Build) -> None:
    fleet = Fleet(*[{"load_s": 0.1, "dies_after": 0}] * 5, {"load_s": 3.0})

    async def test(pool: LocalPool) -> None:
        await load(pool, "a")
        batch = asyncio.create_task(pool.decode("a", [job(b"x", "1"), job(b"y", "2"), job(b"z", "3")]))
        await asyncio.sleep(0.2)
        await load(pool, "b", "replace")
        results = await batch
        assert [(r.text, r.model_id, r.error_code) for r in results] == [(f"{x}@6", "b", "") for x in "xyz"]

    run(fleet, test)


def test_an_entry_edited_while_its_model_loads_is_the_one_that_serves(
    run: Callable[..., None], spec: Callable[..., ModelSpec]
) -> None:
    async def test(pool: LocalPool) -> None:
        first = load(pool, "a")
        await asyncio.sleep(0.5)
        pool.registry = Models(spec("a", beam=2))
        assert (await pool.load("a", mode="beside", report=ignore)).state == "serving"
        assert (await first).state == "serving"
        served = pool.spec("a")
        assert served is not None
        assert served.beam == 2

    run(Fleet(), test)


@pytest.mark.integration
def test_room_is_not_made_by_ending_the_current_model(
    spec: Callable[..., ModelSpec], job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet()
    monkeypatch.setattr(memory, "measure_room", lambda **_: memory.Room(host_bytes=1 << 40))
    monkeypatch.setattr(memory, "refuse", lambda *_, **__: "It does not fit." if fleet.alive else "")

    async def main() -> None:
        pool = LocalPool(
            Models(spec("a", "faster_whisper"), spec("b", "faster_whisper")), loader_of(fleet), on_change=lambda: None
        )
        await pool.load("a", mode="beside", report=ignore)
        pool.release(await pool.acquire("a", report=ignore))
        with pytest.raises(ModelUnavailable, match=r'fit\. Load it with mode "replace"'):
            await pool.load("b", mode="beside", report=ignore)
        assert pool.current == "a"
        assert await said(pool, job) == "x@1"
        await pool.close()

    asyncio.run(main())


def test_models_that_serve_beside_each_other_share_the_cores(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotmic.worker.loader.count_cores", lambda: 8)
    fleet = Fleet()

    async def test(pool: LocalPool) -> None:
        await pool.load("a", mode="beside", report=ignore)
        await pool.load("b", mode="beside", report=ignore)
        for model_id in ("c", "d"):
            await pool.acquire(model_id, report=ignore)
        await pool.load("a", mode="replace", report=ignore)
        assert [worker.threads for worker in fleet.workers] == [8, 8, 4, 2, 2]
        await pool.unload("a")
        for model_id in ("c", "d"):
            pool.release(model_id)
        await asyncio.sleep(1000)
        await pool.load("b", mode="beside", report=ignore)
        assert fleet.workers[-1].threads == 8

    run(fleet, test)
