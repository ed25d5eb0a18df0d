"""Who is let in and what they may do, with real handshakes: Host x Origin, carrier x token, role x message."""

import asyncio
import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hotmic.engines import echo
from reliability_support import run, write_registry
from running import RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

TOKEN = "all-0123456789abcdef"
ROLES = {"control": "control", "speak": "speak", "listen": "listen", "none of control": "speak,listen"}
BOTH = ("control", "audio")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("doors")
    tokens = folder / "tokens"
    tokens.write_text(
        "".join([f"all:{TOKEN}\n", *(f"{i}:{token_of(role)}:{ROLES[role]}\n" for i, role in enumerate(ROLES))])
    )
    env = {"HOTMIC_ALLOWED_HOSTS": "captions.example", "HOTMIC_ALLOWED_ORIGINS": "https://other.example"}
    flags = ["--models", write_registry(folder, "echo"), "--vad", "seed", "--tokens", str(tokens)]
    with running_daemon(folder, *flags, env=env) as running:
        yield running


def token_of(role: str) -> str:
    return f"token-of-{role.replace(' ', '-')}-0123456789"


# Host x Origin

HOSTS: dict[str | None, str] = {
    "127.0.0.1": "loopback",
    "127.0.0.1:8765": "loopback",
    "127.8.9.10": "loopback",
    "localhost": "loopback",
    "LocalHost:1": "loopback",
    "[::1]": "loopback",
    "[::1]:8765": "loopback",
    "captions.example": "captions.example",
    "CAPTIONS.example:443": "captions.example",
    "evil.example": "",
    "other.example": "",
    "captions.example.evil.example": "",
    "127.0.0.1.evil.example": "",
    "localhost.evil.example": "",
    "192.0.2.1": "",
    "evil.example@127.0.0.1": "",
    "127.0.0.1/evil.example": "",
    "[": "",
    "": "",
    None: "",
}
"""What a Host stands for: this machine, a name of the settings, or nothing."""

ORIGINS: dict[str | None, str] = {
    None: "anywhere",
    "null": "anywhere",
    "https://other.example": "anywhere",
    "https://OTHER.example/": "anywhere",
    "http://127.0.0.1:8000": "loopback",
    "http://localhost": "loopback",
    "https://localhost:8443": "loopback",
    "http://[::1]:8000": "loopback",
    "https://captions.example": "captions.example",
    "http://captions.example:8000": "captions.example",
    "http://other.example": "",
    "https://other.example:444": "",
    "https://evil.example": "",
    "https://other.example.evil.example": "",
    "http://127.0.0.1.evil.example": "",
    "http://evil.example@127.0.0.1": "",
    "http://127.0.0.1/evil.example?x": "",
    "http://[::1": "",
    "": "",
    "file://": "",
}
"""Where an Origin may come to: any door, those of this machine, those of its own name, or none."""

DOORS = list(itertools.product(HOSTS, ORIGINS))


async def knock(uri: str, target: str, headers: list[str]) -> int:
    """Send a request as it stands; return the status of the answer."""
    parts = urlsplit(uri)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", *headers, "", ""]).encode())
        async with asyncio.timeout(20):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def test_hosts_and_origins(daemon: RunningDaemon) -> None:
    upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]

    async def main() -> list[str]:
        wrong = []
        for host, origin in DOORS:
            headers = [f"Host: {host}"] * (host is not None) + [f"Origin: {origin}"] * (origin is not None)
            let_in = bool(HOSTS[host]) and ORIGINS[origin] in ("anywhere", HOSTS[host])
            for uri, target, more, welcome in (
                (daemon.control, "/", upgrade, 101),
                (daemon.http, "/health/live", ["Connection: close"], 200),
            ):
                status = await knock(uri, target, headers + more)
                if (status == welcome) != let_in or status not in (welcome, 400, 403):
                    wrong.append(f"{target} Host {host!r} Origin {origin!r}: {status}")
        return wrong

    assert len(DOORS) == 400
    assert run(main()) == []


# carriers x tokens

STATES = {
    "right": TOKEN,
    "wrong": "wrong-0123456789abcdef",
    "cut": TOKEN[:-1],
    "longer": TOKEN + "0",
    "capitals": TOKEN.upper(),
    "name": "all",
}
CARRIERS = ("bearer", "basic", "message", "query")


async def present(uri: str, carrier: str, token: str) -> bool:
    """Present a token; return whether the daemon then serves."""
    headers = {"bearer": f"Bearer {token}", "basic": f"Basic {base64.b64encode(f':{token}'.encode()).decode()}"}
    more = {"additional_headers": {"Authorization": headers[carrier]}} if carrier in headers else {}
    query = f"/?token={token}" if carrier == "query" else ""
    try:
        async with connect(uri + query, **more) as socket:  # type: ignore[arg-type]
            if carrier == "message":
                await socket.send(json.dumps({"type": "authenticate", "token": token}))
            await socket.send('{"type":"ping"}')
            async for frame in socket:
                if json.loads(frame)["type"] == "pong":
                    return True
                if json.loads(frame)["type"] == "error":
                    assert json.loads(frame)["code"] == "not_authorized"
    except InvalidStatus as refused:
        assert refused.response.status_code == 403
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1008
    return False


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("state", STATES)
def test_tokens(daemon: RunningDaemon, name: str, carrier: str, state: str) -> None:
    """The right token opens by the carriers that exist; a password or a query is none."""
    served = run(present(getattr(daemon, name), carrier, STATES[state]))
    assert served == (state == "right" and carrier in ("bearer", "message"))


# roles x messages

CHUNK = base64.b64encode(echo.chunk(0).tobytes()).decode()
MESSAGES: list[tuple[str, dict[str, Any] | bytes, str]] = [
    ("control", {"type": "get_models"}, ""),
    ("control", {"type": "load_model", "model_id": "none"}, "control"),
    ("control", {"type": "unload_model", "model_id": "none"}, "control"),
    ("control", {"type": "get_status"}, ""),
    ("control", {"type": "start_recording"}, "control"),
    ("control", {"type": "stop_recording"}, "control"),
    ("control", {"type": "configure", "task": "transcribe"}, "control"),
    ("control", {"type": "subscribe", "channel": "default"}, "listen"),
    ("control", {"type": "ping"}, ""),
    ("audio", {"type": "audio_chunk", "data": CHUNK}, "speak"),
    ("audio", {"type": "audio_chunk", "data": CHUNK, "seq": 0}, "speak"),
    ("audio", echo.chunk(0).tobytes(), "speak"),
    ("audio", {"type": "audio_end"}, "speak"),
    ("audio", {"type": "configure", "task": "transcribe"}, "speak"),
    ("audio", {"type": "resume", "session_id": "nobody"}, "speak"),
    ("audio", {"type": "subscribe", "channel": "default"}, "listen"),
    ("audio", {"type": "ping"}, ""),
]
"""Socket, message, and the scope it needs."""


async def is_allowed(uri: str, role: str, message: dict[str, Any] | bytes) -> bool:
    """Send a message in a role; return whether the daemon took it."""
    try:
        async with connect(uri, additional_headers={"Authorization": f"Bearer {token_of(role)}"}) as socket:
            await socket.send(message if isinstance(message, bytes) else json.dumps(message))
            await socket.send('{"type":"ping","request_id":"after"}')
            async for frame in socket:
                answer = json.loads(frame)
                if answer["type"] == "error" and answer["code"] == "not_authorized":
                    return False
                if answer["type"] == "pong" and answer.get("request_id") == "after":
                    return True
    except ConnectionClosed as closed:
        pytest.fail(f"closed without an error: {closed}")
    pytest.fail("closed without an error")


@pytest.mark.parametrize("role", ROLES)
def test_roles(daemon: RunningDaemon, role: str) -> None:
    async def main() -> list[tuple[str, object, bool]]:
        wrong: list[tuple[str, object, bool]] = []
        for name, message, scope in MESSAGES:
            allowed = await is_allowed(getattr(daemon, name), role, message)
            if allowed != (not scope or scope in ROLES[role].split(",")):
                wrong.append((name, message if isinstance(message, bytes) else message["type"], allowed))
        return wrong

    assert len(MESSAGES) * len(ROLES) >= 60
    assert run(main()) == []
