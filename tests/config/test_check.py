"""hotmic check finds what was planted, and nothing on a good configuration."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from config.test_machine import GOOD
from hotmic.config.check import find_all
from hotmic.config.machine import Machine
from hotmic.config.token_file import TokenEntry, save

CHECKOUT = Path(__file__).parents[2]
MODELS = """\
default: {default}
models:
  - {{id: echo, name: Echo, type: echo, languages: [en]}}
  - {{id: far, name: Far, type: faster_whisper, source: {{hub: a/b}}, languages: [th]}}
  - {{id: near, name: Near, type: faster_whisper, source: {{local: near}}, languages: [th]}}
  - {{id: torch, name: T, type: transformers, source: {{hub: a/b}}, languages: [th]}}
  - {{id: large, name: L, type: echo, languages: [en], vram_gb: 100, performance_tier: accurate}}
  - {{id: sum, name: S, type: faster_whisper, source: {{bundled: demo-en}}, languages: [en], sha256: "{zeros}"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("HOTMIC_", "HF_HUB_OFFLINE")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.yaml").write_text(MODELS.format(default="echo", zeros="0" * 64))
    save(tmp_path / "tokens", [TokenEntry(name="me", sha256="0" * 64)])
    return tmp_path


def bad(config: str = "", here: Machine = GOOD, **flags: object) -> list[tuple[str, str]]:
    path = Path("hotmic.yaml")
    path.write_text(config)
    ports = {"control_port": 0, "audio_port": 0, "http_port": 0, "models_dir": Path("weights")}
    findings = find_all(path, here=here, **({} if "port" in config else ports) | flags)
    assert all(finding.mend for finding in findings if finding.severity != "good")
    return [(finding.subject, finding.severity) for finding in findings if finding.severity != "good"]


def test_good_configuration_has_no_findings(folder: Path) -> None:
    assert bad() == []


def test_unknown_setting(folder: Path) -> None:
    assert bad("hosst: x") == [("settings", "error")]


def test_missing_file(folder: Path) -> None:
    assert [finding.severity for finding in find_all(folder / "none.yaml", here=GOOD)][-1] == "error"


def test_unknown_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTMIC_PROT", "1")
    assert bad() == [("environment", "warning")]


def test_broken_registry(folder: Path) -> None:
    (folder / "models.yaml").write_text("default: x")
    assert bad() == [("models", "error")]


def test_unknown_model(folder: Path) -> None:
    assert bad("model: ecko") == [("model ecko", "error")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [("model: far", "warning"), ("model: far\ndownload: never", "error"), ("model: near", "error")],
)
def test_missing_weights(folder: Path, config: str, expected: str) -> None:
    ((subject, severity),) = bad(config)
    assert (subject[:5], severity) == ("model", expected)


def test_missing_weights_offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTMIC_OFFLINE", "1")
    assert bad("model: far") == [("model far", "error")]


def test_wrong_checksum(folder: Path) -> None:
    assert bad("model: sum") == [("model sum", "error")]


def test_missing_extra(folder: Path) -> None:
    here = replace(GOOD, modules=frozenset())
    assert bad("model: torch", here) == [("model torch", "warning"), ("model torch", "error")]


def test_wrong_language(folder: Path) -> None:
    assert bad("language: de") == [("language", "warning")]


def test_weak_machine(folder: Path) -> None:
    here = replace(GOOD, cores=2)
    assert bad("model: large\ndevice: cpu", here) == [("model large", "warning"), ("model large", "warning")]
    assert bad("model: large\ndevice: auto", here) == []


def test_open_bind(folder: Path) -> None:
    assert bad("host: 0.0.0.0") == [("host", "error")]
    assert bad("host: 0.0.0.0\nauth: none") == [("host", "warning")]
    assert bad("host: 0.0.0.0\ntokens: tokens") == []


def test_tokens(folder: Path) -> None:
    assert bad("tokens: none") == [("tokens", "error")]
    if os.name == "posix":
        (folder / "tokens").chmod(0o644)
        assert bad("tokens: tokens") == [("tokens", "warning")]
        (folder / "tokens").chmod(0o600)
    for text, severity in (("me:0123456789abcdef", "warning"), ("me:short", "error"), ("tokens: [", "error")):
        (folder / "tokens").write_text(text)
        assert bad("tokens: tokens") == [("tokens", severity)]


def test_several_faults_at_once(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = bad(
            "model: far\ndevice: cuda\ntokens: none\nlog_file: gone/log\nmodels_dir: models.yaml/x",
            replace(GOOD, python=(3, 10), versions={}, open_files=256, libraries=frozenset()),
            audio_port=port,
            models_dir=None,
        )
    assert [subject for subject, _ in found] == [
        "python",
        "packages",
        "tokens",
        "audio_port",
        "models_dir",
        "log_file",
        "open files",
        "cuda",
        "model far",
    ]


def test_shipped_configuration_serves_the_bundled_model(folder: Path) -> None:
    assert bad(here=replace(GOOD, cores=2), models=CHECKOUT / "models.yaml") == []
