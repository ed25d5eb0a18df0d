"""The bundled model through the sockets: the right words, in time, and nothing where nobody speaks."""

import asyncio
import base64
import itertools
import json
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soxr

from running import CLIPS, Caller, RunningDaemon, calling, running_daemon
from sound import not_speech

pytestmark = pytest.mark.integration

TEXTS = {name: clip["text"] for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


def samples_of(name: str) -> np.ndarray:
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def told_of(
    daemon: RunningDaemon, frames: list[str | bytes], channel: str, query: str = ""
) -> list[dict[str, Any]]:
    async with (
        calling(f"{daemon.audio}?channel={channel}{query}") as audio,
        calling(f"{daemon.control}?channel={channel}") as control,
    ):
        for frame in frames:
            await audio.socket.send(frame)
        await audio.say(type="audio_end")
        await control.hear("recording_stopped", limit=60)
        return control.heard


async def finals_of(daemon: RunningDaemon, frames: list[str | bytes], channel: str, query: str = "") -> list[str]:
    told = await told_of(daemon, frames, channel, query)
    return [m["text"] for m in told if m["type"] == "final_transcription"]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_clip_is_heard_right(daemon: RunningDaemon, name: str) -> None:
    finals = asyncio.run(finals_of(daemon, list(cut(samples_of(name).tobytes(), 3200)), f"clip-{name}"))
    assert " ".join(finals) == TEXTS[name]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_in_binary_and_json(daemon: RunningDaemon, rate: int) -> None:
    other = soxr.resample(samples_of("order_latte").astype(np.float32) / 32768, 16_000, rate)
    pcm = (np.clip(other, -1, 1) * 32767).astype("<i2").tobytes()
    text = [TEXTS["order_latte"]]
    binary = finals_of(daemon, list(cut(pcm, 2 * rate // 10)), f"rate-{rate}", f"&sample_rate={rate}")
    assert asyncio.run(binary) == text
    chunks: list[str | bytes] = [
        json.dumps({"type": "audio_chunk", "data": base64.b64encode(part).decode(), "sample_rate": rate})
        for part in cut(pcm, 2 * rate // 10)
    ]
    assert asyncio.run(finals_of(daemon, chunks, f"json-{rate}")) == text


@pytest.mark.parametrize("size", [320, 2048, 30_000, 1_000_000])
def test_the_text_does_not_depend_on_the_cuts(daemon: RunningDaemon, size: int) -> None:
    pcm = samples_of("three_sentences").tobytes()
    finals = asyncio.run(finals_of(daemon, list(cut(pcm, size)), f"cut-{size}"))
    assert " ".join(finals) == TEXTS["three_sentences"]


def test_partials_come_while_the_audio_is_still_being_sent(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(f"{daemon.audio}?channel=live") as audio:
            for frame in cut(samples_of("order_latte").tobytes(), 3200):
                await audio.socket.send(frame)
                await asyncio.sleep(0.05)
            partial = await audio.hear("realtime_transcription", limit=1.0)
            assert partial["segment_id"]
            await audio.say(type="audio_end")
            final = await audio.hear("final_transcription")
            assert final["text"] == TEXTS["order_latte"]
            assert [word["word"] for word in final["words"]] == TEXTS["order_latte"].split()
            shown = [m for m in audio.heard if m["type"] == "realtime_transcription"]
            assert len(shown) >= 3
            assert all(m["text"] == (m["stable"] + m["unstable"]).strip() for m in shown)
            stable = [m["stable"] for m in shown]
            assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(stable))

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["silence", "white", "pink", "hum", "chord", "clicks", "breath", "door", "music"])
@pytest.mark.parametrize("level_db", [-45.0, -20.0])
def test_nobody_speaking_gives_no_text(daemon: RunningDaemon, kind: str, level_db: float) -> None:
    pcm = not_speech(kind, level_db, 12.0).tobytes()
    told = asyncio.run(told_of(daemon, list(cut(pcm, 3200)), f"no-{kind}{int(level_db)}"))
    assert [m["text"] for m in told if "text" in m] == []
    # A tune passes for a voice; then it is the model that hears no words.
    assert [m for m in told if m["type"] == "speech_started" and kind != "music"] == []


def test_three_channels_at_once_do_not_mix(daemon: RunningDaemon) -> None:
    names = ["order_latte", "timer", "meeting_monday"]

    async def main() -> list[list[str]]:
        frames = [list(cut(samples_of(name).tobytes(), 3200)) for name in names]
        return await asyncio.gather(*(finals_of(daemon, f, f"mix-{i}") for i, f in enumerate(frames)))

    assert asyncio.run(main()) == [[TEXTS[name]] for name in names]


def test_listeners_on_both_sockets_hear_the_same(daemon: RunningDaemon) -> None:
    async def finals(caller: Caller) -> tuple[str, str]:
        message = await caller.hear("final_transcription")
        return message["text"], message["segment_id"]

    async def main() -> None:
        async with calling(daemon.audio) as speaker, calling(daemon.audio) as one, calling(daemon.control) as two:
            for frame in cut(samples_of("timer").tobytes(), 3200):
                await speaker.socket.send(frame)
            heard = await asyncio.gather(finals(speaker), finals(one), finals(two))
            assert len(set(heard)) == 1
            assert heard[0][0] == TEXTS["timer"]

    asyncio.run(main())
