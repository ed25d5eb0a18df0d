import pytest
from prometheus_client import CollectorRegistry, generate_latest

from hotmic.net.roster import ClientReport, Roster


class Client:
    def __init__(self, dialect: str, items: int, *, coalesced: int = 0, held_s: float = 0.0) -> None:
        self.dialect, self.items, self.coalesced, self.held_s = dialect, items, coalesced, held_s

    def report(self, client_id: str) -> ClientReport:
        return ClientReport(
            id=client_id,
            dialect=self.dialect,
            address="127.0.0.1",
            channel="c",
            pending_items=self.items,
            pending_bytes=10 * self.items,
            coalesced=self.coalesced,
            held_s=self.held_s,
        )


def test_series_tell_the_sum_and_the_largest_by_dialect_and_counters_outlive_clients() -> None:
    registry, roster = CollectorRegistry(), Roster()
    registry.register(roster)
    clients = (Client("control", 3, coalesced=2), Client("control", 5), Client("audio", 0, held_s=1.5))
    first, second, _ = [roster.join(client) for client in clients]
    text = generate_latest(registry).decode()
    for line in (
        'hotmic_outbox_items{dialect="control"} 8.0',
        'hotmic_outbox_items_max{dialect="control"} 5.0',
        'hotmic_outbox_bytes{dialect="control"} 80.0',
        'hotmic_outbox_bytes_max{dialect="control"} 50.0',
        'hotmic_outbox_items{dialect="audio"} 0.0',
        "hotmic_partials_coalesced_total 2.0",
        "hotmic_held_seconds_total 1.5",
    ):
        assert line in text.splitlines()
    roster.leave(first)
    roster.leave(second)
    text = generate_latest(registry).decode()
    assert 'dialect="control"' not in text
    assert "hotmic_partials_coalesced_total 2.0" in text.splitlines()


def test_ids_are_given_once() -> None:
    roster = Roster()
    first = roster.join(Client("audio", 1))
    roster.leave(first)
    second = roster.join(Client("audio", 2))
    assert first != second
    assert [(report.id, report.pending_items) for report in roster.reports()] == [(second, 2)]


def test_one_that_cannot_be_judged_saves_nobody_else() -> None:
    class Judged(Client):
        def __init__(self, *, fails: bool) -> None:
            super().__init__("control", 0)
            self.fails, self.was_judged = fails, False

        def check_grant(self) -> None:
            self.was_judged = True
            if self.fails:
                raise RuntimeError("a mistake of ours")

    roster = Roster()
    broken, sound, file = Judged(fails=True), Judged(fails=False), Judged(fails=False)
    roster.join(broken)
    roster.join(sound)
    roster.join_file(file)
    with pytest.raises(ExceptionGroup):
        roster.check_grants()
    assert (broken.was_judged, sound.was_judged, file.was_judged) == (True, True, True)
    roster.leave_file(file)
    file.was_judged = False
    with pytest.raises(ExceptionGroup):
        roster.check_grants()
    assert not file.was_judged
