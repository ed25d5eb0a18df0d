"""Sessions of fault tests, recorded: a test that fails leaves its files for ``hotmic replay``.

A module of fault tests asks for it in one line and needs nothing else::

    pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("recorded")]

Every daemon that such a test starts, through ``running`` or otherwise, inherits ``HOTMIC_RECORD`` and records its
sessions into one folder of the test, a killed one up to its last entry. The folder goes when the test passes. When it
fails, the folder stays under ``tests/.failed`` and the report of the failure names every file in it.

``conftest.py`` imports the fixture and the hook.
"""

import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

FAILED = Path(os.environ.get("FAILED_TESTS_FOLDER") or Path(__file__).parent / ".failed")
"""Where the folders are kept, one for each failed test."""

_FOLDER: pytest.StashKey[Path] = pytest.StashKey()
_HAS_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.fixture
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the daemons of a test record their sessions; return the folder."""
    folder = FAILED / re.sub(r"[^A-Za-z0-9._-]+", "_", request.node.nodeid)[-150:]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOTMIC_RECORD", str(folder))
    request.node.stash[_FOLDER] = folder
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the files of a failed test in its report; drop those of one that passed, its teardown included."""
    report = yield
    folder = item.stash.get(_FOLDER, None)
    if folder is None:
        return report
    if report.failed:
        item.stash[_HAS_FAILED] = True
        files = sorted(folder.glob("*"))
        lines = [f"hotmic replay {file}" for file in files] or [f"no session was recorded into {folder}"]
        report.sections.append(("recorded sessions", "\n".join(lines)))
    elif report.when == "teardown" and not item.stash.get(_HAS_FAILED, False):
        shutil.rmtree(folder)
    return report
