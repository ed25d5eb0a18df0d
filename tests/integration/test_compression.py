"""Compression is agreed on where a dialect may have it, and a small frame cannot become a large one."""

import asyncio
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from running import RunningDaemon, running_daemon

pytestmark = pytest.mark.integration
LIMIT = 65_536
BOMB = 128 << 20


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("compression")
    (folder / "models.yaml").write_text("default: e\nmodels: [{id: e, name: E, type: echo, languages: [en]}]\n")
    doors = ("--listen", "0/stream=rnnt", "--listen", "0=audio")
    flags = ("--models", str(folder / "models.yaml"), *doors)
    with running_daemon(folder, *flags, env={"HOTMIC_MAX_MESSAGE_BYTES": str(LIMIT)}) as daemon:
        yield daemon


def doors(daemon: RunningDaemon) -> dict[str, bool]:
    """Return every door and whether it may compress."""
    gateway = daemon.http.replace("http", "ws", 1)
    return {
        f"{gateway}/ws/transcribe?client_id=a": True,
        f"{daemon.addresses['rnnt-1']}/stream": True,
        f"{gateway}/": False,
        f"{gateway}/ws/transcription": False,
        f"{gateway}/ws/audio": False,
        f"{gateway}/ws/control": False,
        daemon.control: False,
        daemon.addresses["audio-2"]: False,
    }


def test_where_it_is_agreed_on(daemon: RunningDaemon) -> None:
    async def main() -> dict[str, bool]:
        agreed = {}
        for door in doors(daemon):
            async with connect(door, compression="deflate") as socket:
                assert socket.response is not None
                agreed[door] = "permessage-deflate" in socket.response.headers.get("Sec-WebSocket-Extensions", "")
        return agreed

    assert asyncio.run(main()) == doors(daemon)


async def close_code_of(socket: ClientConnection) -> int | None:
    try:
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    except ConnectionClosed:
        return socket.close_code


def test_the_size_that_counts_is_that_of_the_inflated_message(daemon: RunningDaemon) -> None:
    async def send(door: str, size: int) -> int | None:
        """Send so many silent bytes, compressed, and a ping; return how it was closed, or nothing."""
        async with connect(door, compression="deflate", max_size=None) as socket:
            await socket.send(bytes(size))
            await socket.send('{"type":"ping"}')
            try:
                async with asyncio.timeout(20):
                    while '"pong"' not in str(await socket.recv()):
                        pass
            except ConnectionClosed:
                return socket.close_code
            return None

    async def main() -> None:
        for door in (door for door, may in doors(daemon).items() if may):
            assert await send(door, LIMIT) is None
            assert await send(door, LIMIT + 2) == 1009
            # It is cut while it still sends, so that it may not read the reason any more.
            assert await send(door, BOMB) in (1009, 1006)
        assert peak() - before < BOMB // 2

    def peak() -> int:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    before = peak()
    asyncio.run(main())


def test_a_compressed_frame_that_was_not_agreed_on_ends_the_connection(daemon: RunningDaemon) -> None:
    async def main() -> None:
        for door in (door for door, may in doors(daemon).items() if not may):
            async with connect(door, compression=None) as socket:
                squeezed = zlib.compressobj(wbits=-12)
                data = squeezed.compress(bytes(1000)) + squeezed.flush(zlib.Z_SYNC_FLUSH)
                # A final binary frame with the bit of compression, masked with zeros (RFC 6455, 5.2; RFC 7692, 6).
                head = bytes((0x80 | 0x40 | 0x02, 0x80 | len(data[:-4])))
                socket.transport.write(head + bytes(4) + data[:-4])
                assert await close_code_of(socket) == 1002

    asyncio.run(main())
