"""The launchers: what they do with a stand-in for Python, and what they say when there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNIX, WINDOWS = ROOT / "start_realtime_asr.sh", ROOT / "start_realtime_asr.bat"

FAKE_PYTHON = """#!/bin/sh
echo "python $*" >>"$TRACE"
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"pip install"*"-e ."*)
        printf '#!/bin/sh\\necho "hotmic $*" >>"$TRACE"\\n' >.venv/bin/hotmic && chmod +x .venv/bin/hotmic ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("start_realtime_asr.sh", "pyproject.toml", "requirements_realtime.txt"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "cp", "chmod", "cat", "cksum", "rm"):
        (tools / name).symlink_to(shutil.which(name) or "")
    return tmp_path


def start(checkout: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": str(checkout / "bin"), "TRACE": str(checkout / "trace")}
    return subprocess.run(
        ["sh", str(checkout / UNIX.name), *args], env=env, capture_output=True, text=True, cwd=os.sep, timeout=20
    )


def trace(checkout: Path) -> list[str]:
    return (checkout / "trace").read_text().splitlines()


def add_python(checkout: Path) -> None:
    fake = checkout / "bin" / "python3"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)


def test_first_start_installs_and_serves_the_second_only_serves(checkout: Path) -> None:
    add_python(checkout)
    assert start(checkout, "--model", "small").returncode == 0
    steps = trace(checkout)
    assert "python -m venv .venv" in steps
    assert steps[-1] == "hotmic serve --model small"
    (checkout / "trace").unlink()
    assert start(checkout, "demo").returncode == 0
    assert trace(checkout) == ["hotmic demo"]


def test_full_installs_every_extra_once(checkout: Path) -> None:
    add_python(checkout)
    assert start(checkout, "--full").returncode == 0
    assert any("-r requirements_realtime.txt" in step for step in trace(checkout))
    assert trace(checkout)[-1] == "hotmic serve"


def test_a_changed_requirement_installs_again(checkout: Path) -> None:
    add_python(checkout)
    start(checkout)
    (checkout / "trace").unlink()
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    start(checkout)
    assert any("pip install" in step for step in trace(checkout))


def test_no_python_is_said(checkout: Path) -> None:
    done = start(checkout)
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr


def test_windows_launcher_is_well_formed() -> None:
    data = WINDOWS.read_bytes()
    assert b"\n" not in data.replace(b"\r\n", b""), "every line ends with CR LF"
    lines = data.decode("ascii").split("\r\n")
    labels = {line[1:].strip() for line in lines if line.startswith(":")}
    wanted = {
        word.strip("()")
        for line in lines
        for kind in ("goto ", "call :")
        if kind in line
        for word in [line.split(kind)[1].split()[0]]
    }
    assert wanted <= labels | {":eof"}
    text = "\n".join(lines)
    assert text.count("(") == text.count(")")
    assert "pause" in text[text.index("\n:failed") :], "the window stays open on an error"
    for name in ("--full", "requirements_realtime.txt", "(3, 11)", "-m venv .venv", "hotmic.exe"):
        assert name in text
