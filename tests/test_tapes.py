"""The files of fault tests: kept and named when the test fails, gone when it passes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CONFTEST = "from tapes import pytest_runtest_makereport, recorded\n"
MODULE = """
import os
from pathlib import Path
import pytest

pytestmark = pytest.mark.usefixtures("recorded")

def record():
    (Path(os.environ["HOTMIC_RECORD"]) / "one.hotmic").write_bytes(b"x")

def test_good():
    record()

@pytest.mark.parametrize("name", ["a/../../b"])
def test_bad(name):
    record()
    assert False

def test_silent():
    assert False

@pytest.fixture
def breaking(recorded):
    record()
    assert False

def test_never_runs(breaking):
    pass

@pytest.fixture
def clinging(recorded):
    yield
    assert False

def test_never_ends(clinging):
    record()

@pytest.mark.xfail(strict=True)
def test_expected():
    record()
    assert False
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_faults.py").write_text(MODULE)
    return tmp_path


def run(folder: Path) -> str:
    environment = {**os.environ, "FAILED_TESTS_FOLDER": str(folder / "failed"), "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert "2 failed, 2 passed, 1 xfailed, 2 errors" in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_failed_tests_keep_their_files_and_say_where(folder: Path) -> None:
    said = run(folder)
    kept = sorted(path.name for path in (folder / "failed").iterdir())
    assert kept == [
        "test_faults.py_test_bad_a_.._.._b_",
        "test_faults.py_test_never_ends",
        "test_faults.py_test_never_runs",
        "test_faults.py_test_silent",
    ]
    assert said.count("recorded sessions") == 4
    for name in kept[:3]:
        assert f"hotmic replay {folder / 'failed' / name / 'one.hotmic'}" in said
    assert f"no session was recorded into {folder / 'failed' / kept[3]}" in said


def test_the_files_of_an_earlier_run_do_not_stay(folder: Path) -> None:
    run(folder)
    (stale,) = (folder / "failed").glob("*bad*")
    (stale / "stale.hotmic").write_bytes(b"")
    run(folder)
    assert [path.name for path in stale.iterdir()] == ["one.hotmic"]


def test_the_daemons_of_a_test_are_told_to_record(recorded: Path) -> None:
    assert os.environ["HOTMIC_RECORD"] == str(recorded)
    assert recorded.is_dir()
    assert recorded.parent.name == ".failed" or "FAILED_TESTS_FOLDER" in os.environ
