"""The client library before a daemon that talks much."""

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

import hotmic_client
from hotmic_client import EVENTS_LIMIT, Client, ClientError

pytestmark = pytest.mark.integration


async def talk(socket: ServerConnection) -> None:
    """Greet, say more than a client keeps, answer one request and hang up."""
    await socket.send(json.dumps({"type": "connected"}))
    for number in range(EVENTS_LIMIT + 5):
        await socket.send(json.dumps({"type": "realtime_transcription", "text": str(number)}))
    request = json.loads(await socket.recv())
    await socket.send(json.dumps({"type": "status", "request_id": request["request_id"]}))


async def keep_silent(socket: ServerConnection) -> None:
    """Take a connection as the audio socket does."""
    await socket.wait_closed()


def test_what_is_wrong_with_an_address_is_said_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotmic_client, "GREETING_WAIT", 0.2)

    async def complaint(control: str, audio: str) -> str:
        with pytest.raises(ClientError) as raised:
            await Client(control, audio).open()
        return str(raised.value)

    async def main() -> None:
        async with serve(talk, "127.0.0.1", 0) as daemon, serve(keep_silent, "127.0.0.1", 0) as silent:
            good, audio = (f"ws://127.0.0.1:{s.sockets[0].getsockname()[1]}" for s in (daemon, silent))
            assert "is that the control socket" in await complaint(audio, audio)
            assert "begins with ws://" in await complaint("http://127.0.0.1:1", good)
            missing = await complaint(good, "ws://127.0.0.1:1")
            assert missing == "No daemon answers at ws://127.0.0.1:1/."

    asyncio.run(main())


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


@pytest.mark.parametrize("ticks", range(5))
def test_a_request_that_is_cancelled_as_its_answer_comes_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    """First seen as a benchmark that never ended: ``asyncio.wait_for`` of Python 3.11 swallows such a cancellation."""

    async def main() -> None:
        client = Client()

        async def send(*_: object) -> None:
            """The daemon is played by the test."""

        async def ask() -> None:
            while True:
                await client.request("ping", until="pong")

        monkeypatch.setattr(client, "_send", send)
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        client._answers["1"].put_nowait({"type": "pong"})
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        assert asking.cancelled()

    asyncio.run(main())
