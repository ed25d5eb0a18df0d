"""What all tests share."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from reliability_support import Figures
from tapes import pytest_runtest_makereport, recorded

__all__ = ["pytest_runtest_makereport", "recorded"]

settings.register_profile("hotmic", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("hotmic")

OUTBOUND = Path(__file__).with_name("outbound")
"""Holds the watch over outbound connections, see ``outbound/sitecustomize.py``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run keep what it measures."""
    parser.addoption("--figures", type=Path, metavar="DIR", help="Add measured times to DIR/reliability.json.")


def pytest_configure(config: pytest.Config) -> None:
    """Watch over this process and all Python processes that it starts; have them hear the signals they are sent."""
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        if signal.getsignal(number) is signal.SIG_IGN:  # a run in the background inherits it, and hands it on
            signal.signal(number, signal.default_int_handler)
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # what the hub's library asks of its own accord stays here, too
    if not _is_helper(config):  # those were begun under the watch, and write into the log of who began them
        _begin_watch()


def _begin_watch() -> None:
    descriptor, path = tempfile.mkstemp(prefix="outbound-", suffix=".log")
    os.close(descriptor)
    os.environ["OUTBOUND_LOG"] = path
    os.environ["PYTHONPATH"] = os.pathsep.join([str(OUTBOUND), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(0, str(OUTBOUND))
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # the watch, not what the interpreter found at its start

    assert path == sitecustomize.LOG


def _is_helper(config: pytest.Config) -> bool:
    """Return whether this is one of several processes of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if anything tried to leave the machine."""
    if _is_helper(session.config):
        return
    attempts = Path(os.environ["OUTBOUND_LOG"]).read_text().splitlines()
    if attempts:
        print(f"\n{len(attempts)} outbound connections were tried:", *attempts[:20], sep="\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    os.unlink(os.environ["OUTBOUND_LOG"])


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Where a test notes what it measures and does not assert."""
    return Figures(request.config.getoption("--figures"), request.node.nodeid)
