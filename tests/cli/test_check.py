"""hotmic check on the command line."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hotmic.cli.check import check

app = typer.Typer()
app.command()(check)


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HOTMIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOTMIC_MODELS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> tuple[int, str]:
    ports = ["--control-port", "0", "--audio-port", "0", "--http-port", "0"]
    result = CliRunner().invoke(app, [*ports, *words])
    return result.exit_code, result.stdout


def test_good_configuration_exits_0() -> None:
    code, out = run()
    assert code == 0
    assert "0 errors" in out


def test_errors_come_with_their_mend_and_exit_1() -> None:
    code, out = run("--host", "0.0.0.0", "--model", "demo-n")
    assert code == 1
    assert "✗ host: 0.0.0.0 can be reached from other machines" in out
    assert "Set tokens, or host to 127.0.0.1" in out
    assert "Did you mean 'demo-en'" in out
    assert "2 errors" in out


def test_json() -> None:
    code, out = run("--json", "--device", "gpu")
    assert code == 1
    assert [found["subject"] for found in json.loads(out) if found["severity"] == "error"] == ["settings"]
