"""Tables for people."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

from hotmic.bench.report import (
    capacity_sentences,
    capacity_table,
    engine_sentences,
    engine_table,
    frontend_table,
    live_table,
)

TIMES = {"count": 9, "mean": 0.2, "p50": 0.1, "p95": 0.25, "p99": 0.3, "max": 0.4}


def run(kind: str, streams: int, *broken: str) -> dict[str, Any]:
    usage = {"cpu_s": 1.0, "cpu_s_per_audio_s": 0.0125, "resident_mb": {"first": 1.0, "highest": 99.6, "last": 2.0}}
    timed = (
        "final_after_endpoint_s",
        "final_after_speech_s",
        "partial_age_s",
        "partial_gap_s",
        "first_word_after_its_start_s",
        "word_first_shown_after_its_end_s",
    )
    return {
        "server": kind,
        "streams": streams,
        **dict.fromkeys(timed, TIMES),
        "word_stable_after_its_end_s": {"count": 0},
        "flicker": {"stable": 0.004, "unstable": None},
        "finals_revised": 0.02,
        "word_error_rate": None,
        "text": {"utterances": 7, "finals": 6, "unheard": 1, "lost": 0, "duplicates": 0, "unspoken": 0},
        "drift": {"grown_s": -0.01},
        "cost": {"gateway": usage, "workers": usage} if kind == "hotmic" else None,
        "sender": {"lateness_s": TIMES},
        "broken": list(broken),
    }


def shown(table: Table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160).print(table)
    return stream.getvalue()


def test_the_table_of_a_live_run_has_a_column_for_each() -> None:
    text = shown(live_table({"runs": [run("hotmic", 16), run("lock", 16, "partial_age_s p95 2 > 1")]}))
    assert "hotmic, 16 at once" in text
    assert "lock, 16 at once" in text
    rows = {line[:30].strip(): line for line in text.splitlines()}
    assert "0.100 / 0.250 / 0.300" in rows["final after the endpoint, s"]
    assert rows["word stable after its end, s"].split()[-2:] == ["-", "-"]
    assert "0.4 % / -" in rows["words shown otherwise, stable"]
    assert "7 and 6 (1 unheard)" in rows["utterances and finals"]
    assert "100 + 100" in rows["memory, MB, gateway + workers"]
    assert "partial_age_s p95 2 > 1" in rows["limits broken"]


def test_a_sweep_is_told_in_sentences() -> None:
    result = {
        "sweeps": {
            "hotmic": {"sustained": 64, "limited_by_max_streams": True, "steps": [run("hotmic", 64)]},
            "lock": {
                "sustained": 0,
                "limited_by_max_streams": False,
                "real_time_factor": 3.2,
                "steps": [run("lock", 1, "too late")],
            },
        },
        "ratio": None,
    }
    assert capacity_sentences(result) == [
        "hotmic: at least 64 streams sustained.",
        "lock: 0 streams sustained. One stream asks for 3.2 s of decoding a second.",
    ]
    text = shown(capacity_table(result))
    assert "sustained" in text
    assert "too late" in text
    assert capacity_sentences(result | {"ratio": 12.5})[-1] == "12.5 times the streams of the lock baseline."


def test_the_engine_and_the_frontend_have_tables_of_their_own() -> None:
    saturation = {
        "kind": "partial",
        "window_s": 5.0,
        "worker_audio_s_per_s": 855.4,
        "bare_audio_s_per_s": 967.9,
        "share": 0.8874,
        "share_range": [0.8612, 0.9],
    }
    texts = {"clips": 11, "differing": 2, "word_error_rate": {"cropped": 0.01, "stock": 0.0}}
    engine = {"saturation": [saturation], "texts": texts}
    row = shown(engine_table(engine)).splitlines()[-1]
    assert " ".join(row.split()) == "partials of 5 s 855 968 88.7 % (86.1 to 90.0) -"
    assert engine_sentences(engine)[0].startswith("2 of 11 clips read otherwise")
    assert engine_sentences({"saturation": []}) == []
    figure = {"vad": "energy", "sound": "quiet", "encoding": "json", "us_per_chunk": 90.2, "streams_per_core": 1109}
    rows = shown(frontend_table({"figures": [figure | {"gateway_busy": 0.45}]})).split()
    assert rows[-7:] == ["energy", "quiet", "json", "90", "1109", "45.0", "%"]
