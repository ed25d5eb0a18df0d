"""Prometheus series of the daemon.

No label grows with what clients say: dialects, kinds of work, models of models.yaml, guards and the codes of
``errors`` are all there are.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hotmic.errors import HotmicError, codes
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeResult

_LATENCY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_PAUSE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64)
_CODES = codes()


class Metrics:
    """One set of series in its own registry, so that several daemons can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="hotmic", registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"hotmic_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"hotmic_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, *labels: str, buckets: Sequence[float] = _LATENCY) -> Histogram:
            return Histogram(f"hotmic_{name}", what, labels, buckets=buckets, registry=registry)

        self.connections = gauge("connections", "Open connections", "dialect")
        self.sessions = gauge("sessions", "Speaking sessions")
        self.resumes = counter("resumes", "Sessions that went on over another connection")
        self.audio_seconds = counter("audio_seconds", "Audio received")
        self.finals = counter("finals", "Final transcripts")
        self.finals_revised = counter("finals_revised", "Finals that changed words shown as stable")
        self.partials = counter("partials", "Partial transcripts")
        self.suppressed = counter("suppressed", "Texts removed by a guard", "guard")
        self.partial_lag = histogram("partial_lag_seconds", "From the newest audio of a partial to its text")
        self.final_lag = histogram("final_lag_seconds", "From the endpoint to the final")
        self.queue = gauge("queue_jobs", "Jobs waiting", "kind")
        self.queue_wait = histogram("queue_wait_seconds", "From a job to the start of its batch", "kind")
        self.batch_seconds = histogram("batch_seconds", "Wall time of one batch, there and back", "kind")
        self.batch_rows = histogram("batch_rows", "Rows of one batch", buckets=_ROWS)
        self.inference = histogram("inference_seconds", "Time of one batch inside the engine", "kind")
        self.decoded = counter(
            "decoded_audio_seconds", "Audio of the batches that came back; windows of a segment overlap", "kind"
        )
        self.rejections = counter("rejections", "Refused requests", "code")
        self.slow_clients = counter("slow_clients", "Clients cut for not reading")
        self.loop_lag = histogram("event_loop_lag_seconds", "By how much a timer of ours came late", buckets=_PAUSE)

    def reject(self, code: str) -> None:
        """Count a refusal or failure; a code that is none of ours counts as ``internal``."""
        self.rejections.labels(code if code in _CODES else HotmicError.code).inc()

    def receive_batch(
        self, jobs: Sequence[DecodeJob], results: Sequence[DecodeResult], *, started: float, done: float
    ) -> None:
        """Count a batch that came back, with or without text."""
        kind = "file" if jobs[0].is_from_file else jobs[0].kind
        self.batch_seconds.labels(kind).observe(done - started)
        self.batch_rows.observe(len(jobs))
        for job in jobs:
            self.queue_wait.labels(kind).observe(max(0.0, started - job.created))
        for result in results:
            if result.suppressed:
                self.suppressed.labels(result.suppressed).inc()
        inference = max(result.decode_s for result in results)
        if inference:
            self.inference.labels(kind).observe(inference)
            self.decoded.labels(kind).inc(sum(len(job.samples) for job in jobs) / 2 / SAMPLE_RATE)
