"""WebSockets of the HTTP port."""

import asyncio
import contextlib
import logging
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from broken_frame import frame
from certificates import make_certificate, trusting
from hotmic.net.gateway import Gateway
from hotmic.net.liveness import SEND_BUFFER
from hotmic.net.upgrade import StarlettePeer

HANG = 20.0
"""Seconds, fewer than the system waits for a client that takes nothing."""
PING_TIMEOUT = 0.3
ASK = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
RUBBISH, PING, BROKEN = frame(0x81, b"\xff"), frame(0x89, b"there?"), frame(0xF1, b"")
CLOSE = frame(0x88, struct.pack("!H", 1000))


@asynccontextmanager
async def gateway(say: str = "", *, idle: float = 0.0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Gateway]:
    app = FastAPI()

    @app.websocket("/ws")
    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            if say:
                await socket.send_text(say)
            while True:
                await asyncio.sleep(idle)
                await socket.send_text(await socket.receive_text())

    opened = Gateway(app, max_message=1 << 16, may_compress=lambda target: False, slow_client=HANG, tls=tls)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def entering(
    opened: Gateway, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = await opened.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10, ssl=tls)
    try:
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ((RUBBISH + PING,), 1007),
        ((RUBBISH, PING), 1007),
        ((RUBBISH, BROKEN), 1007),
        ((RUBBISH + RUBBISH,), 1007),
        ((RUBBISH + CLOSE,), 1000),
        ((BROKEN, PING + RUBBISH), 1002),
    ],
)
def test_what_comes_behind_rubbish_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture, frames: tuple[bytes, ...], code: int
) -> None:
    async def main() -> None:
        async with gateway() as opened, entering(opened) as (reader, writer), asyncio.timeout(HANG):
            heard = b""
            for piece in frames:
                writer.write(piece)
                heard += await reader.read(1 << 10)
            while piece := await reader.read(1 << 10):
                heard += piece
            assert b"\x88" in heard
            assert heard[heard.index(b"\x88") + 2 :][:2] == struct.pack("!H", code)

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_who_says_goodbye_and_does_not_read_keeps_no_connection() -> None:
    async def main() -> None:
        async with gateway("x" * (8 << 20)) as opened, entering(opened) as (_, writer), asyncio.timeout(HANG):
            assert opened._server is not None
            connections = opened._server.server_state.connections
            assert len(connections) == 1
            writer.write(CLOSE)
            while connections:
                await asyncio.sleep(0.05)

    asyncio.run(main())


def test_closing_what_has_gone_meanwhile_is_no_failure() -> None:
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.close":
            raise OSError

    async def main() -> None:
        scope = {"type": "websocket", "client": ("127.0.0.1", 1), "headers": [], "path": "/", "query_string": b""}
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await StarlettePeer(socket).close(1000, "")

    asyncio.run(main())
    assert sent == ["websocket.accept", "websocket.close"]


def test_a_port_closes_while_somebody_who_said_goodbye_does_not_read() -> None:
    async def main() -> None:
        async with gateway("x" * (8 << 20)) as opened, entering(opened) as (_, writer), asyncio.timeout(HANG):
            assert opened._server is not None
            (connection,) = opened._server.server_state.connections
            writer.write(CLOSE)
            while not connection.transport.is_closing():
                await asyncio.sleep(0)
            await opened.close()

    asyncio.run(main())


def test_little_waits_for_a_slow_client_with_tls_too(tmp_path: Path) -> None:
    """asyncio's own limit is eight times as high there."""
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def main() -> None:
        async with gateway(tls=context) as opened, entering(opened, tls=trusting(tmp_path)):
            assert opened._server is not None
            (connection,) = opened._server.server_state.connections
            assert connection.transport.get_write_buffer_limits()[1] == SEND_BUFFER

    asyncio.run(main())


def test_who_is_not_read_need_not_answer_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotmic.net.gateway.PING_INTERVAL", PING_TIMEOUT / 3)
    monkeypatch.setattr("hotmic.net.gateway.PING_TIMEOUT", PING_TIMEOUT)

    async def main() -> None:
        async with gateway(idle=3 * PING_TIMEOUT) as opened, entering(opened) as (reader, writer):
            async with asyncio.timeout(HANG):
                writer.write(frame(0x81, b"first") + frame(0x81, b"second"))
                heard = await reader.readuntil(b"second")
                assert b"first" in heard
                assert heard.count(b"\x89\4") >= 1, "it was asked"
                await reader.read()  # now it is read, and says nothing

    asyncio.run(main())
