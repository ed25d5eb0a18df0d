"""What processes use."""

import os
import subprocess
import sys

import pytest

from hotmic.bench.meter import Meter, find_children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def test_a_busy_process_is_seen_to_compute() -> None:
    meter = Meter(os.getpid())
    meter.sample()
    before = os.times()
    while sum(os.times()[:2]) - sum(before[:2]) < 0.1:
        pass
    meter.sample()
    spent = sum(os.times()[:2]) - sum(before[:2])
    figures = meter.figures(10.0)
    assert figures is not None
    assert figures["gateway"]["cpu_s"] == pytest.approx(spent, abs=0.05)
    assert figures["gateway"]["cpu_s_per_audio_s"] == pytest.approx(figures["gateway"]["cpu_s"] / 10)
    assert figures["gateway"]["resident_mb"]["highest"] > 5


@pytest.mark.integration
def test_children_are_workers() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        meter = Meter(os.getpid())
        meter.sample()
        assert child.pid in find_children(os.getpid())
        child.communicate(b"\n")
    meter.sample()
    figures = meter.figures(1.0)
    assert figures is not None
    assert figures["workers"]["resident_mb"]["first"] > 3
    assert child.pid not in find_children(os.getpid())


def test_nothing_is_seen_of_a_server_elsewhere() -> None:
    meter = Meter(None)
    meter.sample()
    assert meter.figures(1.0) is None
