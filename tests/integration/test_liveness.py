"""Whether a client is still there: real sockets, short times."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from hotmic.engines import echo
from hotmic.net.listener import Listener
from hotmic.net.liveness import WatchedConnection
from hotmic.net.reception import Reception
from hotmic.net.throttle import Rates
from net_support import House

pytestmark = pytest.mark.integration

INTERVAL, PATIENCE = 0.1, 0.35


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[str]:
    """Open the audio port with short times."""
    reception = Reception("audio", house.services, {"/": "audio"})
    listener = Listener(
        reception, setting="audio_port", max_message=1 << 20, ping_interval=INTERVAL, ping_timeout=PATIENCE
    )
    port = await listener.open("127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{port}/?channel=c"
    finally:
        await listener.close(1001, "")


def run(folder: Path, rates: Rates, talk: Callable[[House, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        house = House(folder, rates=rates)
        async with asyncio.timeout(30), listening(house) as uri, connect(uri, ping_interval=None) as socket:
            await talk(house, socket)

    asyncio.run(main())


def test_a_client_that_only_answers_pings_stays(tmp_path: Path) -> None:
    async def talk(house: House, socket: Any) -> None:
        await asyncio.sleep(4 * PATIENCE)
        await socket.send(echo.chunk(0).tobytes())
        await socket.send('{"type":"ping"}')
        while b'"pong"' not in (await socket.recv(decode=False)):
            pass

    run(tmp_path, Rates(), talk)


def test_a_client_that_answers_no_ping_but_speaks_stays_until_it_is_silent(tmp_path: Path) -> None:
    async def talk(house: House, socket: Any) -> None:
        send_frame = socket.protocol.send_frame
        socket.protocol.send_frame = lambda frame: frame.opcode is Opcode.PONG or send_frame(frame)
        for number in range(round(4 * PATIENCE / INTERVAL)):
            await socket.send(echo.chunk(number).tobytes())
            await asyncio.sleep(INTERVAL)
        (report,) = house.services.roster.reports()
        assert report.session_id
        while house.services.roster.reports():
            await asyncio.sleep(INTERVAL)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
        assert closed.value.rcvd is None, "nobody is there to be told"

    run(tmp_path, Rates(), talk)


def test_a_client_whose_answers_stand_behind_held_audio_stays(tmp_path: Path) -> None:
    """One chunk is held for much longer than a client may be silent, and pongs cannot be read behind the rest."""

    async def talk(house: House, socket: Any) -> None:
        sound = b"".join(echo.chunk(number).tobytes() for number in range(10))
        for _ in range(5):
            await socket.send(sound)
        sending = asyncio.create_task(send(socket))
        seconds = house.services.metrics.audio_seconds._value
        while seconds.get() < 5:
            await asyncio.sleep(INTERVAL)
        (report,) = house.services.roster.reports()
        assert report.held_s > 4 * PATIENCE
        sending.cancel()
        socket.transport.abort()  # a farewell would wait behind what is not read

    async def send(socket: Any) -> None:
        while True:
            await socket.send(bytes(500_000))

    run(tmp_path, Rates(audio=2.0, audio_burst=1.0), talk)


def test_who_reads_nothing_is_not_waited_for_at_the_close() -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def talk_and_go(socket: ServerConnection) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while True:
                        await socket.send(bytes(100_000))
            await socket.close()
            closed.set()

        short: dict[str, Any] = {"ping_interval": None, "close_timeout": PATIENCE}
        async with (
            asyncio.timeout(30),
            serve(talk_and_go, "127.0.0.1", 0, create_connection=WatchedConnection, **short) as server,
        ):
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}", compression=None, ping_interval=None) as socket:
                socket.transport.pause_reading()
                await closed.wait()

    asyncio.run(main())
