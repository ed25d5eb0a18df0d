"""Files whose token says how fast they may come, and ends while they wait."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from file_support import wav
from hotmic.config.token_file import TokenEntry, digest, save
from hotmic.engines import echo
from reliability_support import write_registry
from running import RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

HANG = 60.0
SPEECH = np.concatenate([echo.speech(30, first=0), np.zeros(48_000, np.int16)])
LONG = wav(np.tile(SPEECH, 100))
"""Ten minutes, which a token of one time real time brings in nine and a half."""
BOB = TokenEntry(name="bob", sha256=digest("bob-0123456789abcdef").hex())


def slow(name: str) -> TokenEntry:
    return TokenEntry(name=name, sha256=digest(f"{name}-0123456789abcdef").hex(), audio_speed=1)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.yaml"
    save(path, [slow("alice"), BOB])
    return path


@pytest.fixture
def daemon(tmp_path: Path, tokens: Path) -> Iterator[RunningDaemon]:
    models = write_registry(tmp_path, "echo")
    with running_daemon(tmp_path, "--models", models, "--vad", "seed", "--tokens", str(tokens)) as daemon:
        yield daemon


def ask(daemon: RunningDaemon, name: str, *, stream: bool) -> httpx.Request:
    return httpx.Request(
        "POST",
        f"{daemon.http}/v1/audio/transcriptions",
        files={"file": ("a.wav", LONG)},
        data={"model": "echo", "stream": str(stream).lower()},
        headers={"Authorization": f"Bearer {name}-0123456789abcdef"},
    )


def test_a_revoked_token_ends_its_files_wherever_they_are(daemon: RunningDaemon, tokens: Path) -> None:
    with httpx.Client(timeout=HANG) as web:
        assert web.send(ask(daemon, "bob", stream=False)).status_code == 200, "nothing holds back who has no limit"
        stream = web.send(ask(daemon, "alice", stream=True), stream=True)
        lines = stream.iter_lines()
        assert "transcript.text.delta" in next(lines)
        address = urlsplit(daemon.http)
        with socket.create_connection((address.hostname, address.port), timeout=HANG) as half:
            part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            head = (
                f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {address.netloc}\r\n"
                "Authorization: Bearer alice-0123456789abcdef\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n"
                f"Content-Length: {len(part) + 100_000}\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"
            )
            half.sendall(head.encode())
            assert b" 100 " in half.recv(1 << 12), "it was let in"
            half.sendall(part + LONG[:50_000])
            save(tokens, [BOB])
            told = [line for line in lines if "error" in line]
            assert "token_revoked" in told[-1]
            half.sendall(LONG[50_000:100_000])  # the rest of what is refused is read, so that the answer can be
            answer = half.makefile("rb").read()
        assert b" 403 " in answer
        assert b"token_revoked" in answer
        assert web.send(ask(daemon, "alice", stream=False)).status_code == 401
        assert web.send(ask(daemon, "bob", stream=False)).status_code == 200
    assert "Traceback" not in daemon.log.read_text()
