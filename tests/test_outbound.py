"""The watch over outbound connections sees them, here and in processes that tests start."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"
"""TEST-NET-1 (RFC 5737): nobody's."""


def test_addresses_of_this_machine_are_local() -> None:
    import sitecustomize

    for host in ("127.0.0.1", "::1", "localhost", "", None, "0.0.0.0", b"127.0.0.1"):
        assert sitecustomize.is_local(host)
    for host in (ELSEWHERE, "example.org", "2001:db8::1", "127.0.0.1.example.org"):
        assert not sitecustomize.is_local(host)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of its own: what these tests try on purpose is not the run's."""
    import sitecustomize

    path = tmp_path / "outbound.log"
    monkeypatch.setattr(sitecustomize, "LOG", str(path))
    monkeypatch.setenv("OUTBOUND_LOG", str(path))
    return path


def test_this_process_is_watched(log: Path) -> None:
    with socket.socket() as connection, pytest.raises(PermissionError, match=ELSEWHERE):
        connection.connect((ELSEWHERE, 9))
    with pytest.raises(PermissionError, match=r"captions\.example"):
        socket.getaddrinfo("captions.example", 443)
    assert len(log.read_text().splitlines()) == 2


def test_processes_of_the_tests_are_watched(log: Path) -> None:
    script = f"import socket; socket.socket().connect(({ELSEWHERE!r}, 9))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert ended.returncode != 0
    assert "PermissionError" in ended.stderr
    assert ELSEWHERE in log.read_text()
