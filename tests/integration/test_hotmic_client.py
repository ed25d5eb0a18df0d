"""The client library before a daemon that talks much."""

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

from hotmic_client import EVENTS_LIMIT, Client, ClientError

pytestmark = pytest.mark.integration


async def talk(socket: ServerConnection) -> None:
    """Greet, say more than a client keeps, answer one request and hang up."""
    await socket.send(json.dumps({"type": "connected"}))
    for number in range(EVENTS_LIMIT + 5):
        await socket.send(json.dumps({"type": "realtime_transcription", "text": str(number)}))
    request = json.loads(await socket.recv())
    await socket.send(json.dumps({"type": "status", "request_id": request["request_id"]}))


def test_unread_events_hold_up_no_answer_and_the_newest_stay() -> None:
    async def main() -> None:
        async with serve(talk, "127.0.0.1", 0) as server:
            uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with Client(uri, uri, wait=10) as client:
                assert (await client.status())["type"] == "status"
                heard = []
                with pytest.raises(ClientError, match="closed"):
                    async for event in client.events():
                        heard.append(event["text"])
        assert heard[-1] == str(EVENTS_LIMIT + 4)
        assert len(heard) <= EVENTS_LIMIT
        assert client.dropped >= 5, "what was lost is counted"

    asyncio.run(main())
