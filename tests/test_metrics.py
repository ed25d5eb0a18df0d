"""The series: what is counted, and that nothing a client or a worker says becomes a label."""

from typing import get_args

import msgspec
import pytest

from hotmic.errors import BadField, HotmicError, Overloaded, codes
from hotmic.metrics import Metrics
from hotmic.values import DecodeJob, DecodeResult, Guard


def job(kind: str = "final", *, created: float = 0.0, seconds: float = 1.0) -> DecodeJob:
    return DecodeJob(
        job_id="j", session_id="s", segment_id="g", kind=kind, samples=b"\0" * int(32_000 * seconds), start=0,
        deadline=0.0, created=created,
    )  # type: ignore[arg-type]  # fmt: skip


def test_a_batch_is_counted_by_what_it_waited_took_and_held() -> None:
    metrics = Metrics()
    jobs = [job(created=8.0, seconds=2.0), job(created=9.5, seconds=0.5)]
    results = [DecodeResult(job_id="j", decode_s=0.5), DecodeResult(job_id="j", decode_s=0.5, suppressed="loop")]
    metrics.receive_batch(jobs, results, started=10.0, done=10.75)
    value = metrics.registry.get_sample_value
    assert value("hotmic_queue_wait_seconds_sum", {"kind": "final"}) == 2.5
    assert value("hotmic_queue_wait_seconds_count", {"kind": "final"}) == 2
    assert value("hotmic_batch_seconds_sum", {"kind": "final"}) == 0.75
    assert value("hotmic_batch_rows_sum") == 2
    assert value("hotmic_inference_seconds_sum", {"kind": "final"}) == 0.5
    assert value("hotmic_decoded_audio_seconds_total", {"kind": "final"}) == 2.5
    assert value("hotmic_suppressed_total", {"guard": "loop"}) == 1


def test_files_wait_in_a_lane_of_their_own() -> None:
    metrics = Metrics()
    read = msgspec.structs.replace(job(), is_from_file=True)
    metrics.receive_batch([read], [DecodeResult(job_id="j", decode_s=0.5)], started=3600.0, done=3601.0)
    value = metrics.registry.get_sample_value
    assert value("hotmic_queue_wait_seconds_sum", {"kind": "file"}) == 3600
    assert value("hotmic_inference_seconds_sum", {"kind": "file"}) == 0.5
    assert value("hotmic_queue_wait_seconds_count", {"kind": "final"}) is None


def test_a_batch_that_failed_says_nothing_about_inference() -> None:
    metrics = Metrics()
    metrics.receive_batch([job()], [DecodeResult(job_id="j", error_code="engine_failed")], started=0.0, done=1.0)
    value = metrics.registry.get_sample_value
    assert value("hotmic_batch_seconds_count", {"kind": "final"}) == 1
    assert value("hotmic_inference_seconds_count", {"kind": "final"}) is None
    assert value("hotmic_decoded_audio_seconds_total", {"kind": "final"}) is None


def test_a_code_that_is_none_of_ours_is_no_label() -> None:
    metrics = Metrics()
    for code in ("bad_field", "overloaded", "<script>", "x" * 9999, "", "one", "two"):
        metrics.reject(code)
    rows = {tuple(s.labels.values()): s.value for s in _samples(metrics, "hotmic_rejections_total")}
    assert rows == {("bad_field",): 1, ("overloaded",): 1, ("internal",): 5}
    assert {BadField.code, Overloaded.code, HotmicError.code} <= codes()


def test_a_guard_that_is_none_of_ours_never_comes_out_of_a_worker() -> None:
    for guard in get_args(Guard):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"job_id": "j", "suppressed": guard}), type=DecodeResult)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"job_id": "j", "suppressed": "other"}), type=DecodeResult)


def _samples(metrics: Metrics, name: str) -> list:  # type: ignore[type-arg]
    return [s for family in metrics.registry.collect() for s in family.samples if s.name == name]
