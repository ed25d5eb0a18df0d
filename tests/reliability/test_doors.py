"""Who is let in and what they may do, with real handshakes: Host x Origin, carrier x token, role x message."""

import asyncio
import base64
import contextlib
import itertools
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hotmic.config.token_file import TokenEntry, digest, save
from hotmic.engines import echo
from reliability_support import run, write_registry
from running import RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

TOKEN = "all-0123456789abcdef"
OLD = "old-0123456789abcdef"
KITCHEN = "kitchen-0123456789abcdef"
ROLES = {"control": "control", "speak": "speak", "listen": "listen", "none of control": "speak,listen"}
BOTH = ("control", "audio")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("doors")
    tokens = folder / "tokens"
    entries = [
        TokenEntry(name="all", sha256=digest(TOKEN).hex()),
        TokenEntry(name="old", sha256=digest(OLD).hex(), expires="2001-01-01"),
        TokenEntry(name="kitchen", sha256=digest(KITCHEN).hex(), channels=("kitchen", "hall-*")),
    ]
    for role, scopes in ROLES.items():
        sha256 = digest(token_of(role)).hex()
        entries.append(TokenEntry(name=role.replace(" ", "-"), sha256=sha256, scopes=tuple(scopes.split(","))))
    save(tokens, entries)
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

UPGRADE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]
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
    async def main() -> list[str]:
        wrong = []
        for host, origin in DOORS:
            headers = [f"Host: {host}"] * (host is not None) + [f"Origin: {origin}"] * (origin is not None)
            let_in = bool(HOSTS[host]) and ORIGINS[origin] in ("anywhere", HOSTS[host])
            for uri, target, more, welcome in (
                (daemon.control, "/", UPGRADE, 101),
                (daemon.http, "/health/live", ["Connection: close"], 200),
                (daemon.http, "/ws/audio", UPGRADE, 101),
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
    "empty": "",
    "expired": OLD,
    "digest": digest(TOKEN).hex(),
    "secret": "",
    "used secret": "",
}
"""What is presented; secrets are made for each try."""
CARRIERS = (
    "bearer",
    "basic",
    "message",
    "query",
    "subprotocol",
    "openai subprotocol",
    "two that differ",
    "two headers",
)
GOOD_CARRIERS = ("bearer", "message", "subprotocol", "openai subprotocol")
DOOR_NAMES = (*BOTH, "gateway")


def door(daemon: RunningDaemon, name: str) -> str:
    return daemon.http.replace("http", "ws", 1) + "/ws/control" if name == "gateway" else str(getattr(daemon, name))


def new_secret(daemon: RunningDaemon, token: str = TOKEN) -> str:
    """Ask for a client secret."""
    request = urllib.request.Request(
        f"{daemon.http}/v1/realtime/client_secrets", b"{}", {"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["value"])


def handshake(carrier: str, token: str) -> tuple[str, dict[str, Any]]:
    """Return the query and the options of a connection that presents a token."""
    other = "hotmic-token.other-0123456789abcdef"
    match carrier:
        case "bearer":
            return "", {"additional_headers": {"Authorization": f"Bearer {token}"}}
        case "basic":
            hidden = base64.b64encode(f":{token}".encode()).decode()
            return "", {"additional_headers": {"Authorization": f"Basic {hidden}"}}
        case "query":
            return f"?token={token}", {}
        case "subprotocol":
            return "", {"subprotocols": [f"hotmic-token.{token}"]}
        case "openai subprotocol":
            return "", {"subprotocols": ["realtime", f"openai-insecure-api-key.{token}"]}
        case "two that differ":
            return "", {"additional_headers": {"Authorization": f"Bearer {token}"}, "subprotocols": [other]}
        case "two headers":
            return "", {"additional_headers": [("Authorization", f"Bearer {token}")] * 2}
    return "", {}


async def present(uri: str, carrier: str, token: str) -> bool:
    """Present a token; return whether the daemon then serves."""
    query, options = handshake(carrier, token)
    try:
        async with connect(uri + query, **options) as socket:
            if carrier == "message":
                await socket.send(json.dumps({"type": "authenticate", "token": token}))
            await socket.send('{"type":"ping"}')
            async for frame in socket:
                if json.loads(frame)["type"] == "pong":
                    return True
                if json.loads(frame)["type"] == "error":
                    assert json.loads(frame)["code"] in ("not_authorized", "token_expired")
    except InvalidStatus as refused:
        assert refused.response.status_code in (400, 403)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1008
    return False


@pytest.mark.parametrize("name", DOOR_NAMES)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_tokens(daemon: RunningDaemon, name: str, carrier: str) -> None:
    """What is valid opens by the carriers that exist; a password, a URL, or two at once open nothing."""
    uri = door(daemon, name)

    async def main() -> list[str]:
        opened = []
        for state, token in STATES.items():
            if state.endswith("secret"):
                token = await asyncio.to_thread(new_secret, daemon)
            if state == "used secret":
                assert await present(uri, "bearer", token)
            if await present(uri, carrier, token):
                opened.append(state)
        return opened

    assert run(main()) == (["right", "secret"] if carrier in GOOD_CARRIERS else [])


@pytest.mark.parametrize("carrier", GOOD_CARRIERS)
def test_of_all_who_come_with_one_secret_exactly_one_gets_in(daemon: RunningDaemon, carrier: str) -> None:
    async def main() -> list[int]:
        counts = []
        for _ in range(10):
            secret = await asyncio.to_thread(new_secret, daemon)
            tries = [present(door(daemon, name), carrier, secret) for name in DOOR_NAMES * 2]
            counts.append(sum(await asyncio.gather(*tries)))
        return counts

    assert run(main()) == [1] * 10


def test_a_secret_carries_no_more_than_its_token(daemon: RunningDaemon) -> None:
    async def main() -> None:
        speaker, ear = new_secret(daemon, token_of("speak")), new_secret(daemon, token_of("listen"))
        for secret, message in ((speaker, "subscribe"), (ear, "audio_chunk"), (new_secret(daemon), "load_model")):
            uri = daemon.control if message == "load_model" else daemon.audio
            assert not await is_allowed(uri, secret, {"type": message, "channel": "a", "model_id": "a", "data": CHUNK})

    run(main())
    for token in (token_of("control"), OLD, "wrong"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            new_secret(daemon, token)
        assert refused.value.code == 403
        refused.value.close()


# channels


@pytest.mark.parametrize("name", DOOR_NAMES)
def test_channels(daemon: RunningDaemon, name: str) -> None:
    async def main() -> list[str]:
        headers = {"Authorization": f"Bearer {KITCHEN}"}
        open_to = []
        for channel in ("", "kitchen", "hall-1", "default", "hall", "kitchen-2", "other"):
            with contextlib.suppress(ConnectionClosed, InvalidStatus):
                uri = door(daemon, name) + (f"?channel={channel}" if channel else "")
                async with connect(uri, additional_headers=headers) as socket:
                    await socket.send('{"type":"ping"}')
                    async for frame in socket:
                        if json.loads(frame)["type"] == "pong":
                            open_to.append(channel)
                            break
        return open_to

    assert run(main()) == ["", "kitchen", "hall-1"]


def test_nothing_is_heard_from_a_channel_that_a_token_is_not_for(daemon: RunningDaemon) -> None:
    async def main() -> None:
        headers = {"Authorization": f"Bearer {KITCHEN}"}
        async with (
            calling(daemon.control, additional_headers=headers) as kitchen,
            calling(daemon.control, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as everybody,
            calling(daemon.audio, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as speaker,
        ):
            await kitchen.hear("connected")
            await speaker.socket.send(echo.speech(20).tobytes())
            await speaker.say(type="audio_end")
            await everybody.hear("final_transcription")
            await kitchen.say(type="ping")
            await kitchen.hear("pong")
            assert {message["type"] for message in kitchen.heard} == {"connected", "pong"}

    run(main())


# tokens that end


def test_a_revoked_token_is_cut_within_seconds_and_loses_no_word(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    entries = [TokenEntry(name=name, sha256=digest(f"{name}-0123456789abcdef").hex()) for name in ("alice", "bob")]
    save(tokens, entries)
    flags = ["--models", write_registry(tmp_path, "echo"), "--vad", "seed", "--tokens", str(tokens)]

    async def main(daemon: RunningDaemon) -> None:
        alice = {"additional_headers": {"Authorization": "Bearer alice-0123456789abcdef"}}
        bob = {"additional_headers": {"Authorization": "Bearer bob-0123456789abcdef"}}
        async with calling(daemon.audio, **alice) as speaker, calling(daemon.control, **bob) as ear:
            for number in range(20):
                await speaker.say(
                    type="audio_chunk", data=base64.b64encode(echo.chunk(number).tobytes()).decode(), seq=number
                )
            await ear.hear("realtime_transcription")
            command = [sys.executable, "-m", "hotmic", "token", "revoke", "alice", "--file", str(tokens)]
            await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
            assert (await speaker.hear("error"))["code"] == "token_revoked"
            with pytest.raises(ConnectionClosed) as closed:
                await speaker.hear("nothing")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert (await ear.hear("final_transcription"))["text"] == " ".join(map(str, range(20)))
            with pytest.raises(InvalidStatus):
                async with calling(daemon.audio, **alice):
                    pass
            tokens.write_text("tokens: [")
            await ear.hear("warning", code="tokens")
            await ear.say(type="ping")
            await ear.hear("pong")

    with running_daemon(tmp_path, *flags) as daemon:
        run(main(daemon))
        log = daemon.log.read_text()
    assert "not YAML" in log


# addresses


def test_addresses_are_judged_before_anything_else(tmp_path: Path) -> None:
    settings = {"ALLOWED_ADDRESSES": "192.0.2.0/24", "TRUSTED_PROXIES": "127.0.0.1", "AUTH": "none"}
    env = {f"HOTMIC_{key}": value for key, value in settings.items()}
    forwarded = {
        "": False,
        "X-Forwarded-For: 192.0.2.7": True,
        "X-Forwarded-For: 192.0.2.7, 198.51.100.7": False,
        "X-Forwarded-For: 198.51.100.7, 192.0.2.7": True,
        "Forwarded: for=192.0.2.7;proto=https": True,
        "Forwarded: for=192.0.2.7, for=198.51.100.7": False,
        "X-Real-IP: 192.0.2.7": False,
        "X-Forwarded-For: 127.0.0.1": False,
    }

    async def main(daemon: RunningDaemon) -> list[str]:
        wrong = []
        for line, let_in in forwarded.items():
            for uri, target, welcome in (
                (daemon.control, "/", 101),
                (daemon.audio, "/nowhere", 404),
                (daemon.http, "/ws/audio", 101),
                (daemon.http, "/health/live", 200),
                (daemon.http, "/nowhere", 404),
            ):
                headers = [
                    "Host: 127.0.0.1",
                    *(UPGRADE if welcome == 101 or uri == daemon.audio else ["Connection: close"]),
                    *([line] if line else []),
                ]
                status = await knock(uri, target, headers)
                if status != (welcome if let_in else 403):
                    wrong.append(f"{uri}{target} {line!r}: {status}")
        return wrong

    with running_daemon(tmp_path, "--models", write_registry(tmp_path, "echo"), env=env) as daemon:
        assert run(main(daemon)) == []
        log = daemon.log.read_text()
    assert "address=192.0.2.7" in log
    assert "address=198.51.100.7" in log


def test_the_http_port_believes_nobody_s_word_on_addresses(tmp_path: Path) -> None:
    with running_daemon(tmp_path, "--models", write_registry(tmp_path, "echo")) as daemon:
        line = "X-Forwarded-For: 198.51.100.7"
        status = run(knock(daemon.http, "/ws/audio", ["Host: 127.0.0.1", *UPGRADE, line, "X-Forwarded-Proto: https"]))
        assert status == 101
        log = daemon.log.read_text()
    assert "198.51.100.7" not in log
    assert "address=127.0.0.1" in log


# audit


def test_the_log_tells_who_did_what(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    save(tokens, [TokenEntry(name="alice", sha256=digest(TOKEN).hex(), scopes=("control", "listen"))])
    flags = ["--models", write_registry(tmp_path, "echo"), "--tokens", str(tokens)]

    async def main(daemon: RunningDaemon) -> None:
        async with calling(daemon.control) as caller:
            await caller.say(type="authenticate", token=TOKEN)
            await caller.hear("connected")
            await caller.say(type="get_models")
            await caller.say(type="load_model", model_id="echo", request_id=1)
            await caller.hear("model_loaded", request_id=1)
            await caller.say(type="load_model", model_id="nothing", request_id=2)
            await caller.hear("error", request_id=2)
            await caller.say(type="stop_recording", channel="hall")
            await caller.say(type="ping")
            await caller.hear("pong")
        with pytest.raises(InvalidStatus):
            async with calling(daemon.audio, additional_headers={"Authorization": "Bearer wrong"}):
                pass

    with running_daemon(tmp_path, *flags, env={"HOTMIC_LOG_FORMAT": "json"}) as daemon:
        run(main(daemon))
        text = daemon.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    told = [(line["action"], line["who"], line["outcome"]) for line in lines if line["event"] == "audit"]
    assert told == [
        ("connect", "", "ok"),
        ("authenticate", "alice", "accepted"),
        ("load_model", "alice", "accepted"),
        ("load_model", "alice", "accepted"),
        ("stop_recording", "alice", "accepted"),
        ("connect", "", "not_authorized"),
    ]
    assert all(line["address"] == "127.0.0.1" for line in lines if line["event"] == "audit")
    assert TOKEN not in text


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


async def is_allowed(uri: str, token: str, message: dict[str, Any] | bytes) -> bool:
    """Send a message with a token; return whether the daemon took it."""
    try:
        async with connect(uri, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
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
            allowed = await is_allowed(getattr(daemon, name), token_of(role), message)
            if allowed != (not scope or scope in ROLES[role].split(",")):
                wrong.append((name, message if isinstance(message, bytes) else message["type"], allowed))
        return wrong

    assert len(MESSAGES) * len(ROLES) >= 60
    assert run(main()) == []
