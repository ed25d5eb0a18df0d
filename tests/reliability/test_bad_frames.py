"""Bad messages, bad audio, broken WebSocket frames and bad files by the hundred; a speaker beside loses nothing."""

import asyncio
import base64
import io
import json
import random
import struct
import subprocess
import sys
import wave
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broken_frame import bad_frames, close_code
from fault_runner import REGISTRY
from hotmic.engines import echo
from running import CLIPS, RunningDaemon, calling, start_daemon

pytestmark = pytest.mark.integration

GOOD_CHUNK = base64.b64encode(echo.chunk(1).tobytes()).decode()
REFUSALS = {"invalid_json", "unknown_type", "bad_field", "wrong_socket", "bad_audio"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    models = folder / "models.yaml"
    models.write_text(REGISTRY)
    env = {"HOTMIC_MAX_COMMANDS_PER_S": "100000"}  # each is to be judged, not refused for its haste
    running = start_daemon(folder, "--models", str(models), "--vad", "webrtc", env=env)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def beside_a_speaker(daemon: RunningDaemon, mischief: Callable[[], Awaitable[None]]) -> None:
    async def speak(audio: Any, until: asyncio.Event) -> list[int]:
        said = 0
        while not until.is_set() or said < 20:
            await audio.socket.send(echo.chunk(said).tobytes())
            said += 1
            await asyncio.sleep(0.05)
        await audio.say(type="audio_end", request_id="end")
        return list(range(said))

    async def main() -> None:
        async with calling(f"{daemon.control}?channel=good") as ear, calling(f"{daemon.audio}?channel=good") as audio:
            until = asyncio.Event()
            speaking = asyncio.create_task(speak(audio, until))
            try:
                await mischief()
            finally:
                until.set()
            said = await speaking
            await ear.hear("recording_stopped")
            finals = [m["text"] for m in ear.heard if m["type"] == "final_transcription"]
            assert [int(word) for text in finals for word in text.split()] == said
        async with calling(daemon.control) as caller, asyncio.timeout(30):
            sessions = -1
            while sessions:
                await caller.say(type="get_status")
                sessions = (await caller.hear("status"))["sessions"]

    asyncio.run(main())


# messages

ON_AUDIO: tuple[dict[str, Any], ...] = (
    {"type": "audio_chunk", "data": GOOD_CHUNK[:64], "sample_rate": 16_000, "encoding": "pcm16", "seq": 3},
    {"type": "resume", "session_id": "s-1", "last_event_id": 3},
    {"type": "configure", "language": "en", "beam": 3, "vad": "seed", "hotwords": ["a"], "fallback": True},
    {"type": "subscribe", "channel": "bad", "last_event_id": 1},
)
ON_CONTROL: tuple[dict[str, Any], ...] = (
    {"type": "load_model", "model_id": "echo", "mode": "beside"},
    {"type": "start_recording", "channel": "bad", "session": "s", "config": {"task": "transcribe"}},
    {"type": "stop_recording", "channel": "bad", "session": "s"},
    {"type": "configure", "language": "en", "beam": 3, "denoise": "off", "alternatives": 2, "policy": "align_att"},
    {"type": "subscribe", "channel": "bad", "last_event_id": 1},
    {"type": "authenticate", "token": "x"},
)
WRONG_VALUES: tuple[Any, ...] = ({}, [[]], -1, 1e300, "\0", "é/..", "x" * 3000)


def bad_messages(originals: tuple[dict[str, Any], ...], count: int) -> list[str]:
    """Return frames none of which is a message: cut ones, fields of wrong types or ranges, data that is not base64."""
    rng = random.Random(1)
    found: list[str] = []
    for original in originals:
        whole = json.dumps(original)
        found += [whole[: rng.randrange(1, len(whole))] for _ in range(20)]
        found += [json.dumps(original | {field: value}) for field in original for value in ({}, [[]], 1e300)]
        found += [json.dumps(original | {"type": value}) for value in WRONG_VALUES]
        found += [json.dumps(original | {"request_id": value}) for value in ({}, [[]], 1.5, "x" * 200)]
        found += [json.dumps([original]), f"{whole}{whole}", whole.replace('"', "'"), f"\ufeff{whole}"]
    for data in ("A", "AAA", "====", "AA=A", "AA\nAA", "A*BC", "é", GOOD_CHUNK[:-1], GOOD_CHUNK[:-2] + "!!"):
        found.append(json.dumps({"type": "audio_chunk", "data": data}))
    assert len(found) >= count, len(found)
    return rng.sample(found, count)


@pytest.mark.parametrize("name", ["control", "audio"])
def test_two_hundred_bad_messages_on_a_socket(daemon: RunningDaemon, name: str) -> None:
    frames = bad_messages(ON_CONTROL if name == "control" else ON_AUDIO, 200)

    async def mischief() -> None:
        async with calling(f"{getattr(daemon, name)}?channel=bad") as caller:
            for number, frame in enumerate(frames):
                await caller.socket.send(frame)
                await caller.say(type="ping", request_id=number)
                begin = len(caller.heard)
                await caller.hear("pong", request_id=number)
                codes = [m["code"] for m in caller.heard[begin:] if m["type"] == "error"]
                assert len(codes) == 1, frame[:200]
                assert set(codes) <= REFUSALS, frame[:200]

    beside_a_speaker(daemon, mischief)


def test_384_bad_chunks_of_audio(daemon: RunningDaemon) -> None:
    rng = random.Random(2)
    shorts = [rng.randbytes(2 * rng.randrange(3_000) + 1) for _ in range(24)]
    wrong = [struct.pack("<f", value) for value in (float("nan"), float("inf"), float("-inf"))]
    floats = [bytes(4 * rng.randrange(500)) + value + bytes(8) for value in wrong for _ in range(4)]
    floats += [bytes(4 * rng.randrange(1_500) + cut) for cut in (1, 2, 3) for _ in range(4)]
    chunks = [("pcm16", data) for data in shorts] + [("float32", data) for data in floats]
    cases = [(*chunk, rate, seq) for chunk in chunks for rate in (None, 8_000, 44_100, 48_000) for seq in (None, 0)]
    assert len(cases) == 384

    async def mischief() -> None:
        async with calling(f"{daemon.audio}?channel=bad") as caller:
            for encoding, data, rate, seq in cases:
                body = {"data": base64.b64encode(data).decode(), "sample_rate": rate, "encoding": encoding, "seq": seq}
                await caller.say(type="audio_chunk", **body)
                assert (await caller.hear("error"))["code"] == "bad_audio", (encoding, len(data), rate, seq)
            assert Counter(m["type"] for m in caller.heard) == {"error": 384}

    beside_a_speaker(daemon, mischief)


# frames


def test_three_hundred_broken_frames(daemon: RunningDaemon) -> None:
    kinds = bad_frames()
    cases = [(uri, *kind) for uri in (daemon.control, daemon.audio) for kind in kinds]
    assert len(set(cases)) >= 300

    async def mischief() -> None:
        lanes = asyncio.Semaphore(8)

        async def judge(uri: str, what: str, data: bytes, code: int) -> None:
            async with lanes:
                assert await close_code(uri, data) == code, (uri, what, data[:20])

        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(judge(*case))

    beside_a_speaker(daemon, mischief)


# files


def wav(**fields: int) -> bytes:
    """Return a WAV file without samples, some fields of its header wrong."""
    given = {"format": 1, "channels": 1, "rate": 16_000, "width": 2} | fields
    width = given["channels"] * given["width"]
    head = struct.pack("<HHIIHH", given["format"], given["channels"], given["rate"], given["rate"] * width, width,
                       8 * given["width"])  # fmt: skip
    return b"RIFF\xff\0\0\0WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", 0)


def bad_files() -> dict[str, bytes]:
    rng = random.Random(4)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(np.zeros(1_000, np.int16).tobytes())
    whole = file.getvalue()
    starts = {
        "ogg": b"OggS",
        "flac": b"fLaC",
        "mp3": b"ID3",
        "webm": b"\x1a\x45\xdf\xa3",
        "m4a": b"\0\0\0\x20ftypM4A ",
        "wav": b"RIFF",
        "aiff": b"FORM",
        "au": b".snd",
        "png": b"\x89PNG\r\n\x1a\n",
        "zip": b"PK\3\4",
    }
    found = {f"start.{name}": start for name, start in starts.items()}
    found |= {f"rubbish.{name}": start + rng.randbytes(40) for name, start in starts.items() if name != "mp3"}
    found |= {f"cut{size}.wav": whole[:size] for size in (4, 12, 20, 44)}
    found |= {"empty.wav": b"", "nothing.wav": wav(), "mute.wav": wav(channels=0), "still.wav": wav(rate=0)}
    found |= {"text.wav": b"Dear reader, this is no sound.\n" * 20, "list.m3u8": b"#EXTM3U\n#EXTINF:9,\nx.ts\n"}
    found |= {"other.wav": wav(format=0x7777)}
    return found


def test_thirty_bad_files_and_a_good_one(tmp_path: Path) -> None:
    files = bad_files()
    assert len(files) == 30
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "order.wav").write_bytes((CLIPS / "order_latte.wav").read_bytes())
    command = [sys.executable, "-m", "hotmic", "transcribe", *files, "order.wav"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    lines = run.stderr.splitlines()
    for name in files:
        assert sum(line.startswith(f"hotmic: {name}: ") for line in lines) == 1, (name, run.stderr)
    text = json.loads((CLIPS / "clips.json").read_text())["order_latte"]["text"]
    assert run.stdout.split("\n")[:2] == ["# order.wav", text]
