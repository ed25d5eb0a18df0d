"""Models swapped and loads that fail while many speak: nothing lost, nothing twice, the old model serves on."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from reliability_support import Figures, both, percentile, run, until, write_registry
from running import Caller, RunningDaemon, calling, running_daemon
from speaking import Voice, voices, wrong

pytestmark = pytest.mark.integration

SPEAKERS = 20
FAILING = {
    "broken": "The weights are no weights.",
    "unknown-option": "has no option",
}


class Swaps(NamedTuple):
    """How many swaps, and how many loads that fail."""

    swaps: int
    failures: int


SAME = ("echo-a: options: {decode_s: 0.002}", "echo-b: options: {decode_s: 0.002}")
DIFFERENT = (
    "echo-a: options: {decode_s: 0.002}, max_window_s: 28",
    "echo-b: options: {decode_s: 0.004, batch_s: 0.01}, max_window_s: 5",
)


async def keep_talking(voice: Voice, over: asyncio.Event) -> None:
    """Speak without a pause, or with, until something is over."""
    burst, pause = 15, 20 + voice.number % 7
    while not over.is_set():
        await voice.talk(burst + pause, pace=0.05, burst=0 if voice.number % 4 == 0 else burst, pause=pause)
    await voice.talk(20, pace=0.05, burst=0)
    await voice.end()


async def swap(control: Caller, target: str, number: int) -> float:
    """Load a model; return the seconds it took."""
    began = asyncio.get_running_loop().time()
    await control.say(type="load_model", model_id=target, request_id=number)
    answer = await control.hear("model_loaded", request_id=number, limit=60)
    assert (answer["model_id"], answer["status"]) == (target, "success")
    return asyncio.get_running_loop().time() - began


async def swap_under_speech(daemon: RunningDaemon, count: int) -> tuple[list[float], list[Voice]]:
    over = asyncio.Event()
    async with calling(daemon.control) as control, voices(daemon.audio, range(SPEAKERS)) as speakers:
        talking = [asyncio.create_task(keep_talking(voice, over)) for voice in speakers]
        await asyncio.gather(*(voice.text() for voice in speakers))
        seconds = []
        for number in range(count):
            target = ("echo-b", "echo-a")[number % 2]
            seconds.append(await swap(control, target, number))
            await until(lambda t=target: t in {v.finals[-1]["model"] for v in speakers if v.finals}, what=target)
        over.set()
        await asyncio.gather(*talking)
    return seconds, speakers


@pytest.mark.parametrize("size", both(Swaps(20, 0), Swaps(500, 0)))
@pytest.mark.parametrize("entries", [SAME, DIFFERENT], ids=["same-weights", "different-weights"])
def test_swaps(tmp_path: Path, figures: Figures, entries: tuple[str, ...], size: Swaps) -> None:
    with running_daemon(tmp_path, "--models", write_registry(tmp_path, *entries), "--vad", "seed") as daemon:
        seconds, speakers = run(swap_under_speech(daemon, size.swaps))
    assert wrong(speakers) == {}
    assert {final["model"] for voice in speakers for final in voice.finals} == {"echo-a", "echo-b"}
    chunks = sum(voice.said for voice in speakers)
    figures.note(
        swaps=size.swaps, chunks=chunks, swap_s={"p50": percentile(seconds, 0.5), "p95": percentile(seconds, 0.95)}
    )


@pytest.mark.parametrize("size", both(Swaps(0, 5), Swaps(0, 20)))
def test_failing_loads(tmp_path: Path, figures: Figures, size: Swaps) -> None:
    entries = (
        "echo-a",
        "broken: options: {fail_load: The weights are no weights.}",
        "unknown-option: options: {speed: 3}",
    )
    kinds = [entry.partition(":")[0] for entry in entries[1:]]

    async def main(daemon: RunningDaemon) -> list[Voice]:
        over = asyncio.Event()
        async with calling(daemon.control) as control, voices(daemon.audio, range(SPEAKERS)) as speakers:
            talking = [asyncio.create_task(keep_talking(voice, over)) for voice in speakers]
            await asyncio.gather(*(voice.text() for voice in speakers))
            for number in range(size.failures):
                target = kinds[number % len(kinds)]
                await control.say(type="load_model", model_id=target, request_id=number)
                error = await control.hear("error", request_id=number, limit=60)
                assert (error["code"], error["model_id"]) == ("model_unavailable", target)
                assert FAILING[target] in error["message"]
            over.set()
            await asyncio.gather(*talking)
        return speakers

    with running_daemon(tmp_path, "--models", write_registry(tmp_path, *entries), "--vad", "seed") as daemon:
        speakers = run(main(daemon))
    assert wrong(speakers) == {}
    assert {final["model"] for voice in speakers for final in voice.finals} == {"echo-a"}
    figures.note(failing_loads=size.failures, chunks=sum(voice.said for voice in speakers))
