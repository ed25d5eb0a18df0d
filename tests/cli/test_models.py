"""hotmic models and hotmic pull."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import typer
from typer.testing import CliRunner

from config.fake_hub import FakeHub, whisper_files
from hotmic.cli.models import models, pull

MODELS = """\
default: here
aliases: {far.pt: far}
models:
  - {id: here, name: Here, type: faster_whisper, source: {bundled: demo-en}, languages: [en], vram_gb: 0.5}
  - {id: far, name: Far, type: faster_whisper, source: {hub: owner/name}, languages: [th], recommended: true}
"""

app = typer.Typer()
app.command()(models)
app.command()(pull)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in os.environ:
        if name.startswith(("HOTMIC_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOTMIC_MODELS_DIR", str(tmp_path / "weights"))
    path = tmp_path / "m.yaml"
    path.write_text(MODELS)
    yield path
    # The runner's stderr, which the log was set to, is closed by now.
    structlog.reset_defaults()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub({"owner/name": whisper_files()}).running() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_table_shows_what_is_here(file: Path) -> None:
    code, out, _ = run("models", "--models", file)
    assert code == 0
    here, far = [line for line in out.splitlines() if " GB " in line]
    assert "→  here" in here
    assert "bundled, " in here
    assert "0.5 GB" in here
    assert far.startswith("★")
    assert " no " in far


def test_json_is_for_programs(file: Path) -> None:
    code, out, _ = run("models", "--models", file, "--json")
    here, far = json.loads(out)
    assert code == 0
    assert (here["default"], here["state"], here["source"]) == (True, "bundled", "bundled demo-en")
    assert (far["aliases"], far["state"], far["path"]) == (["far.pt"], "missing", None)


def test_broken_registry_exits_2(file: Path) -> None:
    file.write_text("default: [")
    code, out, err = run("models", "--models", file)
    assert (code, out) == (2, "")
    assert "m.yaml:1:" in err


@pytest.mark.integration
def test_pull_and_pull_again(file: Path, fake: FakeHub) -> None:
    code, out, _ = run("pull", "far.pt", "--models", file)
    assert code == 0
    assert "far is ready" in out
    code, out, _ = run("pull", "far", "--models", file)
    assert code == 0
    assert "already here" in out
    assert "yes, 0 MB" in run("models", "--models", file)[1]


def test_pull_of_the_unknown_exits_2(file: Path) -> None:
    code, _, err = run("pull", "farr", "--models", file)
    assert code == 2
    assert "Did you mean 'far'" in err


def test_pull_offline_exits_1(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTMIC_OFFLINE", "1")
    code, _, err = run("pull", "far", "--models", file)
    assert code == 1
    assert "downloads are off" in err


def test_pull_of_the_bundled_needs_nothing(file: Path) -> None:
    assert run("pull", "here", "--models", file)[0] == 0


@pytest.mark.integration
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interrupt_is_clean(file: Path, fake: FakeHub) -> None:
    fake.break_after, fake.breaks, fake.stall = 100_000, 1, threading.Event()
    program = "import typer; from hotmic.cli.models import pull; typer.run(pull)"
    command = [sys.executable, "-c", program, "far", "--models", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not any(path.endswith("model.bin") for _, path, _ in fake.requests):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; what has come is kept" in err
    assert "Traceback" not in err
