"""Who floods, answers no ping, or stops in the middle of a request, at every port and path and behind nginx."""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Iterator

import pytest
from websockets.frames import Opcode

from door_support import Door, close_code, descriptors, direct, entering, nothing_left, proxied
from fault_runner import REGISTRY
from hotmic.dialects.dialect import Frame
from hotmic.engines import echo
from nginx_support import HOST
from reliability_support import health, run, series
from running import RunningDaemon, start_daemon
from speaking import Voice, wrong
from tongue import TONGUES

pytestmark = pytest.mark.integration

HANG = 60.0
WORDS = 40
"""Chunks of 100 ms that come at once."""
SPEED, BURST_S, COMMANDS = 1.5, 1.0, 5
LIMITS = {
    "HOTMIC_ALLOWED_HOSTS": HOST,
    "HOTMIC_AUTH": "none",
    "HOTMIC_MAX_AUDIO_SPEED": f"{SPEED:g}",
    "HOTMIC_AUDIO_BURST_S": f"{BURST_S:g}",
    "HOTMIC_MAX_COMMANDS_PER_S": f"{COMMANDS}",
    "HOTMIC_SESSION_TTL_S": "1",
    "HOTMIC_MAX_FILES_PER_ADDRESS": "16",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """One that waits a second where the others wait ten and more."""
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "models.yaml").write_text(REGISTRY)
    flags = ("--models", str(folder / "models.yaml"), "--vad", "webrtc")
    running = start_daemon(folder, *flags, env=LIMITS, plant="hurried")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def doors(daemon: RunningDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Door]]:
    folder = tmp_path_factory.mktemp("nginx") / "run"
    with proxied(daemon, folder, client_header_timeout="1s") as behind:
        yield [*direct(daemon), *behind]


async def flood(door: Door) -> tuple[str, list[str]]:
    """Say everything at once; return what was understood, and how often it was told to be too fast."""
    tongue = door.tongue()
    assert tongue is not None
    told: list[Frame] = []
    async with asyncio.timeout(HANG), entering(door) as client:
        sound = [tongue.chunk(echo.chunk(number)) for number in range(WORDS)]
        for frame in [*tongue.greet(), *sound, *tongue.end()]:
            await client.send(frame)
        while len(tongue.text.split()) < WORDS:
            told.append(await client.recv())
            tongue.hear(told[-1])
    assert not tongue.codes
    return tongue.text, [str(frame) for frame in told if '"rate_limited"' in str(frame)]


def test_sound_that_comes_too_fast_is_held_back_and_all_heard(daemon: RunningDaemon, doors: list[Door]) -> None:
    """For longer than a client may be silent: its pongs stand behind its sound."""

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        held = await series(daemon, "hotmic_held_seconds_total")
        speaking = [door for door in doors if door.tongue() is not None]
        async with Voice(daemon.audio, 1) as voice:
            told, _ = await asyncio.gather(asyncio.gather(*map(flood, speaking)), voice.talk(30, pace=0.1))
            await voice.end()
        assert wrong([voice]) == {}
        assert [text for text, _ in told] == [" ".join(map(str, range(WORDS)))] * len(speaking)
        least = (WORDS / 10 - BURST_S) / SPEED * len(speaking)
        assert await series(daemon, "hotmic_held_seconds_total") - held >= 0.9 * least
        warned = {door.dialect for door, (_, warnings) in zip(speaking, told, strict=True) if len(warnings) == 1}
        assert warned >= {"audio", "rnnt"}
        await nothing_left(daemon, files)

    run(main())


async def shout(door: Door) -> list[str]:
    """Send frames that cannot be read at once, and a good one when there is room again; return the codes told."""
    bad = str(TONGUES[door.dialect].bad[0][0]) if door.dialect in TONGUES else "nope"
    codes: list[str] = []
    async with asyncio.timeout(HANG), entering(door) as client:
        for _ in range(WORDS):
            await client.send(bad)
        while len(codes) < WORDS:
            message = json.loads(await client.recv())
            if message["type"] == "error":
                codes.append(message.get("error", message)["code"])
    return codes


def test_commands_that_come_too_fast_are_refused(daemon: RunningDaemon, doors: list[Door]) -> None:
    async def main() -> None:
        files = descriptors(daemon)
        asking = [door for door in doors if door.dialect != "plain_text"]  # which has none
        async with Voice(daemon.audio, 2) as voice:
            told, _ = await asyncio.gather(asyncio.gather(*map(shout, asking)), voice.talk(30, pace=0.1))
            await voice.end()
        assert wrong([voice]) == {}
        for door, codes in zip(asking, told, strict=True):
            assert codes[: 2 * COMMANDS] == ["invalid_json"] * 2 * COMMANDS, door.name
            assert set(codes) == {"invalid_json", "rate_limited"}, door.name
            assert codes.count("rate_limited") > WORDS / 4, door.name
        await nothing_left(daemon, files)

    run(main())


def test_who_answers_no_ping_is_cut_and_who_answers_stays(daemon: RunningDaemon, doors: list[Door]) -> None:
    async def silent(door: Door, gone: asyncio.Barrier) -> int:
        async with entering(door) as client:
            send_frame = client.protocol.send_frame  # a client of whose library no pong comes
            client.protocol.send_frame = lambda frame: frame.opcode is Opcode.PONG or send_frame(frame)  # type: ignore[assignment,func-returns-value]
            code = await close_code(client)
            await gone.wait()
            return code

    async def lively(door: Door, gone: asyncio.Barrier) -> None:
        async with entering(door) as client:
            await gone.wait()
            pong = await client.ping()
            await asyncio.wait_for(pong, HANG)

    async def main() -> None:
        files = descriptors(daemon)
        gone = asyncio.Barrier(2 * len(doors))
        codes, _ = await asyncio.gather(
            asyncio.gather(*(silent(door, gone) for door in doors)),
            asyncio.gather(*(lively(door, gone) for door in doors)),
        )
        assert codes == [1006] * len(doors), "nobody is there to be told"
        await nothing_left(daemon, files)

    run(main())


async def stop_in_the_middle(door: Door, request: bytes, *, is_tls: bool = True) -> bytes:
    """Send the beginning of a request; return what comes until the other side ends the connection."""
    tls = door.tls if is_tls else None
    reader, writer = await asyncio.open_connection(*door.place, ssl=tls)
    heard = b""
    try:
        writer.write(request)
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(1 << 16):
                heard += piece
    finally:
        writer.transport.abort()
    return heard


def test_half_a_request_is_not_waited_for_behind_nginx(daemon: RunningDaemon, doors: list[Door]) -> None:
    door = doors[-1]
    whole = f"GET /ws/control HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        async with asyncio.timeout(HANG):
            ended = [stop_in_the_middle(door, whole[:size]) for size in (0, 1, 20, len(whole) - 2)]
            ended += [stop_in_the_middle(door, hello[:size], is_tls=False) for size in (0, 1, len(hello))]
            await asyncio.gather(*ended)
        await nothing_left(daemon, files)

    run(main())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=b"),
        ("/v1/realtime/client_secrets", "application/json"),
    ],
)
def test_half_a_body_is_not_waited_for(daemon: RunningDaemon, doors: list[Door], path: str, kind: str) -> None:
    halves = (b"", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF')

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        cases = []
        for door in (doors[2], doors[-1]):
            host = door.host or ":".join(map(str, door.place))
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            cases += [
                stop_in_the_middle(door, f"{head}Content-Length: 5000\r\n\r\n".encode() + body) for body in halves
            ]
            cases += [stop_in_the_middle(door, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())]
        async with asyncio.timeout(HANG):
            answers = await asyncio.gather(*cases)
        assert all(b" 400 " in answer.partition(b"\r\n")[0] and b"stands still" in answer for answer in answers), (
            answers
        )
        await nothing_left(daemon, files)

    run(main())


def ask_and_read_nothing(door: Door) -> socket.socket:
    """Ask until nothing more is taken."""
    raw = socket.create_connection(door.place, 1.0)
    asking = door.tls.wrap_socket(raw) if door.tls else raw
    question = f"GET /asyncapi.yaml HTTP/1.1\r\nHost: {door.host or 'localhost'}\r\n\r\n".encode()
    with contextlib.suppress(TimeoutError, ConnectionError):
        while True:
            asking.sendall(question * 100)
    return asking


def test_who_reads_no_answer_is_cut(daemon: RunningDaemon, doors: list[Door]) -> None:
    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        with contextlib.ExitStack() as stack:
            for door in (doors[2], doors[-1]):
                stack.enter_context(await asyncio.to_thread(ask_and_read_nothing, door))
            await nothing_left(daemon, files)

    run(main())


def test_a_crowd_that_comes_while_the_daemon_is_busy_is_let_in(daemon: RunningDaemon, doors: list[Door]) -> None:
    """None of them has to try again: systems do that after one second, three and seven."""

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        crowd: list[asyncio.StreamWriter] = []
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                for door in doors[:3]:
                    crowd += [(await asyncio.open_connection(*door.place))[1] for _ in range(300)]
        finally:
            daemon.process.send_signal(signal.SIGCONT)
            for writer in crowd:
                writer.transport.abort()
        await nothing_left(daemon, files)

    run(main())
