import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from hotmic.net import prompt
from hotmic.net.gateway import Gateway

HANG = 20.0
WITHIN = 0.3
POURED, DROP = 2000, b"data: " + b"x" * 10_000 + b"\n\n"
"""A stream that fits into no buffer of any system."""
ASK = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "REQUEST_WITHIN", WITHIN)


@asynccontextmanager
async def gateway(poured: asyncio.Event | None = None, *, slow_client: float = WITHIN) -> AsyncIterator[int]:
    app, poured = FastAPI(), poured or asyncio.Event()

    @app.get("/quick")
    async def quick() -> str:
        return "here"

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3 * WITHIN)
        return "here"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(pour(), media_type="text/event-stream")

    @app.get("/whole")
    async def whole() -> PlainTextResponse:
        return PlainTextResponse(DROP * POURED)

    async def pour() -> AsyncIterator[bytes]:
        try:
            for _ in range(POURED):
                yield DROP
        finally:
            poured.set()

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    opened = Gateway(app, max_message=1 << 16, may_compress=lambda target: False, slow_client=slow_client)
    try:
        yield await opened.open("127.0.0.1", 0)
    finally:
        await opened.close()


async def hear(port: int, *pieces: bytes) -> bytes:
    """Send pieces and return all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(pieces))
        async with asyncio.timeout(HANG):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("said", [b"", b"GET /quick HT", ASK[:-2]])
def test_who_asks_nothing_is_cut(said: bytes) -> None:
    async def main() -> None:
        async with gateway() as port:
            assert await hear(port, said) == b""

    asyncio.run(main())


def test_half_a_second_request_is_no_request() -> None:
    async def main() -> None:
        async with gateway() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(HANG):
                writer.write(ASK)
                await reader.readuntil(b'"here"')
                writer.write(ASK[:20])
                assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_a_request_may_take_its_time_and_a_websocket_all_of_it() -> None:
    async def main() -> None:
        async with gateway() as port:
            answer = await hear(port, b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert answer.endswith(b'"here"')
            async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
                await asyncio.sleep(3 * WITHIN)  # what is shown is that nothing happens meanwhile
                await socket.send("still here")
                assert await socket.recv() == "still here"

    asyncio.run(main())


def test_headers_have_a_limit() -> None:
    async def main() -> None:
        async with gateway() as port:
            lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(2000))
            answer = b""
            with contextlib.suppress(ConnectionResetError):  # it does not read what it refuses
                answer = await hear(port, ASK[:-2], lines, b"Connection: close\r\n\r\n")
            assert b"here" not in answer

    asyncio.run(main())


def test_a_refused_handshake_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def refuse(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("go away", 403))

    async def main() -> None:
        opened = Gateway(app, max_message=1 << 16, may_compress=lambda target: False, slow_client=WITHIN)
        port = await opened.open("127.0.0.1", 0)
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/ws")
        assert (refused.value.response.status_code, refused.value.response.body) == (403, b"go away")
        await opened.close()

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def ask_for(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def test_who_does_not_read_is_cut_and_its_stream_ends() -> None:
    async def main() -> None:
        poured = asyncio.Event()
        async with gateway(poured) as port, asyncio.timeout(HANG):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(ask_for("/stream"))
            await poured.wait()
            heard = 0
            with contextlib.suppress(ConnectionResetError):
                while piece := await reader.read(1 << 16):
                    heard += len(piece)
            assert heard < POURED * len(DROP)
            writer.close()

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/stream", "/whole"])
def test_who_reads_slowly_hears_all_of_it(path: str) -> None:
    async def main() -> None:
        patience = 4 * WITHIN  # a machine that stands still for a moment is nobody's fault
        async with gateway(slow_client=patience) as port, asyncio.timeout(3 * HANG):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 14)
            writer.write(ask_for(path))
            heard, slept = 0, 0.0
            while piece := await reader.read(1 << 18):
                heard += len(piece)
                if slept < 1.5 * patience:
                    await asyncio.sleep(patience / 16)  # slower than the stream, and yet reading all the time
                    slept += patience / 16
            assert heard > POURED * len(DROP)
            writer.close()

    asyncio.run(main())
