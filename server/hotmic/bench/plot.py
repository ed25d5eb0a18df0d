"""Plots of results, as SVG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hotmic.errors import ConfigError

BIN_S = 5.0
"""Words are pooled over so much time."""
_MARKS = {"hotmic": "-", "lock": "--"}

Pairs = list[tuple[float, float]]


def plot_live(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write the plots of ``run_live``: distribution of latencies, latencies over streams, words over time.

    Raises:
        ConfigError: matplotlib is not installed, or the folder cannot be written.
    """
    runs = result["runs"]
    return _write(folder, {"latency": (_latency, runs), "streams": (_streams, runs), "words": (_words, runs)})


def plot_capacity(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write the plot of ``run_capacity``: latencies over streams.

    Raises:
        ConfigError: matplotlib is not installed, or the folder cannot be written.
    """
    return _write(folder, {"capacity": (_streams, [run for s in result["sweeps"].values() for run in s["steps"]])})


def _write(folder: Path, wanted: dict[str, tuple[Callable[..., None], list[dict[str, Any]]]]) -> list[Path]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("Plots need matplotlib: pip install matplotlib", key="plots") from error
    paths = []
    style: Any = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "svg.hashsalt": "hotmic"}
    with mpl.rc_context(style):
        for name, (draw, runs) in wanted.items():
            figure = Figure(figsize=(8, 4), layout="constrained")
            draw(figure, runs)
            path = folder / f"{name}.svg"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                # Without a date equal figures give equal files.
                figure.savefig(path, metadata={"Date": None})
            except OSError as error:
                raise ConfigError(f"{path} cannot be written: {error.strerror}.", key="plots") from error
            paths.append(path)
    return paths


def _latency(figure: Any, runs: list[dict[str, Any]]) -> None:
    for axes, name, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("after_endpoint", "partial_age"),
        ("final after the endpoint", "age of partials"),
        strict=True,
    ):
        for run in runs:
            values = [much for stream in run["per_stream"] for _, much in stream[name]]
            if values:
                axes.ecdf(values, linestyle=_MARKS[run["server"]], lw=1, label=_name(run))
        axes.set(xlabel=f"{title}, seconds", ylim=(0, 1.01))
        axes.set_xlim(left=0)
        _legend(axes)
    figure.axes[0].set_ylabel("share")


def _streams(figure: Any, runs: list[dict[str, Any]]) -> None:
    for axes, name, title in zip(
        figure.subplots(1, 2),
        ("final_after_endpoint_s", "partial_age_s"),
        ("final after the endpoint", "age of partials"),
        strict=True,
    ):
        for kind in dict.fromkeys(run["server"] for run in runs):
            # Of several attempts with one number of streams the last is what counted.
            steps = {run["streams"]: run[name] for run in runs if run["server"] == kind and "p95" in run[name]}
            counts = sorted(steps)
            for share, width in (("p50", 0.8), ("p95", 1.6)):
                times = [steps[count][share] for count in counts]
                axes.plot(counts, times, _MARKS[kind], marker=".", lw=width, label=f"{kind} {share}")
        axes.set(xlabel="streams", ylabel=f"{title}, seconds")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
        _legend(axes)


def _words(figure: Any, runs: list[dict[str, Any]]) -> None:
    for axes, name, title in zip(
        figure.subplots(1, 2, sharey=True), ("first_shown", "stable"), ("shown", "stable"), strict=True
    ):
        for run in runs:
            pairs = [pair for stream in run["per_stream"] for pair in stream["words"][name]]
            for share, width in ((50, 0.8), (95, 1.6)):
                when, much = pool(pairs, share)
                label = f"{_name(run)} p{share}"
                axes.plot(when, much, _MARKS[run["server"]], marker=".", lw=width, label=label)
        axes.set(xlabel="seconds into the run", title=f"word {title} after its end")
        _legend(axes)
    figure.axes[0].set_ylabel("seconds")


def pool(pairs: Pairs, share: float) -> tuple[list[float], list[float]]:
    """Return the middle of each stretch of ``BIN_S`` that has values, and the percentile of them.

    >>> pool([(1.0, 2.0), (2.0, 4.0), (12.0, 1.0)], 50)
    ([2.5, 12.5], [3.0, 1.0])
    """
    bins: dict[int, list[float]] = {}
    for when, much in pairs:
        bins.setdefault(int(when // BIN_S), []).append(much)
    places = sorted(bins)
    return [(place + 0.5) * BIN_S for place in places], [float(np.percentile(bins[place], share)) for place in places]


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def _name(run: dict[str, Any]) -> str:
    return f"{run['server']}, {run['streams']} streams"
