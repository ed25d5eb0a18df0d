"""Clients of a live caption server, written for it, beside control clients on the same port."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser_support import listening_page
from container_support import bad_recordings, record
from hotmic.values import SAMPLE_RATE, Samples
from running import CLIPS, Caller, RunningDaemon, calling, running_daemon
from seed_stage import run_python
from wav_support import BAD_WAVS, FLOAT, NO_SOUND, data, fmt, pieces, read_clip, riff, wav

pytestmark = pytest.mark.integration

SNIPPETS = Path(__file__).parent / "seeds"
CLIENT = Path(__file__).parents[2] / "clients" / "live_caption_client.py"
TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
LIMIT = 60.0
"""Seconds for anything; the machine may be busy."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    # The table of bad frames is a flood of commands.
    with running_daemon(tmp_path_factory.mktemp("captions"), env={"HOTMIC_MAX_COMMANDS_PER_S": "0"}) as running:
        yield running


def clip(name: str, *, after: float = 2.0) -> Samples:
    """Return a clip and silence after it."""
    return np.concatenate([read_clip(CLIPS / f"{name}.wav"), np.zeros(int(after * SAMPLE_RATE), np.int16)])


def file_of(name: str, folder: Path) -> Path:
    path = folder / "test.wav"
    path.write_bytes(wav(clip(name)))
    return path


def text_of(messages: Sequence[dict[str, Any]]) -> str:
    return " ".join(message["text"] for message in messages if message["type"] == "transcription")


def children(daemon: RunningDaemon) -> list[str]:
    """Return the processes of a daemon."""
    task = Path(f"/proc/{daemon.process.pid}/task")
    return sorted(pid for thread in task.iterdir() for pid in (thread / "children").read_text().split())


async def caption(uri: str, frames: Sequence[bytes], text: str, *, pace: float = 0.0) -> list[dict[str, Any]]:
    """Send frames, wait for the answer to each, then for the rest of a text; return what was heard."""
    async with calling(uri) as caller:
        assert (await caller.hear("connected"))["message"]
        heard = []
        for frame in frames:
            await caller.socket.send(frame)
            heard.append(await next_of(caller))
            await asyncio.sleep(pace)
        while len(text_of(heard)) < len(text):
            heard.append(await next_of(caller))
        return heard


async def next_of(caller: Caller) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        return dict(json.loads(await caller.socket.recv()))


@pytest.mark.parametrize("name", ["flight", "order_latte", "phone_number"])
def test_the_python_example_of_the_guide(daemon: RunningDaemon, tmp_path: Path, name: str) -> None:
    file_of(name, tmp_path)
    heard = [json.loads(line) for line in run_python("live_caption.py", daemon.control, cwd=tmp_path)]
    assert text_of(heard) == TEXTS[name]
    assert len(heard) == -(-len(clip(name)) // 16_000), "one answer for every second"
    shown = {"type", "text", "duration", "processing_time", "rtf", "timestamp"}
    assert all(set(m) == (shown if m["type"] == "transcription" else {"type", "buffered", "needed"}) for m in heard)


def test_the_browser_example_of_the_guide(daemon: RunningDaemon, tmp_path: Path) -> None:
    """A microphone recorded by the browser: WebM with Opus, in blobs every half a second, the header in the first."""
    script = (SNIPPETS / "live_caption.js").read_text()
    with listening_page(daemon, tmp_path, "order_latte") as page:
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))
        page.evaluate(f"() => {{ {script} }}")
        deadline = LIMIT * 1000
        while not text_in(heard).endswith(TEXTS["order_latte"][-12:]) and deadline > 0:
            page.wait_for_timeout(100)
            deadline -= 100
        assert text_in(heard) == TEXTS["order_latte"]
        kinds = [line.split(":")[0] for line in heard]
        assert kinds.count("RTF") == kinds.count("Transcription")
        assert len(children(daemon)) > 1, "a container is decoded in a process of its own"
    wait_for_children(daemon, 1)


def text_in(lines: Sequence[str]) -> str:
    said = [line.removeprefix("Transcription:").strip() for line in lines if line.startswith("Transcription:")]
    return " ".join(said)


def wait_for_children(daemon: RunningDaemon, count: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT):
            while len(children(daemon)) != count:
                await asyncio.sleep(0.05)

    asyncio.run(main())


def float32(samples: Samples) -> bytes:
    return (samples / 32768).astype("<f4").tobytes()


def wavs(samples: Samples) -> list[bytes]:
    return [wav(part) for part in np.array_split(samples, 12)]


def doubled(samples: Samples) -> Samples:
    """Return sound at twice the rate, drawn straight between the samples."""
    return np.interp(np.arange(2 * len(samples)) / 2, np.arange(len(samples)), samples).astype(np.int16)


FORMS = {
    "int16 cut at odd places": lambda samples: pieces(samples.tobytes(), 7_777),
    "float32 cut at odd places": lambda samples: pieces(float32(samples), 9_999),
    "a WAV file with its header in the first frame": lambda samples: pieces(wav(samples), 16_000),
    "a WAV file in every frame": wavs,
    "32 kHz, float": lambda samples: pieces(riff(fmt(FLOAT, 32, rate=32_000), data(float32(doubled(samples)))), 20_000),
    "WebM": lambda samples: pieces(record(samples, "webm"), 3_000),
    "Ogg": lambda samples: pieces(record(samples, "ogg"), 3_000),
    "FLAC": lambda samples: pieces(record(samples, "flac"), 30_000),
    "MP4": lambda samples: pieces(record(samples, "mp4"), 5_000),
}


@pytest.mark.parametrize("form", FORMS)
def test_sound_in_any_form(daemon: RunningDaemon, form: str) -> None:
    heard = asyncio.run(caption(daemon.control, FORMS[form](clip("flight")), TEXTS["flight"]))
    assert text_of(heard) == TEXTS["flight"]


def test_two_recordings_one_after_the_other(daemon: RunningDaemon) -> None:
    frames = [piece for name in ("flight", "timer") for piece in pieces(record(clip(name), "webm"), 4_000)]
    text = f"{TEXTS['flight']} {TEXTS['timer']}"
    assert text_of(asyncio.run(caption(daemon.control, frames, text))) == text


def test_captions_and_control_share_a_port_without_disturbing_each_other(daemon: RunningDaemon) -> None:
    names = ["flight", "timer", "order_latte", "lights_kitchen"]

    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as speaker:
            gateway = daemon.http.replace("http", "ws", 1) + "/ws/live-caption"
            doors = [daemon.control, daemon.control, gateway, f"{daemon.control}?sample_rate=16000"]
            talks = [
                caption(door, pieces(clip(name).tobytes(), 3_200), TEXTS[name], pace=0.05)
                for door, name in zip(doors, names, strict=True)
            ]
            spoken = asyncio.create_task(speaker.hear("final_transcription", limit=LIMIT))
            for piece in pieces(clip("reminder").tobytes(), 3_200):
                await speaker.socket.send(piece)
            heard = await asyncio.gather(*talks)
            assert [text_of(messages) for messages in heard] == [TEXTS[name] for name in names]
            assert (await spoken)["text"] == TEXTS["reminder"]
            await control.hear("final_transcription", limit=LIMIT, text=TEXTS["reminder"])
            finals = [m["text"] for m in control.heard if m["type"] == "final_transcription"]
            assert finals == [TEXTS["reminder"]], "captions are private"
            await control.say(type="get_status", request_id=1)
            await control.hear("status", request_id=1)

    asyncio.run(main())


def floats(*values: float, bits: int = 32) -> bytes:
    return riff(fmt(FLOAT, bits), data(np.array([0.1, 0.2, *values]).astype(f"<f{bits // 8}").tobytes()))


BAD_FRAMES = {
    **NO_SOUND,
    "spaces": b" " * 100,
    "a message": json.dumps({"type": "config", "language": "en"}, indent=4).encode(),
    "a subtitle": b"1\n00:00:01,000 --> 00:00:02,000\nhello there\n",
    **{f"WAV: {name}": frame for name, frame in BAD_WAVS.items()},
    **{
        f"float{bits} that is {value}": floats(value, bits=bits)
        for bits in (32, 64)
        for value in (np.nan, np.inf, -np.inf)
    },
}


def test_bad_frames_have_an_error_each_and_cost_nothing(daemon: RunningDaemon) -> None:
    assert len(BAD_FRAMES) >= 40

    async def main() -> None:
        beside = asyncio.create_task(
            caption(daemon.control, pieces(clip("flight").tobytes(), 3_200), TEXTS["flight"], pace=0.02)
        )
        async with calling(daemon.control) as caller:
            await caller.hear("connected")
            for name, frame in BAD_FRAMES.items():
                await caller.say(type="clear_buffer")
                await caller.socket.send(frame)
                answer = await next_of(caller)
                assert (answer["type"], answer.get("code")) == ("error", "bad_audio"), name
                assert answer["message"].endswith("."), name
                await caller.say(type="ping")
                assert (await next_of(caller))["type"] == "pong", name
                await asyncio.sleep(0.1)  # twenty messages that are no sound may come in a second
            heard = []
            for piece in pieces(wav(clip("timer")), 16_000):
                await caller.socket.send(piece)
                heard.append(await next_of(caller))
            assert text_of(heard) == TEXTS["timer"]
        assert text_of(await beside) == TEXTS["flight"]

    asyncio.run(main())


def test_bad_containers_have_an_error_each_and_leave_no_process(daemon: RunningDaemon) -> None:
    bad = bad_recordings()
    assert len(bad) >= 30

    async def speak(names: list[str]) -> None:
        async with calling(daemon.control) as caller:
            await caller.hear("connected")
            for name in names:
                heard = []
                for piece in [*pieces(bad[name], 20_000), *pieces(wav(clip("timer")), 32_000)]:
                    await caller.socket.send(piece)
                    heard.append(await next_of(caller))
                while len(text_of(heard)) < len(TEXTS["timer"]):
                    heard.append(await next_of(caller))  # an error that came of its own was read in place of an answer
                codes = {message["code"] for message in heard if message["type"] == "error"}
                assert (codes, text_of(heard)) == ({"bad_audio"}, TEXTS["timer"]), name

    async def main() -> None:
        # Most of the time is waiting for decoders that say nothing.
        await asyncio.gather(*(speak(list(bad)[first::8]) for first in range(8)))

    asyncio.run(main())
    wait_for_children(daemon, 1)
