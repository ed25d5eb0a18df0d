"""The pool with real worker processes: killed, frozen, switched."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hotmic.config.model import Bundled, ModelSpec
from hotmic.engines import echo
from hotmic.values import DecodeJob, LoadProgress
from hotmic.worker.loader import Loader
from hotmic.worker.pool import LocalPool
from hotmic.worker.process import WorkerProcess

pytestmark = pytest.mark.integration
MODELS = Path(__file__).parents[2] / "server" / "hotmic" / "models"


def spec(model_id: str, model_type: str = "echo", **options: Any) -> ModelSpec:
    return ModelSpec(
        id=model_id,
        name=model_id,
        type=model_type,  # type: ignore[arg-type]
        source=Bundled(name="demo-en"),
        languages=("en",),
        min_window_s=1.0,
        options=options,
    )


SPECS = {
    s.id: s
    for s in (
        spec("quick"),
        spec("quick-2"),
        spec("slow", batch_s=0.3),
        spec("freezing", hang_after_jobs=3),
        spec("crashing", crash_after_jobs=3),
        spec("bomb", crash_on=666),
        spec("broken", fail_load="No weights."),
        spec("demo-en", "faster_whisper"),
    )
}


class Models:
    def get(self, model_id: str) -> ModelSpec:
        return SPECS[model_id]


def ignore(_: LoadProgress) -> None:
    pass


def job(first: int, count: int = 5) -> DecodeJob:
    return DecodeJob(
        job_id=f"j{first}",
        session_id="s",
        segment_id="g",
        kind="final",
        samples=echo.speech(count, first=first).tobytes(),
        start=0,
        deadline=0.0,
    )


def text(first: int, count: int = 5) -> str:
    return " ".join(str(first + i) for i in range(count))


def run(test: Callable[[LocalPool], Awaitable[None]], **timeouts: float) -> None:
    async def fetch(_: ModelSpec, __: Callable[[LoadProgress], None]) -> Path:
        return MODELS / "demo-en"

    async def main() -> None:
        workers: list[WorkerProcess] = []

        def build() -> WorkerProcess:
            workers.append(WorkerProcess(**timeouts))
            return workers[-1]

        loader = Loader(
            device="auto",
            compute_type="auto",
            threads=0,
            batch_size=8,
            num_workers=1,
            gpu_memory_fraction=0.8,
            fetch=fetch,
            build_worker=build,
        )
        pool = LocalPool(Models(), loader, on_change=lambda: None)
        async with asyncio.timeout(60):
            try:
                await test(pool)
            finally:
                await pool.close()
        for worker in workers:
            assert worker.is_dead
            with pytest.raises(ProcessLookupError):
                os.kill(worker.pid, 0)

    asyncio.run(main())


async def speak(pool: LocalPool, count: int) -> None:
    """Decode windows one after the other; each must say exactly its own numbers."""
    for first in range(0, 10 * count, 10):
        (result,) = await pool.decode("", [job(first)])
        assert result.text == text(first)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_workers_lose_nothing() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("quick", mode="beside", report=ignore)
        speaking = [asyncio.create_task(speak(pool, 150)) for _ in range(4)]
        kills = 0
        while not all(task.done() for task in speaking) and kills < 5:
            await asyncio.sleep(0.05)
            if pid := pool.status()[0].pid:
                os.kill(pid, signal.SIGKILL)
                kills += 1
                await asyncio.sleep(0.5)
        await asyncio.gather(*speaking)
        assert kills
        assert pool.status()[0].restarts == kills

    run(test)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_frozen_workers_lose_nothing() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("freezing", mode="beside", report=ignore)
        await speak(pool, 8)
        assert pool.status()[0].restarts == 2

    run(test, heartbeat_timeout=1.0)


def test_crashing_workers_lose_nothing() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("crashing", mode="beside", report=ignore)
        await speak(pool, 10)
        assert pool.status()[0].restarts == 3

    run(test)


def test_a_deadly_window_is_left_out_and_nothing_else() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("bomb", mode="beside", report=ignore)
        results = await pool.decode("bomb", [job(0), job(664), job(100)])
        assert [r.text for r in results] == [text(0), "", text(100)]
        assert results[1].error_code == "engine_failed"
        assert pool.status()[0].state == "serving"

    run(test)


def test_switching_under_load_loses_nothing() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("slow", mode="beside", report=ignore)
        speaking = [asyncio.create_task(speak(pool, 60)) for _ in range(3)]
        for model_id in ("quick", "quick-2", "quick"):
            await pool.load(model_id, mode="beside", report=ignore)
            await asyncio.sleep(0.05)
        await pool.load("quick-2", mode="replace", report=ignore)
        await asyncio.gather(*speaking)
        assert pool.current == "quick-2"

    run(test)


def test_a_broken_model_leaves_the_old_one() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("quick", mode="beside", report=ignore)
        before = pool.status()[0].pid
        with pytest.raises(Exception, match="No weights"):
            await pool.load("broken", mode="beside", report=ignore)
        await speak(pool, 2)
        assert pool.status()[0].pid == before

    run(test)


def test_the_bundled_model_takes_over_from_echo() -> None:
    async def test(pool: LocalPool) -> None:
        await pool.load("quick", mode="beside", report=ignore)
        status = await pool.load("demo-en", mode="beside", report=ignore)
        assert (status.state, status.device, status.compute_type) == ("serving", "cpu", "int8")
        assert status.reason.startswith("CPU in use")
        assert pool.capabilities("demo-en").languages == ("en",)

    run(test)
