"""Secrets and speech stay where they belong: not in logs, metrics, status pages or tracebacks; and nothing goes out."""

import asyncio
import base64
import ipaddress
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hotmic.engines import echo
from reliability_support import children, fetch, run, send_signal, until, workers, write_registry
from running import Caller, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

TOKEN = "canary-token-6f1d9c2b7a"
WRONG = "canary-wrong-0b8e4d5f31"
PROMPT = "canaryprompt"
HOTWORD = "canaryhotword"
SPEAKER = 31_337
FAILS = 31_337 * echo.SPEAKER_STRIDE + 99
CANARIES = (
    TOKEN,
    WRONG,
    PROMPT,
    HOTWORD,
    f"{SPEAKER}000",
    base64.b64encode(echo.chunk(0, speaker=SPEAKER)[:60]).decode(),
)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def tell_secrets(daemon: RunningDaemon) -> str:
    """Present tokens in every wrong way, say the secret words through faults of every kind; return what was heard."""
    wrong = {"additional_headers": {"Authorization": f"Bearer {WRONG}"}}
    spoken = {"subprotocols": [f"hotmic-token.{WRONG}"]}
    openai = {"subprotocols": ["realtime", f"openai-insecure-api-key.{WRONG}"]}
    basic = {"additional_headers": {"Authorization": f"Basic {TOKEN}"}}
    url: dict[str, Any] = {}
    tries = [("/", wrong), (f"/?token={TOKEN}", url), (f"/?token={WRONG}&token={TOKEN}", url)]
    tries += [("/", spoken), ("/", openai), ("/", basic), (f"/nowhere?token={TOKEN}", url), (f"/%zz?token={WRONG}", {})]
    for door in (daemon.control, daemon.http.replace("http", "ws", 1) + "/ws/audio"):
        for path, options in tries:
            with pytest.raises(InvalidStatus):
                async with calling(door + path, **options):
                    pass
    for kind, token in (("authenticate", WRONG), ("sing", TOKEN), ("ping", WRONG)):
        async with calling(daemon.control) as caller:
            await caller.say(type=kind, token=token)
            assert (await caller.hear("error"))["code"] in ("not_authorized", "unknown_type")
    async with calling(daemon.control) as control:
        await control.say(type="authenticate", token=TOKEN)
        await control.hear("connected")
        await control.say(type="load_model", model_id="broken")
        await control.hear("error", model_id="broken")
        await control.say(type="load_model", model_id="no-such-model")
        await control.hear("error", code="unknown_model")
        await speak_through_faults(daemon, control)
        return " ".join(m["text"] for m in control.heard if m["type"] == "final_transcription")


async def speak_through_faults(daemon: RunningDaemon, control: Caller) -> None:
    async with calling(daemon.audio, additional_headers=BEARER) as audio:
        await audio.say(type="configure", prompt=PROMPT, hotwords=[HOTWORD])
        await audio.hear("configured")
        await count(audio, 0, 15)
        await audio.hear("realtime_transcription")
        old = workers(daemon)
        send_signal(old, signal.SIGKILL)
        await until(lambda: workers(daemon) and not set(workers(daemon)) & set(old))
        await audio.socket.send(json.dumps({"type": "audio_chunk", "data": f"{PROMPT}!"}))
        await audio.hear("error", code="bad_audio")
        await audio.socket.send(f'{{"prompt": "{PROMPT}"')
        await audio.hear("error", code="invalid_json")
        await audio.say(type="configure", prompt=[PROMPT])
        await audio.hear("error", code="bad_field")
        await count(audio, 15, 15)
        await audio.say(type="audio_end")
        await control.hear("recording_stopped")
    async with calling(daemon.audio, additional_headers=BEARER) as audio:
        await audio.say(type="configure", prompt=PROMPT)
        await count(audio, 85, 15)
        await audio.say(type="audio_end")
        await control.hear("error", code="engine_failed")
        await control.hear("recording_stopped")
    async with calling(daemon.audio, additional_headers=BEARER) as audio:
        await count(audio, 0, 15)
        await audio.socket.send(echo.speech(1, speaker=SPEAKER)[:1500].tobytes())
        with pytest.raises(ConnectionClosed) as closed:
            await audio.hear("error", code="nothing")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert "internal error" in closed.value.rcvd.reason


async def count(caller: Caller, first: int, number: int) -> None:
    for index in range(first, first + number):
        await caller.socket.send(echo.chunk(index, speaker=SPEAKER).tobytes())


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_canary_gets_out(tmp_path: Path, log_format: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"alice:{TOKEN}\n")
    models = write_registry(tmp_path, f"echo: options: {{fail_on: {FAILS}}}", "broken: options: {fail_load: No.}")
    flags = ["--models", models, "--vad", "seed", "--tokens", str(tokens), "--log-level", "debug"]
    env = {"HOTMIC_LOG_FORMAT": log_format}
    with running_daemon(tmp_path, *flags, env=env, plant="stumble") as daemon:
        heard = run(tell_secrets(daemon))
        pages = {path: fetch(daemon.http + path) for path in ("/metrics", "/health", "/config.json")}
    assert f"{SPEAKER}00000" in heard, "the secret was never said"
    pages["log"] = daemon.log.read_text()
    for trace in ("planted, 3000 bytes", "Traceback", "worker_restarts", "model_load_failed", "Refused"):
        assert trace in pages["log"], "the faults left no trace to look at"
    found = [(place, canary) for place, text in pages.items() for canary in CANARIES if canary in text]
    assert found == []


def foreign_sockets(pid: int) -> list[str]:
    """Return the remote addresses beyond loopback of a process's sockets, whatever library opened them."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(entry) if entry.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            remote = address_of(fields[2].partition(":")[0])
            if fields[9] in inodes and not (remote.is_loopback or remote.is_unspecified):
                found.append(f"{table} {remote}")
    return found


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address of /proc/net: 32-bit words in the byte order of the machine.

    >>> address_of("0100007F")
    IPv4Address('127.0.0.1')
    """
    words = bytes.fromhex(text)
    raw = b"".join(words[begin : begin + 4][::-1] for begin in range(0, len(words), 4))
    address = ipaddress.ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address


def test_a_daemon_has_no_socket_to_elsewhere(tmp_path: Path) -> None:
    """The bundled model loaded, spoken to and swapped, with no address of a hub forbidden: it asks nobody."""
    found: list[str] = []
    looks = 0
    (tmp_path / "twin").mkdir()
    models = write_registry(tmp_path / "twin", "echo")

    async def main(daemon: RunningDaemon) -> None:
        nonlocal looks
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            working = asyncio.create_task(work(control, audio))
            while not working.done():
                for pid in [daemon.process.pid, *children(daemon.process.pid)]:
                    try:
                        found.extend(foreign_sockets(pid))
                        looks += 1
                    except (FileNotFoundError, ProcessLookupError):
                        print(f"process {pid} has just ended")
                await asyncio.sleep(0.02)
            await working

    async def work(control: Caller, audio: Caller) -> None:
        for number in range(30):
            await audio.socket.send(echo.chunk(number).tobytes())
            await asyncio.sleep(0.05)
        await control.say(type="load_model", model_id="echo")
        await control.hear("model_loaded")
        await audio.say(type="audio_end")
        await control.hear("recording_stopped")

    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as daemon:
        run(main(daemon))
    assert looks > 50
    assert found == []


def test_a_socket_to_elsewhere_would_be_seen() -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        # Bound to loopback on both ends it is not seen; this one is connected to nobody's address without a packet.
        assert foreign_sockets(os.getpid()) == []
        import sitecustomize

        sitecustomize._noting = True
        try:
            datagram.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere, so no such socket can be made")
        finally:
            sitecustomize._noting = False
        assert foreign_sockets(os.getpid()) == ["udp 192.0.2.1"]
