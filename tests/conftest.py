"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

from reliability_support import Figures

settings.register_profile("hotmic", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("hotmic")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run keep what it measures."""
    parser.addoption("--figures", type=Path, metavar="DIR", help="Add measured times to DIR/reliability.json.")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Where a test notes what it measures and does not assert."""
    return Figures(request.config.getoption("--figures"), request.node.nodeid)
