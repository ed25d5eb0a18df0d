"""What every connection works with."""

from collections.abc import Mapping

from hotmic.commands import SessionOptions
from hotmic.metrics import Metrics
from hotmic.net.control import Control
from hotmic.net.hub import Hub
from hotmic.net.limit import Quota
from hotmic.net.roster import Roster
from hotmic.net.runner import Runner
from hotmic.net.security import Access
from hotmic.net.throttle import Rates


class Services:
    """The parts of the daemon."""

    def __init__(
        self,
        *,
        hub: Hub,
        runner: Runner,
        control: Control,
        access: Access,
        metrics: Metrics,
        roster: Roster,
        connections: Quota,
        streams: Quota,
        containers: Quota,
        rates: Rates,
        outbox_items: int,
        outbox_bytes: int,
        slow_client: float,
        dialect_options: Mapping[str, SessionOptions] | None = None,
    ) -> None:
        self.hub, self.runner, self.control, self.access, self.metrics = hub, runner, control, access, metrics
        self.roster, self.rates = roster, rates
        self.connections, self.streams, self.containers = connections, streams, containers
        self.outbox_items, self.outbox_bytes, self.slow_client = outbox_items, outbox_bytes, slow_client
        self.dialect_options = dialect_options or {}
