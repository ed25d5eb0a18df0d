"""Series that are read off the daemon when somebody asks for them, not counted as things happen."""

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hotmic.values import ModelState, ModelStatus

UNLOADED = "unloaded"
STATES = (UNLOADED, *get_args(ModelState))


class Series(Collector):
    """How models and rings are at this moment.

    Made anew each time, so that a model which an edit took out of models.yaml leaves no series behind.

    Args:
        model_ids: Returns the ids of models.yaml.
        models: Returns the state of every model that has one.
        held_audio: Returns the seconds of audio in the ring of each session.
        problem: Returns why the daemon does not serve; empty when it does.
    """

    def __init__(
        self,
        *,
        model_ids: Callable[[], Sequence[str]],
        models: Callable[[], Sequence[ModelStatus]],
        held_audio: Callable[[], Sequence[float]],
        problem: Callable[[], str],
    ) -> None:
        self._model_ids, self._models = model_ids, models
        self._held_audio, self._problem = held_audio, problem

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        yield GaugeMetricFamily("hotmic_ready", "1 while a model serves", float(not self._problem()))
        held = self._held_audio()
        yield GaugeMetricFamily("hotmic_ring_seconds", "Audio whose text is not told yet, of all sessions", sum(held))
        yield GaugeMetricFamily(
            "hotmic_ring_seconds_max",
            "Audio whose text is not told yet, of the session with most",
            max(held, default=0),
        )
        yield from self._collect_models()

    def _collect_models(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("hotmic_model_state", "1 for the state a model is in", labels=["model", "state"])
        serving = GaugeMetricFamily("hotmic_model_serving", "1 while a worker serves the model", labels=["model"])
        load = GaugeMetricFamily("hotmic_model_load_seconds", "What the last load took", labels=["model"])
        restarts = CounterMetricFamily("hotmic_worker_restarts", "Restarts of a model's worker", labels=["model"])
        resent = CounterMetricFamily("hotmic_jobs_resent", "Jobs sent again after a worker died", labels=["model"])
        left_out = CounterMetricFamily(
            "hotmic_jobs_quarantined", "Jobs left out because they killed two workers", labels=["model"]
        )
        models: dict[str, list[ModelStatus]] = {model_id: [] for model_id in self._model_ids()}
        for status in self._models():
            models.setdefault(status.model_id, []).append(status)  # also what serves and is no longer in models.yaml
        for model_id, statuses in models.items():
            states: set[str] = {status.state for status in statuses} or {UNLOADED}
            for name in STATES:
                state.add_metric([model_id, name], float(name in states))
            if not statuses:
                continue
            serving.add_metric([model_id], float("serving" in states))
            load.add_metric([model_id], statuses[-1].load_seconds)
            # While an edited entry replaces the old one there are two of a model.
            restarts.add_metric([model_id], sum(status.restarts for status in statuses))
            resent.add_metric([model_id], sum(status.resent for status in statuses))
            left_out.add_metric([model_id], sum(status.quarantined for status in statuses))
        yield from (state, serving, load, restarts, resent, left_out)
