"""Clients that lose their connection or their daemon in mid-sentence: every word once, with real sockets."""

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from fault_proxy import Fault, FaultProxy, fault_proxy
from hotmic.engines import echo
from hotmic_client import Client, ClientError, read_wav
from running import CLIPS, RunningDaemon, calling, running_daemon, start_daemon

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("recorded")]

REGISTRY = "default: echo\nmodels:\n  - {id: echo, name: Echo, type: echo, languages: [en]}\n"
COUNT = 60


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY)
    return str(path)


async def speak(client: Client, count: int = COUNT, *, pace: float = 0.05) -> None:
    for number in range(count):
        await client.send_audio(echo.chunk(number).tobytes())
        await asyncio.sleep(pace)
    await client.end_audio()


async def numbers_of(client: Client) -> list[int]:
    """Return the words of all finals until everything is told."""
    heard: list[int] = []
    async for event in client.events():
        if not client.is_own(event):
            continue
        if event["type"] == "final_transcription":
            heard += map(int, event["text"].split())
        if event["type"] == "recording_stopped":
            return heard
    raise AssertionError("the events ended")


async def converse(daemon: RunningDaemon, trouble: Any) -> list[int]:
    """Speak through two proxies while something happens to them; return what was heard."""
    async with (
        fault_proxy(daemon.control) as (controls, control),
        fault_proxy(daemon.audio) as (audios, audio),
        Client(control, audio) as client,
    ):
        troubling = asyncio.create_task(trouble(controls, audios))
        speaking = asyncio.create_task(speak(client))
        async with asyncio.timeout(90):
            heard = await numbers_of(client)
        await asyncio.gather(troubling, speaking)
    return heard


async def cut_audio(controls: FaultProxy, audios: FaultProxy) -> None:
    for _ in range(3):
        await asyncio.sleep(0.6)
        audios.reset()


async def cut_control(controls: FaultProxy, audios: FaultProxy) -> None:
    for _ in range(3):
        await asyncio.sleep(0.8)
        controls.reset()


async def cut_both_for_a_while(controls: FaultProxy, audios: FaultProxy) -> None:
    await asyncio.sleep(1.0)
    for proxy in (controls, audios):
        proxy.fault = Fault(down=True)
        proxy.reset()
    await asyncio.sleep(2.0)
    for proxy in (controls, audios):
        proxy.fault = Fault()


async def control_down_at_the_end(controls: FaultProxy, audios: FaultProxy) -> None:
    await asyncio.sleep(2.0)
    controls.fault = Fault(down=True)
    controls.reset()
    await asyncio.sleep(6.0)
    controls.fault = Fault()


async def both_down_at_the_end(controls: FaultProxy, audios: FaultProxy) -> None:
    await asyncio.sleep(2.8)
    for proxy in (controls, audios):
        proxy.fault = Fault(down=True)
        proxy.reset()
    await asyncio.sleep(4.0)
    for proxy in (controls, audios):
        proxy.fault = Fault()


async def half_close(controls: FaultProxy, audios: FaultProxy) -> None:
    await asyncio.sleep(1.0)
    audios.half_close()
    await asyncio.sleep(0.7)
    controls.half_close()


async def slow_and_sliced(controls: FaultProxy, audios: FaultProxy) -> None:
    audios.fault = Fault(slice_bytes=700, latency_s=0.02, jitter_s=0.02)
    controls.fault = Fault(latency_s=0.1, jitter_s=0.1)
    await asyncio.sleep(1.5)
    audios.reset()


async def swallow_and_reset(controls: FaultProxy, audios: FaultProxy) -> None:
    await asyncio.sleep(1.0)
    audios.fault = Fault(blackhole=True)
    await asyncio.sleep(1.5)
    audios.fault = Fault()
    audios.reset()


TROUBLES = (
    cut_audio,
    cut_control,
    cut_both_for_a_while,
    control_down_at_the_end,
    both_down_at_the_end,
    half_close,
    slow_and_sliced,
    swallow_and_reset,
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_a_bad_network_costs_no_word_and_says_none_twice(tmp_path: Path, models: str, trouble: Any) -> None:
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        assert asyncio.run(converse(daemon, trouble)) == list(range(COUNT))


@pytest.mark.parametrize("seed", range(3))
def test_random_cuts_under_several_speakers(tmp_path: Path, models: str, seed: int) -> None:
    async def trouble(controls: FaultProxy, audios: FaultProxy) -> None:
        rng = random.Random(seed)
        for _ in range(6):
            await asyncio.sleep(rng.uniform(0.1, 0.7))
            rng.choice((controls, audios)).reset()

    async def main(daemon: RunningDaemon) -> None:
        said = await asyncio.gather(*(converse(daemon, trouble) for _ in range(2)))
        # Both speak in one channel and hear each other; each keeps to its own words.
        assert said == [list(range(COUNT))] * 2

    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        asyncio.run(main(daemon))


def test_a_killed_daemon_that_comes_back_remembers_nothing_and_nothing_is_lost(tmp_path: Path) -> None:
    words = json.loads((CLIPS / "clips.json").read_text())["three_sentences"]["text"].split()

    async def main(daemon: RunningDaemon) -> list[str]:
        rate, pcm = read_wav(CLIPS / "three_sentences.wav")
        said: list[str] = []
        kinds: list[str] = []
        ports = [uri.rpartition(":")[2] for uri in (daemon.control, daemon.audio)]
        async with Client(daemon.control, daemon.audio) as client:

            async def listen() -> None:
                async for event in client.events():
                    kinds.append(event["type"])
                    if event["type"] == "final_transcription":
                        said.extend(event["text"].split())
                    if event["type"] == "recording_stopped":
                        return

            listening = asyncio.create_task(listen())
            size = 2 * rate // 10
            for number, begin in enumerate(range(0, len(pcm), size)):
                await client.send_audio(pcm[begin : begin + size], sample_rate=rate)
                await asyncio.sleep(0.1)
                if number * size > len(pcm) // 2 and daemon.process.poll() is None:
                    daemon.process.kill()
                    daemon.process.wait()
                    flags = ("--control-port", ports[0], "--audio-port", ports[1])
                    restarted.append(await asyncio.to_thread(start_daemon, tmp_path, *flags))
            await client.end_audio()
            async with asyncio.timeout(60):
                await listening
        assert {"reconnecting", "reconnected"} <= set(kinds)
        return said

    restarted: list[RunningDaemon] = []
    with running_daemon(tmp_path) as daemon:
        try:
            assert asyncio.run(main(daemon)) == words
        finally:
            for one in restarted:
                one.stop()


def test_a_daemon_that_stays_away_ends_in_an_error(tmp_path: Path, models: str) -> None:
    async def main(daemon: RunningDaemon) -> None:
        async with Client(daemon.control, daemon.audio, patience=0.5) as client:
            await client.send_audio(echo.chunk(0).tobytes())
            daemon.process.kill()
            with pytest.raises(ClientError, match="No daemon answers"):
                async for _ in client.events():
                    pass
            with pytest.raises(ClientError, match="No daemon answers"):
                for number in range(20):
                    await client.send_audio(echo.chunk(number).tobytes())
                    await asyncio.sleep(0.1)

    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        asyncio.run(main(daemon))


def test_a_daemon_whose_clock_was_set_back_tells_a_listener_what_it_missed(tmp_path: Path, models: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time\nnow = time.time\ntime.time = lambda: now() - 3600\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    async def final(daemon: RunningDaemon) -> int:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            for number in range(20):
                await audio.socket.send(echo.chunk(number).tobytes())
            await audio.say(type="audio_end")
            return int((await control.hear("final_transcription"))["event_id"])

    async def missed(daemon: RunningDaemon, known: int) -> list[int]:
        async with calling(daemon.control) as control:
            await control.say(type="subscribe", channel="default", last_event_id=known)
            await control.say(type="ping")
            await control.hear("pong")
            return [m["event_id"] for m in control.heard if m["type"] == "final_transcription"]

    flags = ("--models", models, "--vad", "seed")
    with running_daemon(tmp_path, *flags) as daemon:
        known = asyncio.run(final(daemon))
    with running_daemon(tmp_path, *flags, env={"PYTHONPATH": paths}) as daemon:
        unheard = asyncio.run(final(daemon))
        assert unheard < known, "the clock was set back"
        assert asyncio.run(missed(daemon, known)) == [unheard]
        newest = asyncio.run(final(daemon))
        assert newest > known
        assert asyncio.run(missed(daemon, unheard)) == [newest]
