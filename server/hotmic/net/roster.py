"""Who is connected, and how much waits for each."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hotmic.values import Value


class ClientReport(Value, frozen=True, kw_only=True):
    """One connection as the detailed status shows it."""

    id: str = ""
    dialect: str
    address: str
    channel: str
    session_id: str = ""
    """The session it speaks in; empty for a listener."""
    pending_items: int
    """Messages that wait to be sent."""
    pending_bytes: int
    coalesced: int
    """Stale partials that were overwritten while they waited."""
    held_s: float
    """Seconds that what it sent was held back by rate limits."""


class Guarded(Protocol):
    """Something that lasts as long as its token is in force."""

    def check_grant(self) -> None:
        """End if the token is no longer in force."""


class Client(Guarded, Protocol):
    """A connection as the roster sees it."""

    def report(self, client_id: str) -> ClientReport:
        """Return its figures."""


class Roster(Collector):
    """All open connections; a Prometheus collector of what waits for them, by dialect."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._files: set[Guarded] = set()
        self._number = 0
        self._coalesced, self._held_s = 0, 0.0

    def join(self, client: Client) -> str:
        """Add a connection and return its id."""
        self._number += 1
        client_id = f"c-{self._number}"
        self._clients[client_id] = client
        return client_id

    def leave(self, client_id: str) -> None:
        """Remove a connection."""
        report = self._clients.pop(client_id).report(client_id)
        self._coalesced += report.coalesced
        self._held_s += report.held_s

    def join_file(self, file: Guarded) -> None:
        """Add a file that is being transcribed: it is judged like a connection, and shown nowhere."""
        self._files.add(file)

    def leave_file(self, file: Guarded) -> None:
        """Remove a file."""
        self._files.discard(file)

    def check_grants(self) -> None:
        """Show out every connection and end every file whose token is no longer in force.

        Raises:
            ExceptionGroup: Some could not be judged, by mistakes of ours; all others were.
        """
        failures: list[Exception] = []
        for guarded in (*self._clients.values(), *self._files):
            try:
                guarded.check_grant()
            except Exception as error:  # noqa: BLE001 - nobody keeps a connection because another's end failed
                failures.append(error)
        if failures:
            raise ExceptionGroup("Not every token could be judged.", failures)

    def reports(self) -> list[ClientReport]:
        """Return the figures of every connection, oldest first."""
        return [client.report(client_id) for client_id, client in self._clients.items()]

    def collect(self) -> Iterator[Metric]:
        """Yield the series: what waits in all and for the client for which most does, and what has gone by."""
        reports = self.reports()
        coalesced = self._coalesced + sum(report.coalesced for report in reports)
        held_s = self._held_s + sum(report.held_s for report in reports)
        yield CounterMetricFamily("hotmic_partials_coalesced", "Stale partials overwritten in an outbox", coalesced)
        yield CounterMetricFamily("hotmic_held_seconds", "Time that clients were held back by rate limits", held_s)
        for unit, what in (("items", "Messages"), ("bytes", "Bytes")):
            pending: dict[str, list[int]] = defaultdict(list)
            for report in reports:
                pending[report.dialect].append(report.pending_items if unit == "items" else report.pending_bytes)
            name = f"hotmic_outbox_{unit}"
            total = GaugeMetricFamily(name, f"{what} that wait for clients", labels=["dialect"])
            largest = GaugeMetricFamily(f"{name}_max", f"{what} that wait for one client, at most", labels=["dialect"])
            for dialect, counts in pending.items():
                total.add_metric([dialect], sum(counts))
                largest.add_metric([dialect], max(counts))
            yield total
            yield largest
