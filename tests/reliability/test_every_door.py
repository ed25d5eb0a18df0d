"""Broken frames, broken handshakes and clients that never say who they are, at every port and path and behind nginx."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from broken_frame import bad_frames, close_code
from fault_runner import REGISTRY
from hotmic.dialects.negotiate import GATEWAY_PATHS
from nginx_support import HOST, nginx_before
from reliability_support import Figures, both, health
from running import RunningDaemon, start_daemon

pytestmark = pytest.mark.integration

LANES = 8
HANG = 60.0


class Door(NamedTuple):
    """An address, and what it takes to come in there."""

    uri: str
    tls: ssl.SSLContext | None = None
    host: str = ""


class Size(NamedTuple):
    """Every how many-th of the broken frames comes to the doors behind nginx."""

    step: int


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "models.yaml").write_text(REGISTRY)
    tokens = folder / "tokens"
    tokens.write_text("alice:0123456789abcdef\n")
    env = {"HOTMIC_ALLOWED_HOSTS": HOST}
    flags = ("--models", str(folder / "models.yaml"), "--tokens", str(tokens))
    running = start_daemon(folder, *flags, env=env)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def proxied(daemon: RunningDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Door]]:
    """Every path, behind nginx."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ExitStack() as stack:
        port = stack.enter_context(nginx_before(daemon, tmp_path_factory.mktemp("nginx")))
        yield [Door(f"wss://127.0.0.1:{port}{path}", context, HOST) for path in GATEWAY_PATHS]


def direct(daemon: RunningDaemon) -> list[Door]:
    """Every port and path."""
    gateway = daemon.http.replace("http", "ws", 1)
    return [Door(daemon.control), Door(daemon.audio), *(Door(gateway + path) for path in GATEWAY_PATHS)]


async def nothing_left(daemon: RunningDaemon) -> None:
    async with asyncio.timeout(HANG):
        while (await health(daemon))["sessions"]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("size", both(Size(10), Size(1)))
def test_broken_frames(daemon: RunningDaemon, proxied: list[Door], figures: Figures, size: Size) -> None:
    kinds = bad_frames()
    cases = [(door, *kind) for door in direct(daemon) for kind in kinds]
    cases += [(door, *kind) for number, door in enumerate(proxied) for kind in kinds[number % size.step :: size.step]]

    async def main() -> None:
        lanes = asyncio.Semaphore(LANES)

        async def judge(door: Door, what: str, data: bytes, code: int) -> str:
            async with lanes:
                told = await close_code(door.uri, data, tls=door.tls, host=door.host)
            return "" if told == code else f"{door.uri}: {what}: {told} and not {code}: {data[:20]!r}"

        wrong = [found for found in await asyncio.gather(*(judge(*case) for case in cases)) if found]
        assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)}", *wrong[:20]])
        await nothing_left(daemon)

    asyncio.run(main())
    figures.note(frames=len(cases), doors=len(proxied) + len(direct(daemon)))


def test_who_presents_no_token_in_time_is_shown_out(daemon: RunningDaemon, proxied: list[Door]) -> None:
    async def judge(door: Door) -> tuple[str, int]:
        parts = urlsplit(door.uri)
        uri = door.uri.replace(parts.netloc, door.host or parts.netloc)
        async with connect(uri, ssl=door.tls, host=parts.hostname, port=parts.port, open_timeout=HANG) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.recv()
        return door.uri, closed.value.rcvd.code if closed.value.rcvd else 1006

    async def main() -> None:
        doors = [*direct(daemon), *proxied]
        async with asyncio.timeout(HANG):
            assert await asyncio.gather(*map(judge, doors)) == [(door.uri, 1008) for door in doors]

    asyncio.run(main())


def test_half_a_handshake_is_not_waited_for(daemon: RunningDaemon) -> None:
    doors = (daemon.control, daemon.audio, daemon.http)

    async def judge(uri: str, request: bytes) -> None:
        parts = urlsplit(uri)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(1 << 16):
                pass
        writer.close()

    async def main() -> None:
        whole = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        halves = [whole[:size] for size in (0, 1, 20, len(whole) - 2)]
        cases = [(door, half) for door in doors for half in halves]
        asked = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        cases += [(daemon.http, asked + whole[:20]), (daemon.http, asked + asked + whole[:-2])]
        async with asyncio.timeout(HANG):
            await asyncio.gather(*(judge(*case) for case in cases))

    asyncio.run(main())
