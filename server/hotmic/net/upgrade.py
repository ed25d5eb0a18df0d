"""WebSockets on the HTTP port, as Starlette hands them over."""

import asyncio
import contextlib
import http
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, WebSocket
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect, WebSocketState
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from hotmic.dialects.dialect import Frame
from hotmic.errors import HotmicError
from hotmic.net.deflate import offer
from hotmic.net.listener import GOODBYES
from hotmic.net.peer import PeerGoneError
from hotmic.net.reception import Reception, status_of


class StarlettePeer:
    """A WebSocket of the HTTP port."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.address = socket.client.host if socket.client else "local"

    async def receive(self) -> Frame:
        """Return the next frame."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise PeerGoneError(said_goodbye=message.get("code") in GOODBYES)
        data: bytes | None = message.get("bytes")
        return message["text"] if data is None else data

    async def send(self, frame: Frame) -> None:
        """Send a frame as text."""
        try:
            await self._socket.send_text(frame if isinstance(frame, str) else frame.decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise PeerGoneError from error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        if self._socket.application_state is WebSocketState.CONNECTED and self._is_open():
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone meanwhile
                await self._socket.close(code, reason)

    def _is_open(self) -> bool:
        return self._socket.client_state is WebSocketState.CONNECTED


def add_sockets(app: FastAPI, reception: Reception) -> None:
    """Let a reception take every WebSocket of an application."""

    async def accept(socket: WebSocket) -> None:
        def headers(name: str) -> Sequence[str]:
            return socket.headers.getlist(name)

        target = socket.url.path + (f"?{socket.url.query}" if socket.url.query else "")
        try:
            admission = reception.check(target, headers, peer=socket.client.host if socket.client else "local")
        except HotmicError as error:
            await socket.send_denial_response(_refusal(status_of(error), error))
            return
        await socket.accept(subprotocol=admission.protocol)
        await reception.serve(StarlettePeer(socket), admission)

    app.router.routes.append(WebSocketRoute("/{path:path}", accept))


def compressing(may_compress: Callable[[str], bool]) -> type[asyncio.Protocol]:
    """Return uvicorn's WebSocket protocol, with compression on the paths that may have it.

    Text that is no UTF-8 ends a connection as in uvicorn, without a traceback in the log for every such frame.
    """

    class CompressingProtocol(WebSocketsSansIOProtocol):
        def send_receive_event_to_app(self) -> None:
            if self.curr_msg_data_type == "text" and not self.close_sent:
                self.frames = [b"".join(self.frames)]
                try:
                    self.frames[0].decode()
                except UnicodeDecodeError:
                    self.frames = []
                    self.conn.send_close(1007)
                    self.handle_parser_exception()
                    return
            super().send_receive_event_to_app()

        def handle_connect(self, event: Request) -> None:
            offer(self.conn, is_offered=may_compress(event.path))
            super().handle_connect(event)

        async def send(self, message: Any) -> None:
            await super().send(message)
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True  # refused with an answer, which uvicorn would log as an error of ours

    return CompressingProtocol


def _refusal(status: http.HTTPStatus, error: HotmicError) -> Response:
    body = msgspec.json.encode({"type": "error", "code": error.code, "message": error.message})
    return Response(body, status.value, media_type="application/json")
