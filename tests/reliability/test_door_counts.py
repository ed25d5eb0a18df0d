"""How many connections and streams one address may have, at every port and path and behind nginx, and nobody else's."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection

from door_support import Door, close_code, descriptors, direct, entering, nothing_left, proxied
from fault_runner import REGISTRY
from hotmic.engines import echo
from nginx_support import HOST
from reliability_support import health, run
from running import RunningDaemon, start_daemon

pytestmark = pytest.mark.integration

HANG = 60.0
MOST, MOST_STREAMS = 3, 1
LIMITS = {
    "HOTMIC_ALLOWED_HOSTS": HOST,
    "HOTMIC_TRUSTED_PROXIES": "127.0.0.1",
    "HOTMIC_AUTH": "none",
    "HOTMIC_MAX_CONNECTIONS_PER_ADDRESS": str(MOST),
    "HOTMIC_MAX_STREAMS_PER_ADDRESS": str(MOST_STREAMS),
    "HOTMIC_SESSION_TTL_S": "0",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "models.yaml").write_text(REGISTRY)
    running = start_daemon(folder, "--models", str(folder / "models.yaml"), "--vad", "webrtc", env=LIMITS)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def doors(daemon: RunningDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Door, str]]]:
    """Every door, and an address that comes to no other."""
    with proxied(daemon, tmp_path_factory.mktemp("nginx") / "run") as behind:
        yield [(door, f"127.0.1.{number}") for number, door in enumerate([*direct(daemon), *behind], 1)]


async def enter(stack: AsyncExitStack, door: Door, address: str, name: str = "one") -> ClientConnection:
    """Come from an address, and claim to come from another."""
    raw = socket.socket()
    raw.bind((address, 0))
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, door.place)
    claim = {"X-Forwarded-For": "203.0.113.7"}
    options = {"sock": raw, "host": None, "port": None, "additional_headers": claim}
    return await stack.enter_async_context(entering(door, f"?client_id={name}", **options))


async def is_in(connection: ClientConnection) -> bool:
    """Return whether a connection is not closed as one too many: it answers a ping that came after the refusal."""
    with contextlib.suppress(Exception):
        await (await connection.ping())
    return connection.state == 1


async def refusal(door: Door, connection: ClientConnection) -> tuple[str, int]:
    """Return the code of the error of one too many, where its protocol has errors, and of the close."""
    code = ""
    if door.dialect != "plain_text":
        while not code:
            message = json.loads(await connection.recv())
            code = message.get("error", message).get("code", "") if message["type"] == "error" else ""
    return code or "rate_limited", await close_code(connection)


def test_one_too_many_from_an_address_is_refused(daemon: RunningDaemon, doors: list[tuple[Door, str]]) -> None:
    async def judge(door: Door, address: str) -> None:
        async with AsyncExitStack() as stack:
            first = [await enter(stack, door, address) for _ in range(MOST)]
            late = await enter(stack, door, address)
            assert await refusal(door, late) == ("rate_limited", 1013), door.name
            assert all([await is_in(one) for one in first]), door.name
            assert await is_in(await enter(stack, door, f"127.0.2.{address.rpartition('.')[2]}")), door.name
            await first[0].close()
            async with asyncio.timeout(20):
                while True:  # it counts until the daemon has seen it go
                    again = await enter(stack, door, address)
                    await asyncio.sleep(0.1)
                    if await is_in(again):
                        break

    async def main() -> None:
        await health(daemon)
        files = descriptors(daemon)
        async with asyncio.timeout(HANG):
            await asyncio.gather(*(judge(*each) for each in doors))
        await nothing_left(daemon, files)

    run(main())


def test_one_stream_too_many_from_an_address_is_refused(daemon: RunningDaemon, doors: list[tuple[Door, str]]) -> None:
    speaking = [each for each in doors if each[0].tongue() is not None]

    async def speak(door: Door, address: str, stack: AsyncExitStack, name: str) -> ClientConnection:
        connection = await enter(stack, door, address, name)
        tongue = door.tongue()
        assert tongue is not None
        for frame in [*tongue.greet(), *(tongue.chunk(echo.chunk(number)) for number in range(3))]:
            await connection.send(frame)
        return connection

    async def judge(door: Door, address: str, spoken: asyncio.Barrier) -> None:
        async with AsyncExitStack() as stack:
            first = await speak(door, address, stack, door.name)
            while (sessions := (await health(daemon))["sessions"]) < len(speaking):
                await asyncio.sleep(0.1)
            assert sessions == len(speaking)
            await spoken.wait()
            other = await enter(stack, door, f"127.0.2.{address.rpartition('.')[2]}")
            with contextlib.suppress(Exception):
                late = await speak(door, address, stack, f"{door.name}-late")
            assert await refusal(door, late) == ("rate_limited", 1013), door.name
            assert await is_in(first), door.name
            assert await is_in(other), door.name

    async def main() -> None:
        spoken = asyncio.Barrier(len(speaking))
        await health(daemon)
        files = descriptors(daemon)
        async with asyncio.timeout(HANG):
            await asyncio.gather(*(judge(*each, spoken) for each in speaking))
        await nothing_left(daemon, files)

    run(main())
