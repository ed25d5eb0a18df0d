"""What a change of the model costs those who speak, as the script finds it."""

import argparse
import asyncio
from pathlib import Path

import msgspec
import pytest

from bench import swap
from hotmic.bench.measure import StreamFigures
from hotmic.config.registry import Registry
from running import running_daemon


def test_gaps_that_a_change_fell_into_are_told_apart() -> None:
    """The stream began at 100; a change was asked for at 105 and served at 106, and one second more is its own."""
    gaps = [(4.9, 0.3), (5.1, 0.3), (6.0, 0.4), (7.1, 0.3), (7.5, 0.3), (9.0, 8.5)]
    figures = StreamFigures(0, 10.0, partial_gap=gaps)
    assert swap.split_gaps(figures, 100.0, [(105.0, 106.0)]) == ([0.3, 0.4, 0.3, 8.5], [0.3, 0.3])
    assert swap.split_gaps(figures, 0.0, [(105.0, 106.0)]) == ([], [gap for _, gap in gaps])


def test_the_bundled_model_stands_in_the_registry_twice(tmp_path: Path) -> None:
    registry = Registry.load(swap.write_registry(tmp_path))
    bundled = Registry.load(swap.ROOT / "models.yaml").get("demo-en")
    one, two = registry.specs
    assert registry.default == one.id == "one"
    assert msgspec.structs.replace(one, id="two") == two
    assert msgspec.structs.replace(one, id="demo-en") == bundled


@pytest.mark.integration
def test_a_change_is_measured_while_people_speak(tmp_path: Path) -> None:
    options = argparse.Namespace(streams=2, swaps=1, every=4.0)
    with running_daemon(tmp_path, "--models", str(swap.write_registry(tmp_path))) as daemon:
        figures = swap.figures_of(*asyncio.run(swap.speak(daemon, options)))
    text = figures["text"]
    assert (text["unheard"], text["lost"], text["duplicates"], text["unfinished_streams"]) == (0, 0, 0, 0)
    assert (text["word_errors"], text["events_missed_by_the_bench"], text["errors"]) == (0, 0, [])
    assert text["finals"] >= text["utterances"] >= 2
    assert figures["finals_by_model"].keys() == {"one", "two"}
    assert figures["swap_s"]["count"] == 1
    counts = [figures[name]["count"] for name in ("gap_during_swaps_s", "gap_outside_s")]
    assert min(counts) > 0
    assert sum(counts) == sum(s[kind]["count"] for s in figures["per_stream"] for kind in ("during", "outside"))
