"""Plots of made-up results."""

from pathlib import Path
from typing import Any

import pytest

from hotmic.bench.plot import plot_capacity, plot_live
from hotmic.errors import ConfigError

TIMES = {"count": 9, "p50": 0.1, "p95": 0.25, "p99": 0.3}


def run(kind: str, streams: int, *, silent: bool = False) -> dict[str, Any]:
    pairs = [] if silent else [(second / 2, 0.1 + second / 100) for second in range(40)]
    one = {"after_endpoint": pairs, "partial_age": pairs, "words": {"first_shown": pairs, "stable": pairs}}
    times = {"count": 0} if silent else TIMES
    return {
        "server": kind,
        "streams": streams,
        "final_after_endpoint_s": times,
        "partial_age_s": times,
        "per_stream": [one] * streams,
    }


def test_a_live_result_gives_three_plots(tmp_path: Path) -> None:
    result = {"runs": [run("hotmic", 1), run("hotmic", 4), run("lock", 1), run("lock", 4, silent=True)]}
    paths = plot_live(result, tmp_path / "new")
    assert [path.name for path in paths] == ["latency.svg", "streams.svg", "words.svg"]
    assert all("</svg>" in path.read_text() for path in paths)


def test_equal_figures_give_equal_files(tmp_path: Path) -> None:
    result = {"runs": [run("hotmic", 2)]}
    first, second = ([path.read_bytes() for path in plot_live(result, tmp_path / name)] for name in ("a", "b"))
    assert first == second


def test_a_sweep_gives_one_plot(tmp_path: Path) -> None:
    result = {"sweeps": {"hotmic": {"steps": [run("hotmic", 1), run("hotmic", 2)]}, "lock": {"steps": []}}}
    (path,) = plot_capacity(result, tmp_path)
    assert "</svg>" in path.read_text()


def test_a_folder_that_cannot_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        plot_live({"runs": [run("hotmic", 1)]}, tmp_path / "file" / "below")
