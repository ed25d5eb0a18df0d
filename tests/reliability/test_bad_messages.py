"""Bad JSON, base64, samples and arrays by the hundred in every protocol of one socket: an error each, and no more."""

import asyncio
import base64
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fault_runner import REGISTRY
from hotmic.dialects.dialect import Frame
from hotmic.engines import echo
from reliability_support import health
from running import RunningDaemon, start_daemon
from tongue import TONGUES, Tongue
from wav_support import data, fmt, riff
from wire_support import npy

pytestmark = pytest.mark.integration

HANG = 60.0
CODES = {
    "invalid_json", "unknown_type", "bad_field", "bad_audio", "bad_message", "invalid_value", "unknown_model",
    "model_not_found", "input_audio_buffer_commit_empty", "not_authorized",
}  # fmt: skip
UPDATE = {
    "type": "transcription",
    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24_000}, "transcription": {"language": "en"}}},
}
MESSAGES: dict[str, tuple[dict[str, Any], ...]] = {
    "rnnt": (
        {"type": "start_recording", "config": {"sample_rate": 16_000, "language": "en", "interim_results": True}},
        {"type": "configure", "language": "en", "vad": "seed", "hotwords": ["a"], "beam": 3},
    ),
    "live_caption": ({"type": "config", "language": "en", "task": "transcribe"},),
    "openai_realtime": (
        {"type": "session.update", "session": UPDATE},
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(64)).decode()},
    ),
    "simul": ({"type": "authenticate", "token": "a-token-of-the-test"},),
}
WRONG: tuple[Any, ...] = ([[]], 1e300, True, -1.5)
NOT_BASE64 = ("A", "AAA", "====", "AA=A", "A*BC", "é", "AAAA=", "AA==")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "models.yaml").write_text(REGISTRY)
    env = {"HOTMIC_MAX_COMMANDS_PER_S": "100000", "HOTMIC_MAX_MESSAGES_PER_S": "0", "HOTMIC_SESSION_TTL_S": "1"}
    running = start_daemon(folder, "--models", str(folder / "models.yaml"), "--vad", "webrtc", env=env)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def bad_messages(dialect: str, count: int = 400) -> list[str]:
    """Return text frames none of which is a message: cut ones, and fields of wrong types and values."""
    rng = random.Random(dialect)
    found: set[str] = set()
    for original in MESSAGES[dialect]:
        whole = json.dumps(original)
        found |= {json.dumps(original | {field: value}) for field in original for value in WRONG}
        found |= {json.dumps([original]), f"{whole}{whole}", whole.replace('"', "'"), f"\ufeff{whole}", f"{whole},"}
        found |= {json.dumps(original | {"type": f"no-{rng.random()}"}) for _ in range(200)}
        found |= {whole[: rng.randrange(1, len(whole))] for _ in range(200)}
        marked = (_with_a_mark(whole, rng) for _ in range(4 * count))
        found |= {text for text in marked if not _is_json(text)}
    if dialect == "openai_realtime":
        found |= {json.dumps({"type": "input_audio_buffer.append", "audio": text}) for text in NOT_BASE64}
    return rng.sample(sorted(found), count)


def _with_a_mark(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice('"{}[]\\\x00') + text[at:]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def bad_sounds(dialect: str) -> list[Frame]:
    """Return 384 frames of rates, widths, sizes and odd bytes that are no sound of a protocol."""
    rng = random.Random(dialect)
    sizes = [rng.randrange(1, 3_000) for _ in range(96)]
    nan, infinite = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
    match dialect:
        case "rnnt":
            return [rng.randbytes(2 * size + 1) for size in sizes * 4]
        case "simul":
            arrays = [np.zeros(size, kind) for size in sizes[:48] for kind in ("<i2", "<f8", ">f4", "<c8", "<i4")]
            cut = [npy(np.zeros(size, "<f4"))[:-1] for size in sizes[:72]]
            odd = [
                npy(np.frombuffer(bytes(4 * size) + value, "<f4")) for size in sizes[:36] for value in (nan, infinite)
            ]
            return [*map(npy, arrays), *cut, *odd]
        case "openai_realtime":
            sounds = [rng.randbytes(2 * size + 1) for size in sizes * 4]
            texts = [base64.b64encode(sound).decode() for sound in sounds]
            return [json.dumps({"type": "input_audio_buffer.append", "audio": text}) for text in texts]
    widths = [(1, bits) for bits in (1, 4, 12, 20, 40, 64, 0, 65_535)] + [(3, bits) for bits in (8, 16, 24, 48)]
    headers = [fmt(tag, bits, rate=rate) for tag, bits in widths for rate in (8_000, 16_000, 44_100, 48_000)]
    headers += [fmt(tag, 16, rate=16_000) for tag in range(40, 72)]
    headers += [fmt(1, 16, rate=rate) for rate in (0, 1, 4_000_000_000, 7)]
    headers += [fmt(1, 16, channels=0, rate=rate) for rate in range(8_000, 8_012)]
    frames = [riff(header, data(bytes(size))) for header in headers for size in sizes[:4]]
    return frames[:384]


async def told_wrong(daemon: RunningDaemon, tongue: Tongue, frames: list[Frame]) -> None:
    """Send bad frames and then words; each frame has one error, and the words are heard."""
    gateway = daemon.http.replace("http", "ws", 1)
    async with asyncio.timeout(HANG), connect(f"{gateway}{tongue.target}") as socket:
        for frame in frames:
            await socket.send(frame)
            count = len(tongue.codes)
            while len(tongue.codes) == count:
                tongue.hear(await socket.recv())
            assert tongue.codes[-1] in CODES, (tongue.codes[-1], frame[:100])
        for frame in tongue.greet():
            await socket.send(frame)
        words = [echo.chunk(number) for number in range(20)]
        for frame in [*map(tongue.chunk, words), *tongue.end()]:
            await socket.send(frame)
        while len(tongue.text.split()) < len(words):
            tongue.hear(await socket.recv())
    assert tongue.text.split() == [str(number) for number in range(20)]
    assert len(tongue.codes) == len(frames)


@pytest.mark.parametrize("kind", ["messages", "sounds"])
@pytest.mark.parametrize("dialect", MESSAGES)
def test_bad_frames_have_an_error_each(daemon: RunningDaemon, dialect: str, kind: str) -> None:
    frames = bad_messages(dialect) if kind == "messages" else bad_sounds(dialect)
    assert len(frames) == {"messages": 400, "sounds": 384}[kind]

    async def main() -> None:
        await told_wrong(daemon, TONGUES[dialect](f"{dialect}-{kind}"), frames)  # type: ignore[arg-type]
        async with asyncio.timeout(HANG):
            while (await health(daemon))["sessions"]:
                await asyncio.sleep(0.05)

    asyncio.run(main())


def test_bare_text_ends_on_what_is_no_sound(daemon: RunningDaemon) -> None:
    rng = random.Random(0)

    async def judge(frame: Frame, code: int) -> None:
        async with connect(daemon.http.replace("http", "ws", 1)) as socket:
            await socket.send(frame)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code

    async def main() -> None:
        for size in range(96):
            await judge(rng.randbytes(2 * size + 1), 1007)
            await judge("x" * size, 1003)

    asyncio.run(main())
