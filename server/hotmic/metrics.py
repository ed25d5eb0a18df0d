"""Prometheus series of the daemon."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """One set of series in its own registry, so that several daemons can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.connections = Gauge("hotmic_connections", "Open connections", ["dialect"], registry=registry)
        self.sessions = Gauge("hotmic_sessions", "Speaking sessions", registry=registry)
        self.audio_seconds = Counter("hotmic_audio_seconds", "Audio received", registry=registry)
        self.finals = Counter("hotmic_finals", "Final transcripts", registry=registry)
        self.finals_revised = Counter(
            "hotmic_finals_revised", "Finals that changed words shown as stable", registry=registry
        )
        self.partials = Counter("hotmic_partials", "Partial transcripts", registry=registry)
        self.suppressed = Counter("hotmic_suppressed", "Texts removed by a guard", ["guard"], registry=registry)
        self.partial_lag = Histogram(
            "hotmic_partial_lag_seconds",
            "From the newest audio of a partial to its text",
            buckets=_LATENCY,
            registry=registry,
        )
        self.final_lag = Histogram(
            "hotmic_final_lag_seconds", "From the endpoint to the final", buckets=_LATENCY, registry=registry
        )
        self.batch_seconds = Histogram(
            "hotmic_batch_seconds", "Wall time of one batch", ["kind"], buckets=_LATENCY, registry=registry
        )
        self.batch_rows = Histogram(
            "hotmic_batch_rows", "Rows of one batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self.queue = Gauge("hotmic_queue_jobs", "Jobs waiting", ["kind"], registry=registry)
        self.model_serving = Gauge(
            "hotmic_model_serving", "1 while a worker serves the model", ["model"], registry=registry
        )
        self.worker_restarts = Gauge(
            "hotmic_worker_restarts", "Restarts of a model's worker", ["model"], registry=registry
        )
        self.rejections = Counter("hotmic_rejections", "Refused requests", ["code"], registry=registry)
        self.slow_clients = Counter("hotmic_slow_clients", "Clients cut for not reading", registry=registry)
