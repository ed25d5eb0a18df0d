"""The start of a daemon beside that of a process that loads its model and nothing else."""

from pathlib import Path

import pytest

from bench import footprint

pytestmark = pytest.mark.integration


def test_a_start_is_compared_with_a_bare_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([(9.0, 9.0), (2.0, 0.5), (1.0, 0.3), (4.0, 0.7)])
    daemon = {False: iter([1.0, 3.0, 2.0]), True: iter([3.0, 3.0, 4.4])}
    monkeypatch.setattr(footprint, "bare_start", lambda: next(seconds))
    monkeypatch.setattr(footprint, "daemon_start", lambda _folder, *, ready: next(daemon[ready]))
    assert footprint.measure_starts(tmp_path, 3) == {
        "starts": 3,
        "start_to_listening_s": 2.0,
        "start_to_serving_s": 3.0,
        "bare_start_to_loaded_s": 2.0,
        "bare_load_alone_s": 0.5,
        "serving_against_bare_start": 1.5,
        "serving_against_bare_start_range": [1.1, 3.0],
    }


def test_both_are_real_processes(tmp_path: Path) -> None:
    start, load = footprint.bare_start()
    assert 0 < load < start
    assert footprint.daemon_start(tmp_path, ready=True) > 0
