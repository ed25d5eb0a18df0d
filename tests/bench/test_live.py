"""How a run is put together and judged."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hotmic.bench.live import Limits, LiveOptions, ask_of_one_stream, describe, judge, summarise
from hotmic.bench.measure import Record, StreamFigures, Words
from hotmic.bench.meter import Meter
from hotmic.bench.sender import Target
from hotmic.bench.server import ServerOptions


def stream(number: int, **more: Any) -> StreamFigures:
    fields: dict[str, Any] = {
        "utterances": 2,
        "finals": 2,
        "partials": 3,
        "partial_age": [(1.0, 0.02), (2.0, 0.03), (3.0, 0.04)],
        "partial_gap": [(1.0, 0.3), (2.0, 0.4)],
        "after_speech": [(2.0, 0.7), (9.0, 0.71)],
        "after_endpoint": [(2.0, 0.1), (9.0, 0.11)],
        "words": Words(count=10, unstable_wrong=2, stable_wrong=1, retracted=3, first_shown=[(1.0, 0.2)]),
        "word_errors": 1,
        "reference_words": 10,
        "cadence": [0.3, 0.3, 0.3],
        "is_finished": True,
    }
    return StreamFigures(number, 10.0, **{**fields, **more})


def summary(*streams: StreamFigures, **record: Any) -> dict[str, Any]:
    records = [Record(one.number, (), one.seconds, lateness=[0.001] * 100, chunks=100, **record) for one in streams]
    return summarise(list(streams), records, kind="hotmic", limits=Limits(), cost=Meter(None))


def test_streams_are_put_together() -> None:
    found = summary(stream(0), stream(1, revised=1))
    assert (found["streams"], found["audio_s"], found["cost"]) == (2, 20.0, None)
    assert found["final_after_endpoint_s"]["count"] == 4
    assert found["flicker"] == {"stable": 0.1, "unstable": 0.2, "retracted": 0.3}
    assert (found["finals_revised"], found["word_error_rate"]) == (0.25, 0.1)
    assert found["text"]["finals"] == found["text"]["utterances"] == 4
    assert found["broken"] == []
    assert [one["number"] for one in found["per_stream"]] == [0, 1]
    assert json.loads(msgspec.json.encode(found))["per_stream"][1]["words"]["count"] == 10


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"partial_age": [(1.0, 0.5)] + [(2.0, 1.2)] * 9}, "partial_age_s p95"),
        ({"partial_gap": [(1.0, 0.5)] + [(2.0, 3.2)] * 9}, "partial_gap_s p95"),
        ({"lost": 1}, "1 lost"),
        ({"partial_age": []}, "partial_age_s: there were none"),
        ({"after_endpoint": [(1.0, 0.1)] + [(2.0, 0.9)] * 9}, "final_after_endpoint_s p95"),
        ({"unheard": 1}, "1 unheard"),
        ({"duplicates": 2}, "2 duplicates"),
        ({"is_finished": False}, "1 unfinished_streams"),
        ({"errors": {"overloaded": 3}}, "3 x error overloaded"),
        ({"after_speech": [(float(s), 0.7 + 0.05 * s) for s in range(10)]}, "grew later"),
    ],
)
def test_every_limit_breaks_a_run(fault: dict[str, Any], word: str) -> None:
    (reason,) = summary(stream(0, **fault))["broken"]
    assert word in reason


def test_a_sender_that_is_late_judges_nobody() -> None:
    found = summary(stream(0))
    found["sender"]["lateness_s"]["p99"] = 0.2
    assert judge(found, Limits()) == ["the sender itself was late: p99 0.2 s"]
    (reason,) = summary(stream(0), dropped=4)["broken"]
    assert "missed 4 events" in reason


def test_what_one_stream_asks_of_a_lock() -> None:
    """Half of the time is speech; a partial takes 0.9 s and is due each 0.3 s; finals take 2 s of 10."""
    one = stream(0, partial_lag=[0.8, 1.0], decoded=5.0, processing=2.0)
    assert ask_of_one_stream([one]) == pytest.approx(0.5 * 3 + 0.2)
    assert ask_of_one_stream([stream(0)]) is None


def test_of_paths_the_last_part_goes_into_a_result() -> None:
    plain = describe(LiveOptions(clips=(), server=ServerOptions(models=Path("/canary/models.yaml"))))
    assert plain["server"]["models"] == "models.yaml"
    assert "canary" not in str(plain)


def test_a_token_does_not_go_into_a_result() -> None:
    running = Target(control="ws://a", audio="ws://b", token="canary-secret")
    plain = describe(LiveOptions(clips=(), running=running))
    assert plain["server"] == {"control": "ws://a", "audio": "ws://b"}
    assert "canary" not in str(plain)
