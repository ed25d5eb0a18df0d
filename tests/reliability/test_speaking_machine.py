"""Any order of frames in the protocols of one socket, against a model of what was said.

Real connections, sessions and control over sockets in memory and a pool that echoes, in virtual time. Every mistake has
the error it should have, or the close code where the protocol has no errors; nothing raises and nothing else closes;
little waits. In the end every word that was said is told once, in order, and nobody hears another's.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hotmic.dialects.dialect import Frame
from hotmic.dialects.negotiate import DIALECTS
from hotmic.dialects.openai_realtime import OpenaiRealtimeDialect
from hotmic.dialects.wish import Wish
from hotmic.engines import echo
from hotmic.net.connection import Connection
from net_support import ANYBODY, FakePeer, House
from tongue import TONGUES, RealtimeTongue, Tongue
from virtual_time import VirtualTimeLoop

PARTIES = 4
SETTLED = 6.0
"""Virtual seconds of silence after which everything said is told, also to clients whose silence is judged late."""
TTL = 30.0
STEPS = 50
MOST_HELD = 61.0
"""Seconds of sound that a session keeps, ``ring_s``."""


class TonguePeer(FakePeer):
    """A socket in memory whose client understands what it hears."""

    def __init__(self, tongue: Tongue) -> None:
        super().__init__()
        self.tongue = tongue

    async def send(self, frame: Frame) -> None:
        self.tongue.hear(frame)


class Party:
    """One client, and what the model knows of it; a client that is waited for is one across its connections."""

    def __init__(self, tongue: Tongue, number: int) -> None:
        self.tongue, self.number = tongue, number
        self.next = 0
        self.said: list[int] = []
        self.dropped: set[int] = set()
        """Words of a buffer that the client cleared: they may have been told."""
        self.left_at: float | None = None
        """When the connection ended whose session waits since, until this client brings sound again."""
        self.is_cut = False
        """Whether it left while words could be under way."""
        self.listens = True
        self.expected_close: int | None = None
        self.peer: TonguePeer
        self.dialect: object
        self.task: asyncio.Task[None]

    def speak(self) -> Frame:
        sound = echo.chunk(self.next, speaker=self.number)
        if self.listens:
            self.said.append(self.number * echo.SPEAKER_STRIDE + self.next)
        self.next += 1
        return self.tongue.chunk(sound)

    @property
    def told(self) -> list[int]:
        return [int(word) for word in self.tongue.text.split()]

    def judge(self, *, is_settled: bool) -> None:
        told = self.told
        assert told == sorted(set(told)), "twice, or out of order"
        assert set(told) <= set(self.said), "nobody said this here"
        if is_settled and not self.is_cut:
            assert set(self.said) - set(told) <= self.dropped, (self.said, told)


class SpeakingMachine(RuleBasedStateMachine):
    """Clients of one protocol."""

    dialect: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.failures: list[str] = []
        self.runner.get_loop().set_exception_handler(lambda _, context: self.failures.append(str(context)))
        self.folder = Path(tempfile.mkdtemp())
        self.house = House(self.folder, connections=1000, streams=1000)
        self.made = TONGUES[self.dialect]
        self.number = 0
        self.gone: list[Party] = []
        self.parties = [self.come() for _ in range(PARTIES)]

    @property
    def is_awaited(self) -> bool:
        return self.dialect == "simul"

    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    def come(self) -> Party:
        self.number += 1
        party = Party(self.made(f"c{self.number}"), self.number)
        self.connect(party)
        return party

    def connect(self, party: Party) -> None:
        """Begin a connection of a client."""
        dialect = DIALECTS[self.dialect](wish := Wish(client_id=party.tongue.name, unique=f"u{self.number}"))
        party.peer, party.dialect = TonguePeer(party.tongue), dialect
        session = dialect.session_name(wish)
        connection = Connection(party.peer, dialect, self.house.services, grant=ANYBODY, session=session)

        async def begin() -> None:
            party.task = asyncio.get_running_loop().create_task(connection.run())

        self.runner.run(begin())
        party.listens = True
        party.tongue.texts.append(" ")  # nobody may have waited, and then the texts begin anew
        for frame in party.tongue.greet():
            party.peer.say(frame)
        self.wait(0.1)

    def follow(self, party: Party) -> None:
        """Let the same client come again, or another where a session waits for nobody."""
        assert party.task.done()
        if self.is_awaited:
            if party.left_at is None:
                party.left_at = self.runner.get_loop().time()
            self.connect(party)
            return
        party.is_cut = True
        self.gone.append(party)
        self.parties[self.parties.index(party)] = self.come()

    def send(self, party: Party, frame: Frame) -> None:
        """Send sound, which goes on with the session that waits for this client, if it still does."""
        now = self.runner.get_loop().time()
        if party.left_at is not None and now - party.left_at > TTL - SETTLED:
            party.dropped |= set(party.said) - set(party.told)
        party.left_at = None
        party.peer.say(frame)

    def say(self, party: Party, frame: Frame) -> None:
        party.peer.say(frame)
        self.wait(0.01)

    # any order of these

    @rule(index=st.integers(0, PARTIES - 1), count=st.integers(1, 15))
    def speak(self, index: int, count: int) -> None:
        party = self.parties[index]
        for _ in range(count):
            self.send(party, party.speak())
            self.wait(0.1)

    @rule(count=st.integers(1, 8))
    def speak_together(self, count: int) -> None:
        for _ in range(count):
            for party in self.parties:
                self.send(party, party.speak())
            self.wait(0.1)

    @rule(index=st.integers(0, PARTIES - 1), count=st.integers(1, 12))
    def be_silent(self, index: int, count: int) -> None:
        party = self.parties[index]
        for _ in range(count):
            self.send(party, party.tongue.chunk(np.zeros(echo.CHUNK, np.int16)))
            self.wait(0.1)

    @rule(seconds=st.sampled_from((0.05, 1.2, 3.5, 20.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.wait(seconds)

    @rule(index=st.integers(0, PARTIES - 1), which=st.integers(0, 20))
    def say_nonsense(self, index: int, which: int) -> None:
        party = self.parties[index]
        frame, code = party.tongue.bad[which % len(party.tongue.bad)]
        seen = len(party.tongue.codes)
        if isinstance(code, int):
            self.wait(SETTLED)
            party.judge(is_settled=True)
        if isinstance(frame, bytes) and not party.listens:
            return  # sound is ignored as a whole
        party.peer.say(frame)
        self.wait(1.5)
        if isinstance(code, int):
            assert party.peer.closed is not None
            assert party.peer.closed[0] == code
            self.follow(party)
        else:
            assert party.tongue.codes[seen:] == [code], frame

    @rule(index=st.integers(0, PARTIES - 1), says_goodbye=st.booleans())
    def go(self, index: int, says_goodbye: bool) -> None:
        party = self.parties[index]
        party.peer.leave() if says_goodbye else party.peer.break_off()
        self.wait(0.5)
        self.follow(party)

    @precondition(lambda self: self.is_awaited)
    @rule(index=st.integers(0, PARTIES - 1))
    def come_twice(self, index: int) -> None:
        party = self.parties[index]
        old, task = party.peer, party.task
        had_spoken = bool(self.house.runner.session_count) and party.next
        self.connect(party)
        self.send(party, party.speak())
        self.wait(0.5)
        if had_spoken and task.done():
            assert old.closed == (1000, "the session goes on elsewhere")
        old.leave()
        self.wait(0.1)

    @precondition(lambda self: self.made.ends)
    @rule(index=st.integers(0, PARTIES - 1), settles=st.booleans())
    def end(self, index: int, settles: bool) -> None:
        party = self.parties[index]
        errors = len(party.tongue.codes)
        for frame in party.tongue.end():
            self.say(party, frame)
        party.listens = party.listens and self.dialect != "rnnt"
        if settles:
            self.wait(SETTLED)
            refused = party.tongue.codes[errors:]
            assert party.tongue.is_over or refused == ["input_audio_buffer_commit_empty"]

    @precondition(lambda self: self.dialect == "rnnt")
    @rule(index=st.integers(0, PARTIES - 1))
    def start(self, index: int) -> None:
        party = self.parties[index]
        for frame in party.tongue.greet():
            self.say(party, frame)
        party.listens = True

    @precondition(lambda self: self.dialect == "openai_realtime")
    @rule(index=st.integers(0, PARTIES - 1), detected=st.booleans())
    def take_turns(self, index: int, detected: bool) -> None:
        party = self.parties[index]
        assert isinstance(party.tongue, RealtimeTongue)
        self.say(party, party.tongue.turns(detected=detected))

    @precondition(lambda self: self.dialect in ("openai_realtime", "live_caption"))
    @rule(index=st.integers(0, PARTIES - 1))
    def clear(self, index: int) -> None:
        party = self.parties[index]
        kind = {"openai_realtime": "input_audio_buffer.clear", "live_caption": "clear_buffer"}[self.dialect]
        party.dropped |= set(party.said) - set(party.told)
        self.say(party, f'{{"type": "{kind}"}}')

    @precondition(lambda self: self.dialect in ("rnnt", "live_caption"))
    @rule(index=st.integers(0, PARTIES - 1))
    def ping(self, index: int) -> None:
        self.say(self.parties[index], '{"type": "ping"}')

    # what always holds

    @invariant()
    def nothing_raised_and_nobody_was_cut(self) -> None:
        assert self.failures == []
        for party in self.parties:
            assert party.peer.closed is None, party.peer.closed
            assert not party.task.done()

    @invariant()
    def everybody_hears_own_words_once(self) -> None:
        for party in (*self.parties, *self.gone[-PARTIES:]):
            party.judge(is_settled=False)

    @invariant()
    def little_waits(self) -> None:
        assert all(held < MOST_HELD for held in self.house.runner.held_audio())
        assert all(report.pending_items <= 8 for report in self.house.services.roster.reports())
        for party in self.parties:
            if isinstance(party.dialect, OpenaiRealtimeDialect):
                assert len(party.dialect._asked) + len(party.dialect._items) <= 64

    def teardown(self) -> None:
        try:
            for party in self.parties:
                for frame in party.tongue.end():
                    self.send(party, frame)
                    self.wait(0.01 if self.made.ends else 0.1)
            self.wait(SETTLED)
            for party in (*self.parties, *self.gone):
                party.judge(is_settled=True)
            for party in self.parties:
                party.peer.leave()
            self.wait(TTL + SETTLED)
            assert self.house.runner.session_count == 0
            assert self.failures == []
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)


def machine(dialect: str) -> type[SpeakingMachine]:
    return type(f"{dialect.title().replace('_', '')}Machine", (SpeakingMachine,), {"dialect": dialect})


class TestPlainText(machine("plain_text").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=10, stateful_step_count=STEPS)


class TestRnnt(machine("rnnt").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=10, stateful_step_count=STEPS)


class TestSimul(machine("simul").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=10, stateful_step_count=STEPS)


class TestRealtime(machine("openai_realtime").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=10, stateful_step_count=STEPS)


class TestCaption(machine("live_caption").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=10, stateful_step_count=STEPS)


@pytest.mark.slow
class TestPlainTextForLong(machine("plain_text").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=STEPS)


@pytest.mark.slow
class TestRnntForLong(machine("rnnt").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=STEPS)


@pytest.mark.slow
class TestSimulForLong(machine("simul").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=STEPS)


@pytest.mark.slow
class TestRealtimeForLong(machine("openai_realtime").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=STEPS)


@pytest.mark.slow
class TestCaptionForLong(machine("live_caption").TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=STEPS)
