"""WebSockets of the HTTP port."""

import asyncio
from typing import Any

from starlette.websockets import WebSocket

from hotmic.net.upgrade import StarlettePeer


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
