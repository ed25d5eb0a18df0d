"""All protocols and files posted at once, with the bundled model: right words for each, and nothing left over."""

import asyncio
import contextlib
import json
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from hotmic.dialects.negotiate import DIALECTS
from reliability_support import Figures, both, children, health, run
from running import CLIPS, RunningDaemon, calling, running_daemon
from tongue import TONGUES, Tongue

pytestmark = pytest.mark.integration

TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
EACH = 4
"""Clients of every protocol."""
PACE = 0.05
"""Seconds from one 100 ms chunk to the next: twice real time."""
HANG = 60.0


class Size(NamedTuple):
    """How often everybody comes, says something and goes."""

    rounds: int


def clip(name: str) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def say(daemon: RunningDaemon, tongue: Tongue, name: str) -> tuple[str, str]:
    """Say a clip on a connection of its own; return what was said and what was understood."""
    gateway = daemon.http.replace("http", "ws", 1)
    async with connect(f"{gateway}{tongue.target}", max_size=None) as socket:
        news = asyncio.Event()

        async def hear() -> None:
            async for frame in socket:
                tongue.hear(frame)
                news.set()

        hearing = asyncio.create_task(hear())
        for frame in tongue.greet():
            await socket.send(frame)
        for frame in tongue.sound(clip(name)):
            await socket.send(frame)
            await asyncio.sleep(PACE)
        for frame in tongue.end():
            await socket.send(frame)
        with contextlib.suppress(TimeoutError):  # then the text is not what was said
            async with asyncio.timeout(HANG):
                while not tongue.codes and not hearing.done() and not is_told(tongue, name):
                    news.clear()
                    await news.wait()
    await hearing
    assert tongue.codes == [], (tongue.dialect, tongue.codes)
    return TEXTS[name], tongue.text


def is_told(tongue: Tongue, name: str) -> bool:
    """Return whether a client knows that it was told everything; those that cannot know count words."""
    return tongue.is_over if tongue.ends else len(tongue.text.split()) >= len(TEXTS[name].split())


async def post(client: httpx.AsyncClient, name: str) -> tuple[str, str]:
    """Post a clip as a file; return what was said and what was understood."""
    file = {"file": (f"{name}.wav", (CLIPS / f"{name}.wav").read_bytes())}
    answer = await client.post("/v1/audio/transcriptions", files=file, data={"model": "whisper-1"})
    assert answer.status_code == 200, answer.text
    return TEXTS[name], answer.json()["text"]


async def listen(daemon: RunningDaemon, channel: str) -> str:
    """Return what a control client hears of somebody who speaks."""
    async with calling(f"{daemon.control}?channel={channel}") as control:
        await control.hear("recording_stopped", limit=HANG)
        return " ".join(m["text"] for m in control.heard if m["type"] == "final_transcription")


def descriptors(daemon: RunningDaemon) -> Counter[str]:
    """Return what the daemon has open; connections and pipes by their kind alone."""
    found: Counter[str] = Counter()
    for file in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[str(file.readlink()).partition(":[")[0]] += 1
    return found


async def come_and_go(daemon: RunningDaemon, names: Sequence[str], turn: int) -> list[str]:
    """Let everybody say a clip; return what was understood wrongly."""
    work, who = [], []
    for number, (kind, made) in enumerate((kind, made) for made in TONGUES.values() for kind in range(EACH)):
        tongue = made(f"{made.dialect.replace('_', '-')}-{kind}")
        name = names[(number + 7 * turn) % len(names)]
        who.append(f"round {turn}, {tongue.name}, {name}")
        work.append(say(daemon, tongue, name))
    listening = [listen(daemon, f"audio-{kind}") for kind in range(EACH)]
    async with httpx.AsyncClient(base_url=daemon.http, timeout=HANG) as client:
        for number in range(EACH):
            who.append(f"round {turn}, file {number}")
            work.append(post(client, names[(number + 5 * turn) % len(names)]))
        told, heard = await asyncio.gather(asyncio.gather(*work), asyncio.gather(*listening))
    wrong = [f"{place}: {text!r}" for place, (said, text) in zip(who, told, strict=True) if text != said]
    audio = [text for place, (_, text) in zip(who, told, strict=True) if "audio-" in place]
    return wrong + [
        f"control heard {text!r}, audio {own!r}" for text, own in zip(heard, audio, strict=True) if text != own
    ]


async def nothing_left(daemon: RunningDaemon, files: Counter[str], workers: list[int]) -> None:
    async with asyncio.timeout(HANG):
        while (await health(daemon))["sessions"]:
            await asyncio.sleep(0.05)
    left = Counter[str]()
    try:
        async with asyncio.timeout(HANG):
            while left := descriptors(daemon) - files:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"left open: {left}")
    assert children(daemon.process.pid) == workers


@pytest.mark.parametrize("size", both(Size(1), Size(40)))
def test_all_at_once(tmp_path: Path, figures: Figures, size: Size) -> None:
    names = list(TEXTS)

    async def main(daemon: RunningDaemon) -> None:
        await health(daemon)
        files, workers = descriptors(daemon), children(daemon.process.pid)
        for turn in range(size.rounds):
            assert await come_and_go(daemon, names, turn) == []
            await nothing_left(daemon, files, workers)

    env = {"HOTMIC_SESSION_TTL_S": "1"}  # simul waits for those who come back
    with running_daemon(tmp_path, env=env) as daemon:
        run(main(daemon))
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log.read_text()
    figures.note(rounds=size.rounds, utterances=size.rounds * EACH * (len(TONGUES) + 1), interfaces=len(TONGUES) + 2)


def test_every_protocol_is_among_them() -> None:
    assert {*TONGUES, "control", "control_or_caption"} == set(DIALECTS)
