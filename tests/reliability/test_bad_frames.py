"""Bad messages, bad audio, broken WebSocket frames and bad files by the hundred; a speaker beside loses nothing."""

import asyncio
import base64
import io
import json
import os
import random
import struct
import subprocess
import sys
import wave
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from fault_runner import REGISTRY
from hotmic.engines import echo
from running import CLIPS, RunningDaemon, calling, start_daemon

pytestmark = pytest.mark.integration

GOOD_CHUNK = base64.b64encode(echo.chunk(1).tobytes()).decode()
REFUSALS = {"invalid_json", "unknown_type", "bad_field", "wrong_socket", "bad_audio"}
MASK = b"\1\2\3\4"


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


def frame(first: int, payload: bytes, *, masked: bool = True, claimed: int | None = None) -> bytes:
    """Return a frame of RFC 6455, 5.2, whatever its first byte."""
    length = len(payload) if claimed is None else claimed
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, bit | length])
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    body = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return head + (MASK if masked else b"") + body


def bad_frames() -> list[tuple[str, bytes, int]]:
    """Return what breaks a rule, the bytes, and the close code that says so."""
    text, binary, fin = 1, 2, 0x80
    found = [("unmasked", frame(fin | op, b"{}", masked=False), 1002) for op in (text, binary, 8, 9, 10)]
    found += [
        (f"reserved bits {rsv:#x}", frame(fin | rsv << 4 | op, payload), 1002)
        for rsv in range(1, 8)
        for op in (text, binary, 9)
        for payload in (b"", b"{}")
    ]
    found += [
        (f"opcode {op:#x}", frame(fin | op, bytes(size)), 1002)
        for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for size in (0, 1, 10, 200)
    ]
    found += [("control in pieces", frame(op, b""), 1002) for op in (8, 9, 10)]
    found += [
        ("long control", frame(fin | op, bytes(size)), 1002) for op in (8, 9, 10) for size in (126, 127, 500, 70_000)
    ]
    found += [("nothing to go on with", frame(last, bytes(size)), 1002) for last in (0, fin) for size in (0, 50)]
    found += [("begun in the middle", frame(op, b"{") + frame(fin | other, b"}"), 1002) for op in (text, binary)
              for other in (text, binary)]  # fmt: skip
    found += [(f"close {code}", frame(fin | 8, struct.pack("!H", code)), 1002)
              for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535)]  # fmt: skip
    found += [("close of one byte", frame(fin | 8, b"\3"), 1002)]
    rubbish = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\x80", b"\xe2\x82")
    found += [("text that is none", frame(fin | text, data), 1007) for data in rubbish]
    found += [("text that ends early", frame(text, data) + frame(fin, b""), 1007) for data in rubbish]
    found += [("reason that is no text", frame(fin | 8, b"\x03\xe8" + data), 1007) for data in rubbish]
    found += [("too long", frame(fin | op, b"", claimed=size), 1009) for op in (text, binary)
              for size in ((1 << 20) + 1, 1 << 24, 1 << 32, (1 << 63) - 1)]  # fmt: skip
    found += [("too long in pieces", frame(op, bytes(1 << 20)) + frame(fin, b"xx"), 1009) for op in (text, binary)]
    return found


async def close_code(uri: str, data: bytes) -> int:
    """Send bytes after a handshake; return the code in the close frame that comes before the end of the connection."""
    parts = urlsplit(uri)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /?channel=bad HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.write(data)
        code = 0
        async with asyncio.timeout(20):
            while head := await reader.read(2):
                size = head[1] & 0x7F
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2))
                payload = await reader.readexactly(size)
                if head[0] & 0xF == 8:
                    code = int.from_bytes(payload[:2])
        return code
    finally:
        writer.transport.abort()


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
