"""The bundled model swapped and killed while four voices speak: the very text of an undisturbed run."""

import asyncio
import itertools
import signal
import wave
from pathlib import Path
from typing import NamedTuple

import pytest

from reliability_support import Figures, both, health, run, send_signal, workers
from running import CLIPS, Caller, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

ENTRY = """\
  - id: {id}
    name: {id}
    type: faster_whisper
    source: {{bundled: demo-en}}
    languages: [en]
    compute_type: int8
    min_window_s: 1
    max_window_s: 7
    no_speech_threshold: 0.3
    beam: 3
"""
VOICES = {
    "latte": ("order_latte", "timer", "phone_number"),
    "lights": ("lights_kitchen", "flight", "lights_off"),
    "meeting": ("three_sentences", "meeting_move", "meeting_monday"),
    "digits": ("digits_five", "reminder", "order_coffee"),
}
GAP = bytes(2 * 12_800)
"""0.8 s between two clips: enough to end a segment."""
CHUNK = 3200


class Disturbance(NamedTuple):
    """What happens while they speak."""

    swaps: int
    kills: int


def registry(folder: Path) -> str:
    """Write a models.yaml with two ids of the same weights."""
    path = folder / "models.yaml"
    path.write_text("default: demo-a\nmodels:\n" + ENTRY.format(id="demo-a") + ENTRY.format(id="demo-b"))
    return str(path)


def pcm(name: str) -> bytes:
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        assert file.getframerate() == 16_000
        return file.readframes(file.getnframes())


def audio_of(clips: tuple[str, ...]) -> list[bytes]:
    whole = b"".join(pcm(name) + GAP for name in clips)
    return [whole[begin : begin + CHUNK] for begin in range(0, len(whole), CHUNK)]


class Speech:
    """One voice on one connection, one recording after the other."""

    def __init__(self, caller: Caller, chunks: list[bytes]) -> None:
        self._caller, self._chunks = caller, chunks

    async def say(self, *, pace: float) -> list[str]:
        """Speak everything once; return the finals."""
        loop = asyncio.get_running_loop()
        start, self._caller.heard = loop.time(), []
        for number, chunk in enumerate(self._chunks):
            await self._caller.socket.send(chunk)
            await asyncio.sleep(max(0.0, start + (number + 1) * pace - loop.time()))
        await self._caller.say(type="audio_end")
        await self._caller.hear("recording_stopped", limit=120)
        assert not [message for message in self._caller.heard if message["type"] == "error"]
        return [message["text"] for message in self._caller.heard if message["type"] == "final_transcription"]


async def undisturbed(daemon: RunningDaemon) -> dict[str, list[str]]:
    async def one(name: str, clips: tuple[str, ...]) -> tuple[str, list[str]]:
        async with calling(f"{daemon.audio}?channel={name}") as caller:
            await caller.say(type="configure")
            return name, await Speech(caller, audio_of(clips)).say(pace=0.05)

    return dict(await asyncio.gather(*(one(name, clips) for name, clips in VOICES.items())))


async def disturbed(daemon: RunningDaemon, disturbance: Disturbance) -> dict[str, list[list[str]]]:
    """Speak the same again and again in real time until the disturbances are over; return what each time gave."""
    over = asyncio.Event()

    async def one(name: str, clips: tuple[str, ...]) -> tuple[str, list[list[str]]]:
        async with calling(f"{daemon.audio}?channel={name}") as caller:
            await caller.say(type="configure")
            speech, said = Speech(caller, audio_of(clips)), []
            while not over.is_set():
                said.append(await speech.say(pace=0.1))
            return name, said

    async def trouble() -> None:
        try:
            async with calling(daemon.control) as control:
                for number in range(disturbance.swaps):
                    await control.say(type="load_model", model_id=("demo-b", "demo-a")[number % 2], request_id=number)
                    await control.hear("model_loaded", request_id=number, limit=60)
                for _ in range(disturbance.kills):
                    await asyncio.sleep(2)
                    send_signal(workers(daemon), signal.SIGKILL)
        finally:
            over.set()

    said, _ = await asyncio.gather(asyncio.gather(*(one(name, clips) for name, clips in VOICES.items())), trouble())
    return dict(said)


@pytest.mark.parametrize(
    "disturbance",
    both(Disturbance(swaps=6, kills=4), Disturbance(swaps=200, kills=50)),
)
def test_swaps_and_kills(tmp_path: Path, figures: Figures, disturbance: Disturbance) -> None:
    with running_daemon(tmp_path, "--models", registry(tmp_path)) as daemon:
        expected = run(undisturbed(daemon))
        assert len(list(itertools.chain(*expected.values()))) >= 12
        said = run(disturbed(daemon, disturbance))
        for name, rounds in said.items():
            for finals in rounds:
                assert finals == expected[name]
        status = run(health(daemon))
        states = {model["model_id"]: model["state"] for model in status["models"]}
        assert states[status["current_model"]] == "serving"
        assert sum(model["restarts"] for model in status["models"]) == disturbance.kills
        log = daemon.log.read_text()
    assert "job_quarantined" not in log
    assert "model_unavailable" not in log
    assert log.count("worker_restarts") == disturbance.kills
    figures.note(
        swaps=disturbance.swaps,
        kills=disturbance.kills,
        finals=sum(len(finals) for rounds in said.values() for finals in rounds),
    )
