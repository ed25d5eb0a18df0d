"""The kernel zeroes no page twice for a worker that decodes batch after batch."""

import subprocess
import sys

import pytest

PR_SET_THP_DISABLE = 41
ROUNDS, BLOCK = 20, 8 << 20
PROGRAM = f"""
import ctypes, resource, sys
import numpy as np
from hotmic.worker.heap import keep_freed_memory

ctypes.CDLL(None).prctl({PR_SET_THP_DISABLE}, 1, 0, 0, 0)  # count small pages
told = sys.argv[1] == "keep" and keep_freed_memory()
np.ones({BLOCK}, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    # Two at a time: with one alone glibc raises its threshold by itself.
    np.ones({BLOCK}, np.uint8), np.ones({BLOCK}, np.uint8)
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    told, count = map(int, done.stdout.split())
    return bool(told), count


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries keep memory in their own ways")
def test_freed_buffers_are_used_again() -> None:
    told, kept = faults("keep")
    if not told:
        pytest.skip("this C library cannot be told")
    _, plain = faults("plain")
    one_block = BLOCK // 4096
    assert kept < 3 * one_block, "only the first round touches new pages"
    assert plain > 2 * kept
