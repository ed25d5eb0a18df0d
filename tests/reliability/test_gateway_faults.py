"""The daemon itself is killed or stopped while people speak."""

import asyncio
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from hotmic.engines import echo
from hotmic_client import Client
from reliability_support import Figures, both, percentile, run, write_registry
from running import RunningDaemon, running_daemon, start_daemon
from speaking import voices

pytestmark = pytest.mark.integration


class Times(NamedTuple):
    """How often it happens, and to how many speakers."""

    times: int
    speakers: int


async def count_aloud(client: Client, speaker: int, over: asyncio.Event) -> int:
    """Speak in real time until something is over; return how many chunks were said."""
    loop = asyncio.get_running_loop()
    start, number = loop.time(), 0
    while not over.is_set() or number < 20:
        await client.send_audio(echo.chunk(number, speaker=speaker).tobytes())
        number += 1
        await asyncio.sleep(max(0.0, start + number * 0.1 - loop.time()))
    await client.end_audio()
    return number


async def listen(client: Client, heard: list[int], news: asyncio.Event) -> None:
    """Note the numbers of the client's own finals until its recording is over."""
    async for event in client.events():
        if not client.is_own(event):
            continue
        if event["type"] == "final_transcription":
            heard += map(int, event["text"].split())
        if event["type"] in ("realtime_transcription", "final_transcription"):
            news.set()
        if event["type"] == "recording_stopped":
            return
    pytest.fail("the events ended")


@pytest.mark.parametrize("size", both(Times(5, 4), Times(50, 4)))
def test_killed_gateways(tmp_path: Path, figures: Figures, size: Times) -> None:
    """Clients come back by themselves: the text is complete and no final is said twice."""
    flags = ["--models", write_registry(tmp_path, "echo"), "--vad", "seed"]
    recovered: list[float] = []

    async def kill(daemon: RunningDaemon, again: list[str]) -> RunningDaemon:
        daemon.process.kill()
        await asyncio.to_thread(daemon.process.wait)
        return await asyncio.to_thread(start_daemon, tmp_path, *again)

    async def one(client: Client, speaker: int, over: asyncio.Event, news: asyncio.Event) -> tuple[int, list[int]]:
        heard: list[int] = []
        listening = asyncio.create_task(listen(client, heard, news))
        said = await count_aloud(client, speaker, over)
        async with asyncio.timeout(120):
            await listening
        return said, [number - speaker * echo.SPEAKER_STRIDE for number in heard]

    async def main() -> None:
        ports = [uri.rpartition(":")[2] for uri in (running[-1].control, running[-1].audio)]
        again = [*flags, "--control-port", ports[0], "--audio-port", ports[1]]
        clients = [Client(running[-1].control, running[-1].audio, channel=f"speaker-{n}") for n in range(size.speakers)]
        over, news = asyncio.Event(), [asyncio.Event() for _ in clients]
        for client in clients:
            await client.open()
        try:
            speaking = [asyncio.create_task(one(c, n, over, news[n])) for n, c in enumerate(clients)]
            for _ in range(size.times):
                await wait_for_all(news)
                began = time.monotonic()
                running.append(await kill(running[-1], again))
                await wait_for_all(news)
                recovered.append(time.monotonic() - began)
            over.set()
            for said, heard in await asyncio.gather(*speaking):
                assert heard == list(range(said))
        finally:
            for client in clients:
                await client.close()

    running = [start_daemon(tmp_path, *flags)]
    try:
        run(main())
    finally:
        running[-1].stop()
    figures.note(
        kills=size.times,
        speakers=size.speakers,
        text_again_s={"p50": percentile(recovered, 0.5), "p95": percentile(recovered, 0.95)},
    )


async def wait_for_all(news: list[asyncio.Event]) -> None:
    """Wait until everybody has heard new text."""
    for event in news:
        event.clear()
    async with asyncio.timeout(60):
        await asyncio.gather(*(event.wait() for event in news))


@pytest.mark.parametrize("size", both(Times(3, 50), Times(50, 50)))
def test_sigterm(tmp_path: Path, figures: Figures, size: Times) -> None:
    """Whatever the daemon took gets its final before the sockets close, and it ends by itself."""
    models = write_registry(tmp_path, "echo: options: {batch_s: 0.02}")
    signalled: list[float] = []
    took: list[float] = []
    told = 0

    async def main(daemon: RunningDaemon) -> int:
        async with voices(daemon.audio, range(size.speakers)) as speakers:
            talking = [asyncio.create_task(voice.talk(1000, burst=0, ping_every=1)) for voice in speakers]
            await asyncio.gather(*(voice.text() for voice in speakers))
            confirmed = [voice.confirmed for voice in speakers]
            daemon.process.send_signal(signal.SIGTERM)
            signalled.append(time.monotonic())
            for voice in speakers:
                await voice.gone()
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
        for voice, least in zip(speakers, confirmed, strict=True):
            assert voice.close_code == 1012
            assert voice.heard == list(range(len(voice.heard))), "a final is missing, or one came twice"
            assert len(voice.heard) >= least, "what was taken before the signal is not told"
            assert voice.segments == {final["segment_id"] for final in voice.finals}
        return sum(len(voice.finals) for voice in speakers)

    for _ in range(size.times):
        with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
            told += run(main(daemon))
            assert daemon.process.wait(60) == 0
            took.append(time.monotonic() - signalled[-1])
    assert told >= size.times * size.speakers
    figures.note(stops=size.times, speakers=size.speakers, finals=told, exit_after_s=percentile(took, 1.0))
