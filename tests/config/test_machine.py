"""The machine: planted faults are found, a good machine is left alone."""

import os
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from hotmic.config import machine
from hotmic.config.finding import Finding
from hotmic.config.machine import Machine
from hotmic.config.settings import Settings, load_settings

GOOD = Machine(
    python=(3, 11),
    cores=16,
    memory_bytes=64 << 30,
    open_files=65_536,
    requirements=("numpy>=1.26",),
    versions={"numpy": "2.1.0"},
    libraries=frozenset({"cuda", "cublas"}),
    modules=frozenset({"torch", "transformers"}),
)


def bad(found: Finding | Iterable[Finding]) -> list[tuple[str, str]]:
    findings = [found] if isinstance(found, Finding) else list(found)
    assert all(finding.mend for finding in findings if finding.severity != "good")
    return [(finding.subject, finding.severity) for finding in findings if finding.severity != "good"]


def settings(**flags: object) -> Settings:
    return load_settings(**({"control_port": 0, "audio_port": 0, "http_port": 0} | flags))  # type: ignore[arg-type]


def test_python() -> None:
    assert bad(machine.check_python(GOOD)) == []
    assert bad(machine.check_python(replace(GOOD, python=(3, 9)))) == [("python", "error")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"versions": {}}, [("packages", "error")]),
        ({"versions": {"numpy": "1.9"}}, [("packages", "error")]),
        ({"requirements": ()}, [("packages", "warning")]),
    ],
)
def test_packages(change: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert bad(machine.check_packages(replace(GOOD, **change))) == expected  # type: ignore[arg-type]


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (finding,) = [found for found in machine.check_ports(settings(audio_port=port)) if found.severity != "good"]
    assert finding.subject == "audio_port"
    assert "--audio-port" in finding.mend
    assert str(port) in finding.sentence


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_foreign_address(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if " " in host:
        # No name server is asked in a test.
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror()))
    assert bad(machine.check_ports(settings(host=host))) == [("host", "error")]


def test_free_ports() -> None:
    assert bad(machine.check_ports(settings())) == []


def test_directories(tmp_path: Path) -> None:
    assert bad(machine.check_directories(settings(models_dir=tmp_path / "new" / "models"))) == []
    blocked = tmp_path / "file"
    blocked.touch()
    assert bad(machine.check_directories(settings(models_dir=blocked / "models"))) == [("models_dir", "error")]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert bad(machine.check_directories(settings(models_dir=tmp_path / "models"))) == [("models_dir", "error")]


def test_log_file(tmp_path: Path) -> None:
    good = settings(models_dir=tmp_path, log_file=tmp_path / "hotmic.log")
    assert bad(machine.check_directories(good)) == []
    lost = settings(models_dir=tmp_path, log_file=tmp_path / "none" / "hotmic.log")
    assert bad(machine.check_directories(lost)) == [("log_file", "error")]


def test_low_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LOW_DISK_BYTES", 1 << 62)
    assert bad(machine.check_directories(settings(models_dir=tmp_path))) == [("disk", "warning")]


def test_open_files() -> None:
    assert bad(machine.check_limits(settings(), GOOD)) == []
    assert bad(machine.check_limits(settings(), replace(GOOD, open_files=0))) == []
    found = machine.check_limits(settings(), replace(GOOD, open_files=1024))
    assert bad(found) == [("open files", "warning")]
    assert "976 connections" in found.sentence


@pytest.mark.parametrize(
    ("device", "libraries", "expected"),
    [
        ("cuda", {"cuda", "cublas"}, []),
        ("cuda", set(), [("cuda", "error")]),
        ("cuda", {"cuda"}, [("cuda", "error")]),
        ("auto", {"cuda"}, [("cuda", "warning")]),
        ("auto", set(), []),
        ("cpu", set(), []),
    ],
)
def test_cuda(device: str, libraries: set[str], expected: list[tuple[str, str]]) -> None:
    here = replace(GOOD, libraries=frozenset(libraries))
    assert bad(machine.check_cuda(settings(device=device), here)) == expected


def test_this_machine_can_be_read() -> None:
    here = Machine.look()
    assert here.python >= (3, 11)
    assert here.cores >= 1
    assert here.memory_bytes == 0 or here.memory_bytes > 100 << 20
    assert any(text.startswith("numpy") for text in here.requirements)
    assert "numpy" in here.versions
