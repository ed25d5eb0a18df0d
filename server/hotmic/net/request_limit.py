"""Requests on the HTTP port whose head does not come: their connections end, as on the WebSocket ports."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

OPEN_TIMEOUT = 10.0
"""Seconds for the head of a request, from the connection or the first byte of the next request on."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which itself waits for ever for the end of a head."""

    _deadline: asyncio.TimerHandle | None = None
    _last: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request; one that begins is waited for as long as the first."""
        super().data_received(data)
        if self._is_in_head and self._deadline is None and self.timeout_keep_alive_task is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget about it."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    @property
    def _is_in_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        self._last = self.cycle
        self._deadline = self.loop.call_later(OPEN_TIMEOUT, self._judge)

    def _judge(self) -> None:
        self._deadline = None
        if self.transport.get_protocol() is not self or not self._is_in_head:
            return  # a WebSocket by now, or being answered
        if self.cycle is self._last:
            self.transport.close()
        elif self.timeout_keep_alive_task is None:
            self._watch()
