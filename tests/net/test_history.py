"""Finals for listeners that come back: after an id, for a while, and never without bound."""

from hotmic.events import FinalTranscribed
from hotmic.net import history
from hotmic.net.history import History


def final(event_id: int) -> FinalTranscribed:
    return FinalTranscribed(
        session_id="s",
        channel="c",
        segment_id=f"s-{event_id}",
        event_id=event_id,
        text="one",
        words=(),
        language="en",
        model_id="m",
        start=0.0,
        end=1.0,
        processing=0.1,
        lag=0.1,
    )


def told(kept: History, *, after: int, now: float, channel: str = "c") -> list[int]:
    return [t.event.event_id for t in kept.after(after, channel=channel, now=now)]


def test_what_came_after_an_event_is_told_again() -> None:
    kept = History(first_id=7)
    for at in range(3):
        kept.add(final(kept.next_id()), channel="c", timestamp="", now=float(at))
    assert told(kept, after=0, now=3.0) == [7, 8, 9]
    assert told(kept, after=8, now=3.0) == [9]
    assert told(kept, after=9, now=3.0) == []
    assert told(kept, after=0, now=3.0, channel="other") == []


def test_old_finals_are_forgotten() -> None:
    kept = History(keep=10.0)
    for at in range(5):
        kept.add(final(kept.next_id()), channel="c", timestamp="", now=float(at))
    assert told(kept, after=0, now=12.5) == [4, 5]
    assert told(kept, after=0, now=20.0) == []
    assert not kept._told
    assert not kept._order


def test_a_busy_channel_keeps_its_newest() -> None:
    kept = History()
    for _ in range(history.CHANNEL_ITEMS + 5):
        kept.add(final(kept.next_id()), channel="c", timestamp="", now=0.0)
    assert told(kept, after=0, now=0.0)[0] == 6
    assert len(told(kept, after=0, now=0.0)) == history.CHANNEL_ITEMS


def test_many_channels_have_one_bound_together() -> None:
    kept = History()
    for number in range(history.TOTAL_ITEMS + 100):
        kept.add(final(kept.next_id()), channel=f"c{number}", timestamp="", now=float(number) / 1000)
    assert len(kept._told) == history.TOTAL_ITEMS
    assert told(kept, after=0, now=20.0, channel="c0") == []


def test_a_client_from_before_the_clock_was_set_back_hears_all_and_ids_go_on_from_its_own() -> None:
    kept = History(first_id=100)
    kept.add(final(kept.next_id()), channel="c", timestamp="", now=0.0)
    assert told(kept, after=1000, now=1.0) == [100]
    assert kept.next_id() > 1001
    assert told(kept, after=100, now=1.0) == [], "that one is ours"
    # Another of that time, which knows less than the first.
    assert told(kept, after=950, now=1.0) == [100]
    assert told(kept, after=1000, now=1.0) == [100]


def test_where_a_client_begins_to_listen_is_an_id_of_ours() -> None:
    kept = History(first_id=100)
    assert kept.newest_id == 99
    kept.add(final(kept.next_id()), channel="c", timestamp="", now=0.0)
    told(kept, after=1000, now=0.0)
    begin = kept.newest_id
    kept.add(final(kept.next_id()), channel="c", timestamp="", now=0.0)
    assert told(kept, after=99, now=0.0) == [100, begin + 1]
    assert told(kept, after=begin, now=0.0) == [begin + 1]


def test_an_absurd_id_moves_nothing() -> None:
    kept = History(first_id=100)
    told(kept, after=history.LARGEST_ID, now=0.0)
    assert kept.newest_id == 99


def test_ids_that_clients_make_up_take_no_memory() -> None:
    kept = History(first_id=100)
    for number in range(1000):
        told(kept, after=1000 + 10 * number, now=0.0)
    assert len(kept._ranges) == history.KNOWN_RANGES
