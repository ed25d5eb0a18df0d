"""Workers that are killed, that hang and that die again and again, while people speak: every number once."""

import asyncio
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reliability_support import Figures, both, health, percentile, run, send_signal, until, workers, write_registry
from running import RunningDaemon, calling, running_daemon
from speaking import Voice, voices, wrong

pytestmark = pytest.mark.integration

SPEAKERS = 4


class Faults(NamedTuple):
    """How often something happens to the worker."""

    count: int


async def talk_until(speakers: list[Voice], over: asyncio.Event) -> None:
    """Speak in real time, with pauses, until something is over; then wait for the last finals."""

    async def one(voice: Voice) -> None:
        while not over.is_set():
            await voice.talk(10 * (1 + voice.number), burst=7 * (1 + voice.number))
        await voice.end()

    await asyncio.gather(*(one(voice) for voice in speakers))


async def replaced(daemon: RunningDaemon, old: list[int]) -> None:
    """Wait until none of these workers lives and another does."""
    await until(lambda: workers(daemon) and not set(workers(daemon)) & set(old), what="a new worker")


async def break_workers(daemon: RunningDaemon, speakers: list[Voice], count: int, number: signal.Signals) -> Any:
    """Do the same to ``count`` workers; return the seconds to the successor of each and to the next text."""
    loop = asyncio.get_running_loop()
    detected: list[float] = []
    recovered: list[float] = []
    await speakers[0].text()
    for _ in range(count):
        await until(lambda: bool(workers(daemon)), what="a worker")
        old, began = workers(daemon), loop.time()
        send_signal(old, number)
        await replaced(daemon, old)
        detected.append(loop.time() - began)
        recovered.append(await _any_text(speakers) - began)
    return detected, recovered


async def _any_text(speakers: list[Voice]) -> float:
    waiting = [asyncio.create_task(voice.text()) for voice in speakers]
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return min(task.result() for task in done)


async def disturb(daemon: RunningDaemon, count: int, number: signal.Signals) -> tuple[list[float], list[float]]:
    over = asyncio.Event()
    async with voices(daemon.audio, range(SPEAKERS)) as speakers:
        talking = asyncio.create_task(talk_until(speakers, over))
        try:
            figures: tuple[list[float], list[float]] = await break_workers(daemon, speakers, count, number)
        finally:
            over.set()
        await talking
        assert wrong(speakers) == {}
    (model,) = (await health(daemon))["models"]
    assert model["restarts"] == count
    assert model["state"] == "serving"
    return figures


@pytest.mark.parametrize("faults", both(Faults(20), Faults(200)))
def test_killed_workers(tmp_path: Path, figures: Figures, faults: Faults) -> None:
    models = write_registry(tmp_path, "echo: options: {decode_s: 0.01}")
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        _, recovered = run(disturb(daemon, faults.count, signal.SIGKILL))
    figures.note(kills=faults.count, recovery_s={"p50": percentile(recovered, 0.5), "p95": percentile(recovered, 0.95)})


@pytest.mark.parametrize("faults", both(Faults(5), Faults(50)))
def test_stopped_workers(tmp_path: Path, figures: Figures, faults: Faults) -> None:
    models = write_registry(tmp_path, "echo: options: {decode_s: 0.01}")
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        detected, recovered = run(disturb(daemon, faults.count, signal.SIGSTOP))
    figures.note(
        hangs=faults.count,
        detection_s={"p50": percentile(detected, 0.5), "max": percentile(detected, 1)},
        recovery_s={"p50": percentile(recovered, 0.5), "p95": percentile(recovered, 0.95)},
    )


@pytest.mark.parametrize("faults", both(Faults(1), Faults(20)))
def test_crash_loops(tmp_path: Path, figures: Figures, faults: Faults) -> None:
    """A worker that dies after every other job is slow and exact; it is not given up, because it gets work done."""
    models = write_registry(tmp_path, "echo: options: {crash_after_jobs: 2}")
    restarts = []

    async def loop_of_crashes(daemon: RunningDaemon) -> None:
        async with voices(daemon.audio, range(2)) as speakers:
            await asyncio.gather(*(voice.talk(81) for voice in speakers))
            await asyncio.gather(*(voice.end() for voice in speakers))
            assert wrong(speakers) == {}
        (model,) = (await health(daemon))["models"]
        assert model["state"] == "serving"
        restarts.append(model["restarts"])

    for _ in range(faults.count):
        with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
            run(loop_of_crashes(daemon))
    assert min(restarts) >= 1
    figures.note(loops=faults.count, restarts=restarts)


@pytest.mark.parametrize("faults", both(Faults(1), Faults(20)))
def test_workers_that_die_at_birth(tmp_path: Path, figures: Figures, faults: Faults) -> None:
    """The model is given up and says why; whoever spoke is told which audio has no text; another model takes over."""
    models = write_registry(tmp_path, "echo-a", "echo-b")
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        for _ in range(faults.count):
            run(give_up(daemon))
    figures.note(given_up=faults.count)


async def give_up(daemon: RunningDaemon) -> None:
    async with calling(daemon.control) as control, Voice(daemon.audio, 1) as voice:
        await control.say(type="load_model", model_id="echo-a", request_id="a")
        await control.hear("model_loaded", request_id="a")
        talking = asyncio.create_task(voice.talk(100))
        await voice.text()

        async def state() -> str:
            return str((await health(daemon))["models"][0]["state"])

        while await state() != "unavailable":
            send_signal(workers(daemon), signal.SIGKILL)
            await asyncio.sleep(0.02)
        assert "died again and again" in (await health(daemon))["models"][0]["reason"]
        await talking
        await voice.end()
        covered = {number for error in voice.errors for number in _numbers_in(voice, error)}
        assert {error["code"] for error in voice.errors} <= {"model_unavailable"}
        assert sorted(voice.heard) == sorted(set(voice.heard)), "said twice"
        assert set(range(voice.said)) == set(voice.heard) | covered
    async with calling(daemon.control) as control, Voice(daemon.audio, 2) as voice:
        await control.say(type="load_model", model_id="echo-b", request_id="b")
        await control.hear("model_loaded", request_id="b")
        await voice.talk(81, pace=0.02)
        await voice.end()
        assert wrong([voice]) == {}
        assert {final["model"] for final in voice.finals} == {"echo-b"}


def _numbers_in(voice: Voice, error: dict[str, Any]) -> range:
    """Return the numbers in the audio of a segment that failed: one chunk in 30 + 21 is silence."""
    positions = range(int(error["start"] * 10), int(error["end"] * 10) + 1)
    spoken = [index for index in range(100) if index % 51 < 30]
    inside = [number for number, index in enumerate(spoken) if index in positions]
    return range(inside[0], inside[-1] + 1) if inside else range(0)
