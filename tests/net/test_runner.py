"""The shell in virtual time, with the echo engine behind it: many sessions, exact texts."""

import asyncio
from typing import get_args

import pytest

import virtual_time
from hotmic.commands import EndAudio, SessionOptions, StopRecording
from hotmic.engines import echo
from hotmic.errors import Overloaded, ShuttingDown
from hotmic.events import ErrorRaised, Event, FinalTranscribed, WarningRaised
from hotmic.metrics import Metrics
from hotmic.net.presence import Owner
from hotmic.net.runner import Runner
from hotmic.values import Guard
from net_support import EchoPool, build, overload


class Ear:
    is_speaker = False

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.heard: list[Event] = []

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        self.heard.append(event)

    @property
    def numbers(self) -> list[int]:
        return [int(n) for e in self.heard if isinstance(e, FinalTranscribed) for n in e.text.split()]


async def talk(runner: Runner, session_id: str, speaker: int, count: int) -> None:
    for number in range(count):
        audio = echo.chunk(number, speaker=speaker).tobytes()
        runner.receive_audio(session_id, audio, encoding="pcm16", sample_rate=None)
        await asyncio.sleep(0.1)


def test_twenty_speakers_hear_their_own_words_exactly() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, hub = build(pool)
        ears = [Ear(f"c{i}") for i in range(20)]
        for ear in ears:
            hub.join(ear)
        sessions = [
            runner.open_session(ear.channel, SessionOptions(), owner=Owner(hear=ear.heard.append)) for ear in ears
        ]
        await asyncio.gather(*(talk(runner, s, i, 30) for i, s in enumerate(sessions)))
        for session in sessions:
            runner.receive_command(session, EndAudio())
        await runner.finish()
        for i, ear in enumerate(ears):
            assert ear.numbers == [i * echo.SPEAKER_STRIDE + n for n in range(30)]
        assert max(pool.batches) > 1, "rows of several sessions share a batch"
        assert runner.session_count == 0

    virtual_time.run(main())


def test_silence_on_the_wire_is_an_endpoint_without_any_more_audio() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 10)
        await asyncio.sleep(0.5)
        assert not ear.numbers
        await asyncio.sleep(1.0)
        assert ear.numbers == list(range(10))

    virtual_time.run(main())


def test_a_daemon_that_was_held_up_takes_unread_audio_for_no_silence() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 15)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        loop.advance(1.5)
        await asyncio.sleep(0.05)
        await talk(runner, session, 0, 5)
        assert not ear.numbers, "the segment was ended by the daemon's own delay"
        await asyncio.sleep(1.5)
        assert ear.numbers == [*range(15), *range(5)], "a silent wire still ends it"

    virtual_time.run(main())


def test_a_failed_batch_fails_its_segments_and_nothing_else() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, hub = build(pool)
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        pool.fails = True
        await talk(runner, session, 0, 10)
        await asyncio.sleep(2)
        assert [e.code for e in ear.heard if isinstance(e, ErrorRaised)] == ["engine_failed"]
        pool.fails = False
        await talk(runner, session, 1, 10)
        await asyncio.sleep(2)
        assert ear.numbers == [echo.SPEAKER_STRIDE + n for n in range(10)]

    virtual_time.run(main())


async def hear_one_segment(pool: EchoPool) -> tuple[Metrics, Ear]:
    """Return the metrics, and what a listener was told, once somebody has said thirty chunks."""
    metrics = Metrics()
    runner, hub = build(pool, metrics)
    ear = Ear("c")
    hub.join(ear)
    session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
    await talk(runner, session, 0, 30)
    await asyncio.sleep(2)
    return metrics, ear


@pytest.mark.parametrize("changes", [False, True])
def test_finals_that_change_stable_words_are_counted(changes: bool) -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.changes_its_mind = changes
        metrics, ear = await hear_one_segment(pool)
        assert [e.revised for e in ear.heard if isinstance(e, FinalTranscribed)] == [changes]
        assert metrics.registry.get_sample_value("hotmic_finals_revised_total") == float(changes)

    virtual_time.run(main())


@pytest.mark.parametrize("guard", get_args(Guard))
def test_what_each_guard_takes_out_of_speech_is_counted_and_not_told(guard: Guard) -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.suppresses = guard
        metrics, ear = await hear_one_segment(pool)
        samples = [sample for family in metrics.registry.collect() for sample in family.samples]
        counted = {s.labels["guard"]: s.value for s in samples if s.name == "hotmic_suppressed_total"}
        assert counted == ({guard: sum(pool.batches)} if guard else {})
        assert ear.numbers == ([] if guard else list(range(30)))

    virtual_time.run(main())


def test_without_a_model_audio_waits_for_one_and_its_speaker_is_told() -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.current = None
        runner, hub = build(pool)
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 10)
        await asyncio.sleep(5)
        assert not ear.numbers
        assert [e.code for e in ear.heard if isinstance(e, WarningRaised)].count("no_model") == 1
        pool.current = "echo"
        runner.receive_pool_change()
        await asyncio.sleep(1)
        assert ear.numbers == list(range(10))
        runner.receive_command(session, EndAudio())
        await talk(runner, session, 0, 10)
        assert [e.code for e in ear.heard if isinstance(e, WarningRaised)].count("no_model") == 1

    virtual_time.run(main())


def test_a_wished_name_never_gives_somebody_elses_session() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        wished = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append), name="s-2")
        others = [runner.open_session("d", SessionOptions(), owner=Owner(hear=ear.heard.append)) for _ in range(3)]
        assert len({wished, *others}) == 4
        await talk(runner, wished, 7, 10)
        await asyncio.sleep(2)
        assert ear.numbers == [7 * echo.SPEAKER_STRIDE + n for n in range(10)]

    virtual_time.run(main())


def test_segments_of_a_daemon_that_was_started_again_have_names_of_their_own() -> None:
    async def main(first_number: int) -> set[str]:
        runner, hub = build(EchoPool(), first_number=first_number)
        ear = Ear("c")
        hub.join(ear)
        for name in ("mine", ""):
            session_id = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append), name=name)
            await talk(runner, session_id, 1, 10)
            await asyncio.sleep(2)
        return {event.segment_id for event in ear.heard if isinstance(event, FinalTranscribed)}

    before, after = virtual_time.run(main(1000)), virtual_time.run(main(2000))
    assert len(before) == len(after) == 2
    assert before.isdisjoint(after)


def test_a_name_that_comes_back_is_another_session() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        for speaker in range(2):
            session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append), name="mic")
            await talk(runner, session, speaker, 5)
            runner.close_session(session)
            await asyncio.sleep(0.3)
        last = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append), name="mic")
        await asyncio.sleep(5)
        await talk(runner, last, 2, 5)
        await asyncio.sleep(2)
        assert ear.numbers == [s * echo.SPEAKER_STRIDE + n for s in range(3) for n in range(5)]
        segments = [e.segment_id for e in ear.heard if isinstance(e, FinalTranscribed)]
        assert len(set(segments)) == 3

    virtual_time.run(main())


def test_a_departed_speaker_is_nobody_to_start_or_stop() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=2.0))
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 10)
        runner.close_session(session)
        assert runner.session_count == 1, "its final is still to come"
        assert runner.in_channel("c") == []
        await asyncio.sleep(5)
        assert ear.numbers == list(range(10))
        runner.close_session(session)

    virtual_time.run(main())


def test_a_speaker_that_never_stops_does_not_hold_up_the_end() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        talking = asyncio.create_task(talk(runner, session, 0, 1000))
        await asyncio.sleep(1.05)
        await asyncio.wait_for(runner.finish(), 5)
        assert ear.numbers == list(range(11))
        with pytest.raises(ShuttingDown):
            await talking
        with pytest.raises(ShuttingDown):
            runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))

    virtual_time.run(main())


def test_waiting_for_room_is_no_silence_on_the_wire() -> None:
    """First seen as segments cut at a place that depended on the load."""

    async def segments(delay: float) -> list[tuple[float, float]]:
        runner, hub = build(EchoPool(delay=delay))
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        for number in range(900):
            await runner.wait_for_room(session, 0.1)
            runner.receive_audio(session, echo.chunk(number).tobytes(), encoding="pcm16", sample_rate=None)
        runner.receive_command(session, EndAudio())
        await runner.finish()
        assert ear.numbers == list(range(900))
        return [(e.start, e.end) for e in ear.heard if isinstance(e, FinalTranscribed)]

    assert virtual_time.run(segments(4.0)) == virtual_time.run(segments(0.001))


def test_room_is_counted_at_the_rate_of_the_session() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        session = runner.open_session("c", SessionOptions(sample_rate=8000), owner=Owner(hear=lambda _: None))
        assert runner.seconds_of(session, bytes(16_000), encoding="pcm16", sample_rate=None) == 1.0
        assert runner.seconds_of(session, bytes(16_000), encoding="float32", sample_rate=4000) == 1.0

    virtual_time.run(main())


def test_stop_returns_after_the_last_final() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=3.0))
        ear = Ear("c")
        hub.join(ear)
        sessions = [runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append)) for _ in range(2)]
        await asyncio.gather(*(talk(runner, s, i, 10) for i, s in enumerate(sessions)))
        await runner.stop(sessions, StopRecording())
        assert sorted(ear.numbers) == [*range(10), *(echo.SPEAKER_STRIDE + n for n in range(10))]
        await runner.stop([], StopRecording())

    virtual_time.run(main())


def test_no_speech_is_in_the_status_until_somebody_speaks() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None))
        for _ in range(12):
            runner.receive_audio(session, bytes(32_000), encoding="pcm16", sample_rate=None)
        assert list(runner.notices.shown) == ["no_speech"]
        await talk(runner, session, 0, 5)
        assert not runner.notices.shown

    virtual_time.run(main())


def test_slow_processing_is_warned_about_once() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=1.5))
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 100)
        assert list(runner.notices.shown) == ["slow"]

    virtual_time.run(main())


def test_a_speaker_over_the_measured_capacity_is_refused_and_the_others_go_on() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        await talk(runner, session, 0, 10)
        overload(runner, now=asyncio.get_running_loop().time())
        with pytest.raises(Overloaded) as refused:
            runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))
        assert refused.value.retry_after_ms is not None
        assert refused.value.retry_after_ms >= 5000
        assert runner.session_count == 1
        await asyncio.sleep(2)
        assert ear.numbers == list(range(10))
        await asyncio.sleep(120)
        runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append))

    virtual_time.run(main())


def test_sixty_speakers_at_once_are_let_in() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=0.04))
        ear = Ear("c")
        hub.join(ear)
        sessions = [runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append)) for _ in range(30)]
        await asyncio.gather(*(talk(runner, s, i, 30) for i, s in enumerate(sessions)))
        sessions += [runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append)) for _ in range(30)]
        await asyncio.gather(*(talk(runner, s, i, 30) for i, s in enumerate(sessions)))
        await runner.finish()
        assert len(ear.numbers) == 30 * 30 + 60 * 30

    virtual_time.run(main())


def test_jobs_carry_the_tenant_of_their_session() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, _ = build(pool)
        seen: set[str] = set()
        receive = runner.dispatcher.scheduler().receive_job
        runner.dispatcher.scheduler().receive_job = lambda job, *, now: (seen.add(job.tenant), receive(job, now=now))[1]  # type: ignore[method-assign]
        for tenant in ("token:a", "token:b"):
            session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None), tenant=tenant)
            await talk(runner, session, 0, 10)
        await asyncio.sleep(2)
        assert seen == {"token:a", "token:b"}

    virtual_time.run(main())


def test_another_model_is_measured_anew_and_the_same_one_is_not() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, _ = build(pool)
        runner.receive_pool_change()
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None))
        await talk(runner, session, 0, 20)
        await asyncio.sleep(2)
        costs = runner.dispatcher.scheduler().capacity.costs
        assert costs["partial"].count > 0
        assert costs["final"].count > 0
        pool.current = None
        runner.receive_pool_change()
        pool.current = "echo"
        runner.receive_pool_change()
        assert runner.dispatcher.scheduler().capacity.costs is costs
        pool.current = "other"
        runner.receive_pool_change()
        assert runner.dispatcher.scheduler().capacity.costs["final"].count == 0

    virtual_time.run(main())


def test_a_failed_batch_teaches_no_cost() -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.fails = True
        runner, _ = build(pool)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None))
        await talk(runner, session, 0, 10)
        await asyncio.sleep(2)
        assert runner.dispatcher.scheduler().capacity.costs["final"].count == 0

    virtual_time.run(main())
