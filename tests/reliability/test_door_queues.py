"""Who reads nothing, at every port and path and behind nginx: cut, nothing of it left, and nobody else feels it."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from door_support import Deaf, Door, descriptors, direct, entering, nothing_left, proxied
from fault_runner import REGISTRY
from hotmic.dialects.dialect import Frame
from hotmic.engines import echo
from hotmic.values import SAMPLE_RATE
from nginx_support import HOST
from reliability_support import Figures, health, run, series
from running import RunningDaemon, start_daemon
from speaking import Voice, wrong
from tongue import AudioTongue, Tongue

pytestmark = pytest.mark.integration

LOUD = 39_999
"""The speaker of whom the planted daemon tells texts of 60 KB."""
PAUSE = np.zeros(SAMPLE_RATE // 2, np.int16)
MOST = 40
"""Utterances after which one that reads nothing must have been cut."""
LIMITS = {
    "HOTMIC_ALLOWED_HOSTS": HOST,
    "HOTMIC_AUTH": "none",
    "HOTMIC_SLOW_CLIENT_S": "1",
    "HOTMIC_MAX_COMMANDS_PER_S": "0",
    "HOTMIC_MAX_AUDIO_SPEED": "0",
    "HOTMIC_SESSION_TTL_S": "1",
    "HOTMIC_MIN_SILENCE_MS": "300",
    "HOTMIC_PARTIAL_CADENCE_MS": "10000",
    "HOTMIC_PARTIAL_CADENCE_MAX_MS": "10000",
    "HOTMIC_OUTBOX_BYTES": str(8 << 20),
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    (tmp_path / "models.yaml").write_text(REGISTRY)
    flags = ("--models", str(tmp_path / "models.yaml"), "--vad", "energy")
    running = start_daemon(tmp_path, *flags, env=LIMITS, plant="wordy")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def utterance(tongue: Tongue, number: int) -> list[Frame]:
    words = [echo.chunk(10 * number + place, speaker=LOUD) for place in range(4)]
    return [*tongue.greet(), *map(tongue.chunk, words), *tongue.sound(PAUSE), *tongue.end()]


async def be_deaf(daemon: RunningDaemon, door: Door, deaf: Deaf, everybody: int) -> int:
    """Say something, or let it be said in the channel, until all who read nothing are cut; return how often."""
    tongue = door.tongue()
    async with contextlib.AsyncExitStack() as stack:
        if tongue is None:
            source = Door(daemon.audio, "audio")
            speaker = await stack.enter_async_context(entering(source, f"?channel={door.name}", max_queue=None))
        for number in range(MOST):
            for frame in utterance(tongue or AudioTongue(door.name), number):
                if tongue is None:
                    await speaker.send(frame)
                else:
                    try:
                        await asyncio.to_thread(deaf.say, frame)
                    except OSError:
                        return number
            await asyncio.sleep(0.4)
            if await series(daemon, "hotmic_slow_clients_total") >= everybody:
                return number
    raise AssertionError(f"{door.name} was not cut")


def test_who_reads_nothing_is_cut(daemon: RunningDaemon, tmp_path: Path, figures: Figures) -> None:
    async def main(doors: list[Door], stack: contextlib.ExitStack) -> list[tuple[int, int]]:
        await health(daemon)
        files = descriptors(daemon)
        async with Voice(daemon.audio, 1) as voice:
            await voice.talk(5, pace=0.0, burst=-1, pause=2)
            deaf = await asyncio.gather(*(asyncio.to_thread(Deaf, door) for door in doors))
            for each in deaf:
                stack.callback(each.close)
            every = zip(doors, deaf, strict=True)
            await asyncio.gather(
                voice.talk(70, pace=0.05, burst=6, pause=8), *(be_deaf(daemon, *each, len(doors)) for each in every)
            )
            await voice.end()
        assert wrong([voice]) == {}
        await nothing_left(daemon, files)  # while they hold their ends open
        assert await series(daemon, "hotmic_slow_clients_total") == len(doors)
        return list(await asyncio.gather(*(asyncio.to_thread(each.read) for each in deaf)))

    with proxied(daemon, tmp_path / "nginx") as behind, contextlib.ExitStack() as stack:
        before = direct(daemon)
        passed = run(main([*before, *behind], stack))
    assert {code for _, code in passed} <= {1006, 1013}
    most = [max(size for size, _ in part) for part in (passed[: len(before)], passed[len(before) :])]
    figures.note(doors=len(passed), passed_kb={"direct": most[0] // 1000, "nginx": most[1] // 1000})
