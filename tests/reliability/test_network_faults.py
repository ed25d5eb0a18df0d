"""Every fault of the network on either socket, weak and strong, against one daemon.

A client that numbers its chunks loses nothing, also where its session is gone before it comes back; one that does not
ends with all of its text or with an error. Nothing hangs, and the daemon holds nothing afterwards.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_case import STRENGTHS, Case
from fault_proxy import fault_proxy
from fault_runner import HANG, REGISTRY, History, Speaker, disturb
from fault_schedule import Step, Where
from history import check
from hotmic_client import ClientError
from hotmic_speech import Speech
from running import RunningDaemon, calling, start_daemon

pytestmark = pytest.mark.integration

PLACES: tuple[Where, ...] = ("control", "audio", "both")
LANES = 40
COUNT = 30
PACE = 0.1


def cases(turn: int) -> Iterator[Case]:
    """Yield 80 cases; another turn draws others."""
    rng = random.Random(turn)
    number = 0
    for kind, bands in STRENGTHS.items():
        for low, high in bands:
            for where in PLACES:
                number += 1
                yield Case(number, kind, where, rng.uniform(low, high), rng.uniform(0.2, 2.0))
        number += 1
        low, high = rng.choice(bands)
        yield Case(number, kind, "both", rng.uniform(low, high), rng.uniform(0.2, 2.0), is_numbered=False)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningDaemon]:
    monkeypatch.setenv("HOTMIC_SESSION_TTL_S", "1")
    models = tmp_path / "models.yaml"
    models.write_text(REGISTRY)
    running = start_daemon(tmp_path, "--models", str(models), "--vad", "webrtc")
    try:
        yield running
    finally:
        assert running.stop() == 0


async def judge(case: Case, daemon: RunningDaemon, lanes: asyncio.Semaphore) -> str:
    """Return what is wrong with a case, as text; empty where nothing is."""
    history = History()
    async with lanes:
        try:
            async with asyncio.timeout(HANG):
                await converse(case, daemon, history)
        except TimeoutError:
            return f"{case}: hung"
        except ClientError as error:
            if case.is_numbered:
                return f"{case}: {error.code}: {error}"
            # It could not come back, and was told so.
            violations = [violation for violation in check(history.entries) if violation.kind != "lost"]
        else:
            violations = check(history.entries)
    return "\n  ".join([str(case), *map(str, violations)]) if violations else ""


async def converse(case: Case, daemon: RunningDaemon, history: History) -> None:
    async with fault_proxy(daemon.control) as (controls, control), fault_proxy(daemon.audio) as (audios, audio):
        reached = {"control": [controls], "audio": [audios], "both": [controls, audios]}[case.where]
        channel = f"c{case.number}"
        patience = 60.0 if case.is_numbered else 0.0
        speaker = Speaker("speaker", case.number, history, control, audio, channel=channel, patience=patience)

        async def strike(step: Step) -> None:
            await asyncio.sleep(step.at)
            await disturb(reached, step)

        async with speaker:
            striking = asyncio.gather(*(strike(step) for step in case.steps()))
            listening = asyncio.create_task(speaker.listen())
            try:
                await speak(speaker)
                await listening
            finally:
                listening.cancel()
                striking.cancel()
                await asyncio.gather(listening, striking, return_exceptions=True)


async def speak(speaker: Speaker) -> None:
    for number in range(COUNT):
        await speaker.say()
        await asyncio.sleep(PACE)
        if number == COUNT // 2:
            await speaker.pause()
    await speaker.end_audio()


async def judge_all(daemon: RunningDaemon, turn: int) -> list[str]:
    lanes = asyncio.Semaphore(LANES)
    found = await asyncio.gather(*(judge(case, daemon, lanes) for case in cases(turn)))
    async with calling(daemon.control) as caller, asyncio.timeout(HANG):
        sessions = -1
        while sessions:
            await caller.say(type="get_status")
            sessions = (await caller.hear("status"))["sessions"]
    return [text for text in found if text]


def test_eighty_faults_cost_no_word(daemon: RunningDaemon) -> None:
    assert not (failures := asyncio.run(judge_all(daemon, 0))), "\n".join(["", *failures])


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(1, 26))
def test_two_thousand_faults_cost_no_word(daemon: RunningDaemon, turn: int) -> None:
    assert not (failures := asyncio.run(judge_all(daemon, turn))), "\n".join(["", *failures])


def test_a_client_that_forgets_what_it_said_is_found(daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speech, "frames", lambda self, *, begin: [])
    case = Case(1, "blackhole", "audio", 0.5, 0.5)
    found = asyncio.run(judge(case, daemon, asyncio.Semaphore(1)))
    assert found.startswith(f"{case}\n  lost (speaker)")


def test_a_turn_has_eighty_cases_with_every_fault_on_every_socket() -> None:
    drawn = list(cases(0))
    assert len(drawn) == 80
    assert drawn == list(cases(0)) != list(cases(1))
    assert {(case.kind, case.where) for case in drawn} == {(kind, where) for kind in STRENGTHS for where in PLACES}
    assert {case.kind for case in drawn if not case.is_numbered} == set(STRENGTHS)
