"""Speakers whose connection breaks, or whose daemon dies: every word once, in virtual time with the echo engine."""

import asyncio
import random
from collections import deque

import pytest

import virtual_time
from hotmic.commands import EndAudio, SessionOptions
from hotmic.engines import echo
from hotmic.errors import Overloaded, SessionGone
from hotmic.events import Acknowledged, ErrorRaised, Event, FinalTranscribed, RecordingStopped
from hotmic.net.hub import Hub
from hotmic.net.presence import Owner
from hotmic.net.runner import Runner
from net_support import EchoPool, build


class Client:
    """A speaker that keeps what was not acknowledged, and hears its channel.

    Args:
        speaker: Whose words it says.
        count: Chunks.
    """

    is_speaker = True

    def __init__(self, speaker: int, count: int) -> None:
        self.channel = f"c{speaker}"
        self.heard: list[FinalTranscribed] = []
        self.errors: list[str] = []
        self.lost = self.stopped = 0
        self._unsent = deque((n, echo.chunk(n, speaker=speaker).tobytes()) for n in range(count))
        self._unsettled: deque[tuple[int, bytes]] = deque()
        self._session = ""
        self._tenant = f"token:{speaker}"

    def hear(self, event: Event, *, timestamp: str = "", key: str = "") -> None:
        match event:
            case Acknowledged(seq=seq):
                self._settle(seq)
            case FinalTranscribed(seq=seq):
                self.heard.append(event)
                self._settle(seq)
            case ErrorRaised(code=code):
                self.errors.append(code)
            case RecordingStopped():
                self.stopped += 1

    def _settle(self, seq: int | None) -> None:
        while seq is not None and self._unsettled and self._unsettled[0][0] <= seq:
            self._unsettled.popleft()

    def begin(self, runner: Runner, hub: Hub) -> None:
        hub.join(self)
        self._session = runner.open_session(
            self.channel, SessionOptions(), owner=Owner(hear=self.hear, lose=self._lose), tenant=self._tenant
        )

    def _lose(self) -> None:
        self.lost += 1

    def leave(self, runner: Runner, hub: Hub) -> None:
        hub.leave(self)
        runner.leave_session(self._session)

    def resume(self, runner: Runner, hub: Hub) -> None:
        hub.join(self)
        owner = Owner(hear=self.hear, lose=self._lose)
        due = runner.resume_session(self._session, owner=owner, tenant=self._tenant).next_seq
        hub.catch_up(self, after=self.heard[-1].event_id if self.heard else 0)
        assert self._unsettled or due is not None
        self.repeat()

    def repeat(self) -> None:
        """Put everything that was not settled before what was not sent."""
        self._unsent.extendleft(reversed(self._unsettled))
        self._unsettled.clear()

    def say(self, runner: Runner) -> bool:
        """Send the next chunk; return whether there was one."""
        if not self._unsent:
            return False
        chunk = self._unsent.popleft()
        self._unsettled.append(chunk)
        runner.receive_audio(self._session, chunk[1], encoding="pcm16", sample_rate=None, seq=chunk[0])
        return True

    def end(self, runner: Runner) -> None:
        runner.receive_command(self._session, EndAudio())

    @property
    def numbers(self) -> list[int]:
        return [int(n) % echo.SPEAKER_STRIDE for e in self.heard for n in e.text.split()]


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_connection_costs_no_word_and_says_none_twice(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        runner, hub = build(EchoPool())
        client = Client(seed, 80)
        client.begin(runner, hub)
        said = True
        while said:
            said = client.say(runner)
            if rng.random() < 0.1:
                client.leave(runner, hub)
                await asyncio.sleep(rng.uniform(0, 8))
                client.resume(runner, hub)
                said = True
            await asyncio.sleep(rng.choice((0.0, 0.1)))
        client.end(runner)
        await runner.finish()
        assert client.numbers == list(range(80))
        assert not client.errors

    virtual_time.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_a_daemon_that_dies_remembers_nothing_and_nothing_is_lost(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        runner, hub = build(EchoPool())
        client = Client(seed, 120)
        client.begin(runner, hub)
        said = True
        while said:
            said = client.say(runner)
            if rng.random() < 0.05:
                hub.leave(client)
                runner.close()
                runner, hub = build(EchoPool())
                with pytest.raises(SessionGone):
                    client.resume(runner, hub)
                client.begin(runner, hub)
                client.repeat()
                said = True
            # A pause of the speaker now and then: what is before it gets its final.
            await asyncio.sleep(0.1 if rng.random() < 0.95 else 2.0)
        client.end(runner)
        await runner.finish()
        assert client.numbers == list(range(120))

    virtual_time.run(main())


def test_a_session_waits_for_its_speaker_and_then_no_longer() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        client = Client(1, 10)
        client.begin(runner, hub)
        while client.say(runner):
            await asyncio.sleep(0.1)
        client.leave(runner, hub)
        hub.join(client)
        await asyncio.sleep(29)
        assert not client.heard, "the segment stays open: the speaker may go on in mid-word"
        await asyncio.sleep(2)
        assert client.numbers == list(range(10)), "what was said is told at last"
        assert runner.session_count == 0
        with pytest.raises(SessionGone):
            client.resume(runner, hub)

    virtual_time.run(main())


def test_a_session_that_is_being_finished_is_not_begun_anew() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=1.0))
        client = Client(1, 10)
        client.begin(runner, hub)
        while client.say(runner):
            await asyncio.sleep(0.1)
        client.leave(runner, hub)
        await asyncio.sleep(30.1)
        with pytest.raises(Overloaded):
            client.resume(runner, hub)
        await asyncio.sleep(3)
        with pytest.raises(SessionGone):
            client.resume(runner, hub)
        assert client.numbers == list(range(10))
        assert not client._unsettled

    virtual_time.run(main())


def test_a_second_connection_takes_the_session_over_and_a_stranger_does_not() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        client, thief = Client(1, 30), Client(2, 1)
        client.begin(runner, hub)
        for _ in range(10):
            client.say(runner)
            await asyncio.sleep(0.1)
        thief._session = client._session
        with pytest.raises(SessionGone):
            thief.resume(runner, hub)
        client.resume(runner, hub)
        assert client.lost == 1
        while client.say(runner):
            await asyncio.sleep(0.1)
        client.end(runner)
        await runner.finish()
        assert client.numbers == list(range(30))

    virtual_time.run(main())


def test_a_gap_is_refused_until_it_is_filled() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        client = Client(1, 20)
        client.begin(runner, hub)
        client.say(runner)
        missing = client._unsent.popleft()
        client.say(runner)
        assert client.errors == ["sequence_gap"]
        client._unsettled.pop()
        client._unsent.extendleft([(2, echo.chunk(2, speaker=1).tobytes()), missing])
        while client.say(runner):
            await asyncio.sleep(0.1)
        client.end(runner)
        await runner.finish()
        assert client.numbers == list(range(20))
        assert client.stopped == 1
        assert not client._unsettled, "after the end everything is acknowledged"

    virtual_time.run(main())


def test_a_session_without_numbers_ends_with_its_connection() -> None:
    async def main() -> None:
        runner, _ = build(EchoPool())
        session = runner.open_session("c", SessionOptions(), owner=Owner(hear=lambda _: None))
        runner.receive_audio(session, echo.chunk(0).tobytes(), encoding="pcm16", sample_rate=None)
        with pytest.raises(SessionGone):
            runner.resume_session(session, owner=Owner(hear=lambda _: None), tenant="")
        runner.leave_session(session)
        await asyncio.sleep(1)
        assert runner.session_count == 0

    virtual_time.run(main())
