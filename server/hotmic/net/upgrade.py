"""WebSockets on the HTTP port, as Starlette hands them over."""

import asyncio
import contextlib
import http
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, WebSocket
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect, WebSocketState
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from hotmic.dialects.dialect import Frame
from hotmic.errors import HotmicError
from hotmic.net.deflate import offer
from hotmic.net.listener import CLOSE_WITHIN, GOODBYES
from hotmic.net.peer import PeerGoneError
from hotmic.net.reception import Reception, body_of, status_of

log = structlog.get_logger(__name__)


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


class _UpgradedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which ends as the ``websockets`` library does.

    - A client is dead when nothing came of it for ``ping_timeout`` seconds; one that is not read is not asked for its
      pong, which stands behind its audio.
    - Whoever is told to go, or goes, has ``CLOSE_WITHIN`` seconds to take the close frame and then is cut, so one that
      reads nothing keeps no connection. What it still sends is read meanwhile: a connection that is closed before
      that is reset, and the close frame may be lost with it.
    - Text that is no UTF-8 ends a connection without a traceback in the log for every such frame; what comes behind it,
      or behind a frame that breaks the protocol, is not answered.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._heard_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._heard_at = self.loop.time()
        super().data_received(data)

    async def receive(self) -> Any:
        """Return what comes next."""
        message = await super().receive()
        self._heard_at = self.loop.time()  # until now it may not have been read
        return message

    async def send(self, message: Any) -> None:
        """Send, where it is no close frame when the client takes it."""
        is_close = message["type"] == "websocket.close" and self.handshake_complete
        if is_close:
            self.writable.set()
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # refused with an answer, which uvicorn would log as an error of ours
        if is_close and self.close_timer is not None:
            self._cut_soon()

    def keepalive_timeout(self) -> None:
        """No pong came in time."""
        assert self.ping_timeout is not None
        silent = 0.0 if self.read_paused else self.loop.time() - self._heard_at
        if silent < self.ping_timeout:
            self.pong_timer = self.loop.call_later(self.ping_timeout - silent, self.keepalive_timeout)
        else:
            log.info("A client is gone without a word.", silent_s=round(silent, 1))
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, while there may be an answer: nothing follows a close frame."""
        if not self.close_sent:
            super().handle_ping()

    def handle_close(self, event: Any) -> None:
        """End as the client wishes; its close frame is answered, so none can be sent any more."""
        super().handle_close(event)
        self.close_sent = True
        self._cut_soon()

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                if self.conn.state is State.OPEN:  # else the client's own close frame came with it
                    self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Tell a client that broke the protocol, and its reader; once."""
        if self.close_sent:
            return
        close = self.conn.close_sent
        assert close is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._cut_soon()

    def _cut_soon(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_WITHIN, self.transport.abort)


def compressing(may_compress: Callable[[str], bool]) -> type[asyncio.Protocol]:
    """Return the WebSocket protocol, with compression on the paths that may have it."""

    class CompressingProtocol(_UpgradedProtocol):
        def handle_connect(self, event: Request) -> None:
            offer(self.conn, is_offered=may_compress(event.path))
            super().handle_connect(event)

    return CompressingProtocol


def _refusal(status: http.HTTPStatus, error: HotmicError) -> Response:
    body = msgspec.json.encode(body_of(error))
    return Response(body, status.value, media_type="application/json")
