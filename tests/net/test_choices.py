"""Sessions with models of their own, in virtual time."""

import asyncio
from pathlib import Path

import pytest

import virtual_time
from hotmic.commands import EndAudio, SessionOptions
from hotmic.engines import echo
from hotmic.errors import ModelUnavailable, Superseded
from hotmic.events import ErrorRaised, Event, FinalTranscribed
from hotmic.net.grant import Grant
from hotmic.net.presence import Owner
from hotmic.net.runner import Runner
from hotmic.values import SAMPLE_RATE, Capabilities, LoadProgress
from net_support import EchoPool, FakePeer, House, build


class Ear:
    channel, is_speaker = "c", False

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        self.heard.append(event)

    @property
    def finals(self) -> list[FinalTranscribed]:
        return [event for event in self.heard if isinstance(event, FinalTranscribed)]

    @property
    def numbers(self) -> list[int]:
        return [int(word) for final in self.finals for word in final.text.split()]


def ignore(_: LoadProgress) -> None:
    pass


async def choose(runner: Runner, session_id: str, model_id: str) -> None:
    await runner.choose_model(session_id, model_id, runner.choices.wish(session_id), report=ignore)


async def talk(runner: Runner, session_id: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        runner.receive_audio(session_id, echo.chunk(number).tobytes(), encoding="pcm16", sample_rate=None)
        await asyncio.sleep(0.1)


async def utter(runner: Runner, session_id: str, first: int, count: int) -> None:
    await talk(runner, session_id, first, count)
    runner.receive_command(session_id, EndAudio())
    await asyncio.sleep(1)


def test_a_session_changes_its_model_in_mid_word_and_loses_nothing() -> None:
    async def main() -> None:
        pool, ear = EchoPool(), Ear()
        runner, hub = build(pool)
        hub.join(ear)
        one, other = (runner.open_session("c", SessionOptions(), owner=Owner(hear=ear.heard.append)) for _ in range(2))
        choosing = asyncio.create_task(choose(runner, one, "mine"))
        await utter(runner, one, 0, 8)
        await choosing
        assert runner.choices.of(one) == "mine"
        speaking = asyncio.create_task(utter(runner, one, 8, 30))
        await asyncio.sleep(1.5)
        await choose(runner, one, "yours")
        await speaking
        await utter(runner, other, 100, 5)
        assert ear.numbers == [*range(38), *range(100, 105)]
        assert [final.model_id for final in ear.finals] == ["echo", "yours", "echo"]
        assert pool.acquired == ["yours"]
        await choose(runner, one, "")
        await utter(runner, one, 50, 5)
        assert ear.finals[-1].model_id == "echo"
        assert pool.acquired == []
        await runner.finish()

    virtual_time.run(main())


def test_a_session_that_begins_with_a_model_waits_for_it() -> None:
    async def main() -> None:
        pool, ear = EchoPool(), Ear()
        pool.load_s = 5.0
        runner, hub = build(pool)
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(model="mine"), owner=Owner(hear=ear.heard.append))
        await utter(runner, session, 0, 20)
        assert ear.finals == []
        await asyncio.sleep(4)
        assert ear.numbers == list(range(20))
        assert ear.finals[0].model_id == "mine"
        await runner.finish()
        assert pool.acquired == []

    virtual_time.run(main())


def test_a_session_whose_first_model_fails_is_told_and_heard_by_the_current_one() -> None:
    async def main() -> None:
        pool, ear = EchoPool(), Ear()
        pool.broken.add("mine")
        runner, hub = build(pool)
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(model="mine"), owner=Owner(hear=ear.heard.append))
        await utter(runner, session, 0, 20)
        errors = [event for event in ear.heard if isinstance(event, ErrorRaised)]
        assert [(e.code, e.model_id, e.session_id) for e in errors] == [("model_unavailable", "mine", session)]
        assert "the current one is used instead" in errors[0].message
        assert ear.numbers == list(range(20))
        assert {final.model_id for final in ear.finals} == {"echo"}
        with pytest.raises(ModelUnavailable):
            await choose(runner, session, "mine")
        assert runner.choices.of(session) == ""
        await runner.finish()

    virtual_time.run(main())


def test_a_session_that_ends_while_its_model_loads_holds_nothing() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, _ = build(pool)
        for options in (SessionOptions(model="mine"), SessionOptions()):
            session = runner.open_session("c", options, owner=Owner(hear=lambda _: None))
            choosing = asyncio.create_task(choose(runner, session, "yours"))
            await asyncio.sleep(0.1)
            runner.close_session(session)
            with pytest.raises(Superseded):
                await choosing
            await asyncio.sleep(2)
        assert pool.acquired == []
        assert runner.session_count == 0

    virtual_time.run(main())


def test_the_last_choice_of_a_session_wins_and_names_that_are_used_again_are_others() -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.load_s = 10.0
        runner, _ = build(pool)
        session = runner.open_session("c", SessionOptions(model="first"), owner=Owner(hear=lambda _: None), name="desk")
        slow = asyncio.create_task(choose(runner, session, "slow"))
        await asyncio.sleep(1)
        await choose(runner, session, "")
        with pytest.raises(Superseded):
            await slow
        assert (runner.choices.of(session), pool.acquired) == ("", [])
        slow = asyncio.create_task(choose(runner, session, "slow"))
        await asyncio.sleep(1)
        runner.close_session(session)
        again = runner.open_session("other", SessionOptions(), owner=Owner(hear=lambda _: None), name="desk")
        with pytest.raises(Superseded):
            await slow
        assert (again, runner.choices.of(again), pool.acquired) == ("desk", "", [])
        await runner.finish()

    virtual_time.run(main())


def test_a_daemon_that_stops_does_not_wait_for_models() -> None:
    async def main() -> None:
        pool, ear = EchoPool(), Ear()
        pool.load_s = 600.0
        runner, hub = build(pool)
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(model="slow"), owner=Owner(hear=lambda _: None))
        await talk(runner, session, 0, 20)
        async with asyncio.timeout(10):
            await runner.finish()
        assert (ear.numbers, ear.finals[0].model_id) == (list(range(20)), "echo")
        runner.close()

    virtual_time.run(main())


def test_a_session_learns_that_its_model_can_do_other_things_now() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, _ = build(pool)
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None))
        pool.capabilities = lambda _: Capabilities(max_window=5.0, batches_in_flight=2)  # type: ignore[method-assign]
        runner.receive_pool_change()
        assert runner._sessions[session]._planner.max_window == 5 * SAMPLE_RATE
        assert runner.dispatcher.scheduler().max_in_flight == 2
        await runner.finish()

    virtual_time.run(main())


def test_a_session_that_fails_takes_no_other_with_it() -> None:
    async def main() -> None:
        pool, ear = EchoPool(), Ear()
        runner, hub = build(pool)
        hub.join(ear)
        bad, *good = (runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None)) for _ in range(4))

        def fail(result: object, *, now: float) -> None:
            raise RuntimeError("our own mistake")

        runner._sessions[bad].receive_result = fail  # type: ignore[method-assign]
        await asyncio.gather(*(utter(runner, s, 0, 20) for s in good), talk(runner, bad, 0, 3))
        assert sorted(ear.numbers) == sorted(3 * list(range(20)))
        errors = [event for event in ear.heard if isinstance(event, ErrorRaised)]
        assert [(e.code, e.session_id) for e in errors] == [("internal", bad)]
        assert runner.session_count == 3
        await runner.finish()

    virtual_time.run(main())


def test_a_channel_goes_back_to_the_model_that_served_last(tmp_path: Path) -> None:
    async def main() -> None:
        models = "".join(f"  - {{id: {m}, name: {m}, type: echo, languages: [en]}}\n" for m in ("echo", "x", "y", "z"))
        house = House(tmp_path, registry=f"default: echo\nmodels:\n{models}")
        house.pool.broken |= {"x", "y"}
        peer = FakePeer()
        connection = house.admit(peer)
        for number, model_id in enumerate(("z", "x", "y")):
            peer.say({"type": "configure", "model": model_id, "request_id": number})
            await asyncio.sleep(2 if model_id == "z" else 0.1)
        await asyncio.sleep(3)
        assert house.control.options_of("c").model == "z"
        peer.leave()
        await connection

    virtual_time.run(main())


def test_who_may_not_load_models_may_choose_the_one_that_serves(tmp_path: Path) -> None:
    async def main() -> None:
        models = "".join(f"  - {{id: {m}, name: {m}, type: echo, languages: [en]}}\n" for m in ("echo", "z"))
        house = House(tmp_path, registry=f"default: echo\naliases: {{whisper-1: echo}}\nmodels:\n{models}")
        peer = FakePeer()
        assert [house.control.meant(name) for name in ("whisper-1", "echo", "z")] == ["", "echo", "z"]
        connection = house.admit(peer, speaks=True, grant=Grant(name="app", scopes=("speak", "listen")))
        for number, model_id in enumerate(("whisper-1", "z")):
            peer.say({"type": "configure", "model": model_id, "request_id": number})
            await asyncio.sleep(3)
        await connection
        answers = {message["request_id"]: message for message in peer.sent}
        assert answers[0]["type"] == "configured"
        assert answers[1]["code"] == "not_authorized"

    virtual_time.run(main())
