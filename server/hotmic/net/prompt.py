"""What the HTTP port asks of those who come: a request of bounded size, in bounded time, and to read the answer."""

import asyncio
from typing import Any

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from hotmic.net.liveness import SEND_BUFFER

REQUEST_WITHIN = 10.0
"""Seconds in which a request must have come, up to its body."""

log = structlog.get_logger(__name__)


class PromptProtocol(H11Protocol):
    """A connection that is closed when no request comes on it, and cut when nothing of an answer is read.

    On h11 in any case: it bounds the headers of a request, and the faster parser that uvicorn would choose where it is
    installed does not.

    Args:
        slow_client: Seconds in which some of what waits must have been read.
        args: See uvicorn.
        more: See uvicorn.
    """

    def __init__(self, *args: Any, slow_client: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._slow_client = slow_client
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        # All that the client's system does not take is felt. Not 0: asyncio's TLS would call an empty buffer full.
        transport.set_write_buffer_limits(high=1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._cancel()
        self._stop_waiting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """All was read."""
        self._stop_waiting()
        super().resume_writing()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave the connection to a WebSocket, which has limits of its own."""
        self._stop_waiting()
        self.transport.set_write_buffer_limits(SEND_BUFFER)
        super().handle_websocket_upgrade(event)

    def _await_reading(self) -> None:
        self._stop_waiting()
        waiting = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self._slow_client, self._judge_reader, waiting)

    def _judge_reader(self, waited: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting < waited:
            self._await_reading()
            return
        log.warning("A client that does not read its answer is cut.", bytes=waiting)
        self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_WITHIN, self._expire)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self.transport.get_protocol() is self:  # else it became a WebSocket
            self.transport.close()
