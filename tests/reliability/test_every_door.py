"""Broken frames, broken handshakes and clients that never say who they are, at every port and path and behind nginx."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from broken_frame import bad_frames, close_code, frame
from door_support import Door, descriptors, direct, entering, nothing_left, proxied
from door_support import close_code as door_close_code
from fault_runner import REGISTRY
from nginx_support import HOST
from reliability_support import Figures, both, health
from running import RunningDaemon, start_daemon

pytestmark = pytest.mark.integration

LANES = 8
HANG = 60.0


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
    running = start_daemon(folder, *flags, env=env, plant="hurried")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def behind(daemon: RunningDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Door]]:
    """Every path, behind nginx."""
    with proxied(daemon, tmp_path_factory.mktemp("nginx") / "run") as doors:
        yield doors


@pytest.mark.parametrize("size", both(Size(10), Size(1)))
def test_broken_frames(daemon: RunningDaemon, behind: list[Door], figures: Figures, size: Size) -> None:
    kinds = bad_frames()
    cases = [(door, *kind) for door in direct(daemon) for kind in kinds]
    cases += [(door, *kind) for number, door in enumerate(behind) for kind in kinds[number % size.step :: size.step]]

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        lanes = asyncio.Semaphore(LANES)

        async def judge(door: Door, what: str, data: bytes, code: int) -> str:
            async with lanes:
                told = await close_code(door.uri, data, tls=door.tls, host=door.host)
            return "" if told == code else f"{door.uri}: {what}: {told} and not {code}: {data[:20]!r}"

        wrong = [found for found in await asyncio.gather(*(judge(*case) for case in cases)) if found]
        assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)}", *wrong[:20]])
        await nothing_left(daemon, files)

    asyncio.run(main())
    figures.note(frames=len(cases), doors=len(behind) + len(direct(daemon)))


def test_who_presents_no_token_in_time_is_shown_out(daemon: RunningDaemon, behind: list[Door]) -> None:
    async def judge(door: Door) -> tuple[str, int]:
        async with entering(door) as socket:
            return door.uri, await door_close_code(socket)

    async def main() -> None:
        doors = [*direct(daemon), *behind]
        assert await asyncio.gather(*map(judge, doors)) == [(door.uri, 1008) for door in doors]

    asyncio.run(main())


def test_who_goes_on_sending_behind_too_large_a_frame_hears_why(daemon: RunningDaemon, behind: list[Door]) -> None:
    data = frame(0x82, bytes(2 << 20), claimed=1 << 24)

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        doors = [*direct(daemon), *behind]
        told = await asyncio.gather(*(close_code(door.uri, data, tls=door.tls, host=door.host) for door in doors))
        assert told == [1009] * len(doors)
        await nothing_left(daemon, files)

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
