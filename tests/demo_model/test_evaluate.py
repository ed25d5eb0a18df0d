import json
from pathlib import Path

import numpy as np

from demo_model import evaluate
from demo_model.corpus import features, save_clips
from demo_model.evaluate import Measure
from demo_model.prepare import SHIPPED
from demo_model.speech import Clip, Word


def test_the_table_has_a_column_for_each_model() -> None:
    columns = {"old": [Measure("orders", 7.2, "% WER")], "new": [Measure("orders", 5.0, "% WER", "9 of 10 exact")]}
    lines = evaluate.table(columns).splitlines()
    assert lines[0] == "| set | old | new |"
    assert lines[2] == "| orders | 7.2 % WER | 5 % WER (9 of 10 exact) |"


def test_every_set_is_measured(tmp_path: Path) -> None:
    quiet = features(np.zeros(16_000, np.float32))
    words = (Word("one", 0.1, 0.4),)
    save_clips([Clip(quiet, "one", words, 0.1, 0.4, "test")], tmp_path / "synthetic.clips")
    save_clips([Clip(quiet, "", (), 0.0, 0.0, "none")], tmp_path / "nobody.clips")
    rows = evaluate.measure(SHIPPED, tmp_path)
    names = [row.name for row in rows]
    assert names == [
        "nobody speaks, but text",
        "synthetic, greedy",
        "synthetic, beam 5",
        "word start error, median",
        "CPU for 5 s of audio",
    ]
    evaluate.write_report({"demo": rows}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["demo"][1]["unit"] == "% WER"


def test_the_check_set_takes_what_is_there(tmp_path: Path) -> None:
    clip = Clip(features(np.zeros(3200, np.float32)), "one", (), 0.0, 0.1, "test")
    save_clips([clip] * 100, tmp_path / "synthetic.clips")
    assert len(evaluate.check_set(tmp_path)) == 60
