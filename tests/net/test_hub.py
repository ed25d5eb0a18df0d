from hotmic.events import Event, FinalTranscribed, ModelsChanged, PartialTranscribed
from hotmic.net.hub import Hub, wall_clock


class Ear:
    def __init__(self, channel: str, *, is_speaker: bool = False) -> None:
        self.channel, self.is_speaker = channel, is_speaker
        self.heard: list[tuple[Event, str]] = []

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        self.heard.append((event, key))


def final(text: str, channel: str) -> FinalTranscribed:
    return FinalTranscribed(
        session_id="s", channel=channel, segment_id="s-1", text=text, words=(), language="en", model_id="m", start=0.0,
        end=1.0, processing=0.1, lag=0.1,
    )  # fmt: skip


def test_a_channel_hears_its_own_events_alone() -> None:
    hub = Hub()
    ears = [Ear("a"), Ear("a", is_speaker=True), Ear("b")]
    for ear in ears:
        hub.join(ear)
    hub.publish(final("one", "a"), channel="a")
    hub.publish(final("two", "a"), channel="a")
    assert [[e.event_id for e, _ in ear.heard] for ear in ears] == [[1, 2], [1, 2], []]  # type: ignore[attr-defined]
    hub.leave(ears[2])
    assert not hub.has("b")
    assert hub.has("a")


def test_partials_carry_their_segment_as_key() -> None:
    hub, ear = Hub(), Ear("a")
    hub.join(ear)
    partial = PartialTranscribed(
        session_id="s",
        channel="a",
        segment_id="s-1",
        text="x",
        stable="",
        unstable="x",
        language="",
        lag=0.1,
        cadence=0.3,
    )
    hub.publish(partial, channel="a")
    assert [key for _, key in ear.heard] == ["s-1"]


def test_a_broadcast_reaches_controllers_of_every_channel() -> None:
    hub = Hub()
    ears = [Ear("a"), Ear("b"), Ear("b", is_speaker=True)]
    for ear in ears:
        hub.join(ear)
    hub.broadcast(ModelsChanged(model_ids=("m",)), besides=ears[0])
    assert [len(ear.heard) for ear in ears] == [0, 1, 0]


def test_wall_clock_is_what_clients_parse() -> None:
    assert wall_clock()[-1] == "Z"
    assert len(wall_clock()) == len("2026-01-02T03:04:05.678Z")
