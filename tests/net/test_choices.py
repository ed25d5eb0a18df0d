"""Sessions with models of their own, in virtual time."""

import asyncio

import pytest

import virtual_time
from hotmic.commands import EndAudio, SessionOptions
from hotmic.engines import echo
from hotmic.errors import ModelUnavailable
from hotmic.events import ErrorRaised, Event, FinalTranscribed
from hotmic.net.runner import Runner
from hotmic.values import LoadProgress
from net_support import EchoPool, build


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
        one, other = (runner.open_session("c", SessionOptions(), owner=ear.heard.append) for _ in range(2))
        choosing = asyncio.create_task(runner.choose_model(one, "mine", report=ignore))
        await utter(runner, one, 0, 8)
        await choosing
        assert runner.choices.of(one) == "mine"
        speaking = asyncio.create_task(utter(runner, one, 8, 30))
        await asyncio.sleep(1.5)
        await runner.choose_model(one, "yours", report=ignore)
        await speaking
        await utter(runner, other, 100, 5)
        assert ear.numbers == [*range(38), *range(100, 105)]
        assert [final.model_id for final in ear.finals] == ["echo", "yours", "echo"]
        assert pool.acquired == ["yours"]
        await runner.choose_model(one, "", report=ignore)
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
        session = runner.open_session("c", SessionOptions(model="mine"), owner=ear.heard.append)
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
        session = runner.open_session("c", SessionOptions(model="mine"), owner=ear.heard.append)
        await utter(runner, session, 0, 20)
        errors = [event for event in ear.heard if isinstance(event, ErrorRaised)]
        assert [(e.code, e.model_id, e.session_id) for e in errors] == [("model_unavailable", "mine", session)]
        assert "the current one is used instead" in errors[0].message
        assert ear.numbers == list(range(20))
        assert {final.model_id for final in ear.finals} == {"echo"}
        with pytest.raises(ModelUnavailable):
            await runner.choose_model(session, "mine", report=ignore)
        assert runner.choices.of(session) == ""
        await runner.finish()

    virtual_time.run(main())


def test_a_session_that_ends_while_its_model_loads_holds_nothing() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, _ = build(pool)
        for options in (SessionOptions(model="mine"), SessionOptions()):
            session = runner.open_session("c", options, owner=lambda _: None)
            choosing = asyncio.create_task(runner.choose_model(session, "yours", report=ignore))
            await asyncio.sleep(0.1)
            runner.close_session(session)
            await choosing
            await asyncio.sleep(2)
        assert pool.acquired == []
        assert runner.session_count == 0

    virtual_time.run(main())
