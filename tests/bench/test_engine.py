"""Worker against bare library; cropped against stock windows."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hotmic
from hotmic.bench import engine
from hotmic.bench.bare import Bare, Load, Run
from hotmic.bench.clip import Clip, bundled_clips
from hotmic.bench.engine import EngineOptions, run_engine, summarise_texts
from hotmic.config.model import Bundled, ModelSpec

SECONDS = 0.2
MODEL = Path(hotmic.__file__).parent / "models" / "demo-en"


def clip(name: str, text: str) -> Clip:
    return Clip(name, np.zeros(16_000, dtype=np.int16), text)


def test_texts_are_compared_with_each_other_and_with_what_was_said() -> None:
    clips = [clip("a", "one two three four"), clip("b", "five six"), clip("c", "")]
    cropped = ["one two three four", "five", "seven"]
    stock = ["one two three four", "five six", "eight"]
    summary = summarise_texts(clips, cropped, stock, min_window_s=1.0)
    assert summary["word_error_rate"] == {"cropped": 0.1667, "stock": 0.0}
    assert summary["cropped_against_stock"] == pytest.approx(2 / 7)
    assert [entry["clip"] for entry in summary["differences"]] == ["b", "c"]
    assert (summary["clips"], summary["differing"]) == (3, 2)


def listen_to_turns(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with whose turn it was, for turns of their full length."""
    order: list[str] = []
    ask, saturate = Bare.ask, engine._Pool.saturate

    def asked(bare: Bare, request: Load | Run) -> dict[str, Any]:
        if isinstance(request, Run) and request.seconds == SECONDS:
            order.append("bare")
        return ask(bare, request)

    async def saturated(pool: Any, windows: Any, kind: Any, seconds: float) -> dict[str, float]:
        if seconds == SECONDS:
            order.append("worker")
        return await saturate(pool, windows, kind, seconds)

    patch.setattr(Bare, "ask", asked)
    patch.setattr(engine._Pool, "saturate", saturated)
    return order


@pytest.mark.integration
def test_both_sides_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec(
        id="demo",
        name="Demo",
        type="faster_whisper",
        source=Bundled(name="demo-en"),
        languages=("en",),
        min_window_s=1.0,
        max_window_s=7.0,
        beam=2,
    )
    options = EngineOptions(
        spec=spec,
        directory=MODEL,
        clips=tuple(bundled_clips()[:3]),
        threads=1,
        windows_s=(3.0, 10.0),
        seconds=SECONDS,
        turns=2,
        rows=(2, 4),
    )
    told: list[str] = []
    order = listen_to_turns(monkeypatch)
    result = asyncio.run(run_engine(options, told.append))
    assert told == ["partial of 3 s", "final of 3 s", "texts of cropped and of stock windows"]
    assert result["windows_s"] == [3.0]
    assert order == 2 * ["worker", "bare", "bare", "worker"], "who goes first alternates"
    for entry in result["saturation"]:
        assert entry["bare_batch"]["rows"] in (2, 4)
        for share in ("share", "share_of_cpu"):
            least, most = entry[f"{share}_range"]
            assert 0 < least <= entry[share] <= most
        assert len(entry["turns"]) == 2
    assert result["texts"]["clips"] > 0
    assert result["texts"]["word_error_rate"]["cropped"] is not None
