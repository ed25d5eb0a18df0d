"""CPU time of a process."""

import os
import subprocess
import sys
import time

import pytest

from hotmic.bench.cpu import cpu_seconds
from hotmic.errors import ConfigError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def test_computing_counts() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.05:
        sum(range(1000))
    assert cpu_seconds(os.getpid()) - before == pytest.approx(time.process_time() - own, abs=0.02)


def test_a_process_that_is_gone_is_named() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ConfigError, match=str(process.pid)):
        cpu_seconds(process.pid)
