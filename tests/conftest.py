"""What all tests share."""

from hypothesis import settings

from tapes import pytest_runtest_makereport, recorded

__all__ = ["pytest_runtest_makereport", "recorded"]

settings.register_profile("hotmic", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("hotmic")
