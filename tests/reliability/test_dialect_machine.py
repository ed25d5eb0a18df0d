"""Any order of messages on both sockets of the dual dialect, against a model of what they mean.

Real connections, sessions and control over sockets in memory and a pool that echoes, in virtual time. After every step:
each request has exactly one answer, which is the expected one or an error with a stable code; nothing raised; the
sessions are in the states the model has. In the end every word that was said while recording was told once, in order.
"""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hotmic import errors
from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.engines import echo
from hotmic.net.connection import Connection
from hotmic.session.state import TRANSITIONS, State, Trigger
from hotmic.values import LoadMode, ModelStatus
from net_support import ANYBODY, FakePeer, House
from virtual_time import VirtualTimeLoop

CHANNELS = ("a", "b")
PARTIES = (("a", True), ("a", True), ("b", True), ("a", False), ("b", False))
"""Who is connected: the channel, and whether it speaks. Who goes is followed by another of its kind."""
TTL = 30.0
SETTLED = 3.0
"""Virtual seconds after which everything that was asked is answered and everything said is told."""
STEPS = 50

ERROR_TREE = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
OURS = {"internal", "daemon_error", "engine_failed", "worker_died", "config_error"}
"""Codes that say that the daemon failed, which nothing here makes it do."""
PROGRESS = ("model_loading",)

BAD_FRAMES: tuple[tuple[str | bytes, str], ...] = (
    ("nope", "invalid_json"),
    ("[1]", "invalid_json"),
    ("{}", "bad_field"),
    ('{"type": "bogus"}', "unknown_type"),
    ('{"type": "subscribe", "channel": "no such name"}', "bad_field"),
    ('{"type": "configure", "language": 7}', "bad_field"),
)
BAD_ON_AUDIO: tuple[tuple[str | bytes, str], ...] = (
    (b"\0\0\0", "bad_audio"),
    ('{"type": "audio_chunk", "data": "!"}', "bad_audio"),
    ('{"type": "audio_chunk"}', "bad_field"),
    ('{"type": "audio_chunk", "data": "AAAA", "seq": -1}', "bad_field"),
    ('{"type": "get_status"}', "wrong_socket"),
    ('{"type": "resume", "session_id": "nobody"}', "session_gone"),
)
BAD_ON_CONTROL: tuple[tuple[str | bytes, str], ...] = (
    (b"\0\0", "wrong_socket"),
    ('{"type": "audio_end"}', "wrong_socket"),
    ('{"type": "load_model", "model_id": "../echo"}', "unknown_model"),
    ('{"type": "unload_model", "model_id": "echo2"}', "unknown_model"),
    ('{"type": "start_recording", "session": "nobody"}', "bad_field"),
    ('{"type": "stop_recording", "session": "nobody"}', "bad_field"),
)


class Stream:
    """What the model knows of one session."""

    def __init__(self, name: str, channel: str, speaker: int) -> None:
        self.name, self.channel, self.speaker = name, channel, speaker
        self.state = State.IDLE
        self.said: list[int] = []
        self.number = 0
        self.next_seq: int | None = None
        self.left_at: float | None = None

    def trigger(self, trigger: Trigger) -> None:
        self.state = TRANSITIONS[self.state, trigger]

    def speak(self) -> bytes:
        """Return the next chunk, and remember it if the session takes it."""
        self.trigger(Trigger.AUDIO)
        if self.state is State.RECORDING:
            self.said.append(self.number)
        self.number += 1
        return echo.chunk(self.number - 1, speaker=self.speaker).tobytes()


class Party:
    """One connection, and what the model knows of it."""

    def __init__(self, name: str, channel: str, *, speaks: bool) -> None:
        self.name, self.channel, self.speaks = name, channel, speaks
        self.peer = FakePeer()
        self.stream: Stream | None = None
        self.task: asyncio.Task[None]


class DualMachine(RuleBasedStateMachine):
    """Clients of both sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.failures: list[str] = []
        self.runner.get_loop().set_exception_handler(lambda _, context: self.failures.append(str(context)))
        self.folder = Path(tempfile.mkdtemp())
        self.house = House(self.folder, streams=10_000)
        self.house.pool.load = self.load  # type: ignore[method-assign]
        self.house.pool.unload = self.unload  # type: ignore[method-assign]
        self.parties: list[Party] = []
        self.streams: list[Stream] = []
        self.number = 0
        self.ears = [self.admit(channel, speaks=False) for channel in CHANNELS]
        self.parties += [self.admit(channel, speaks=speaks) for channel, speaks in PARTIES]
        self.wait(0.1)

    # the fake world

    async def load(self, model_id: str, *, mode: LoadMode, report: Any) -> ModelStatus:
        await asyncio.sleep(0.5)
        self.house.pool.current = model_id
        self.house.runner.receive_pool_change()
        return ModelStatus(model_id=model_id, state="serving")

    async def unload(self, model_id: str) -> None:
        await asyncio.sleep(0.2)
        self.house.pool.current = None
        self.house.runner.receive_pool_change()

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        self.runner.run(work)

    @property
    def now(self) -> float:
        return self.runner.get_loop().time()

    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))
        for stream in self.streams:
            if stream.left_at is not None and self.now >= stream.left_at + TTL:
                stream.state = State.CLOSED

    def admit(self, channel: str, *, speaks: bool) -> Party:
        self.number += 1
        party = Party(f"v{self.number}", channel, speaks=speaks)
        dialect = AudioDialect() if speaks else ControlDialect()
        connection = Connection(
            party.peer, dialect, self.house.services, grant=ANYBODY, channel=channel, session=party.name
        )

        async def begin() -> None:
            party.task = asyncio.get_running_loop().create_task(connection.run())

        self.do(begin())
        return party

    # what rules are made of

    def pick(self, index: int, *, speaks: bool | None = None) -> Party:
        some = [party for party in self.parties if speaks in (None, party.speaks)]
        return some[index % len(some)]

    def pick_stream(self, which: int) -> Stream:
        """Return a session, the newest likeliest, or the first of a speaker."""
        if not self.streams:
            self.speak(index=which, count=3, is_numbered=True)
        return self.streams[-1 - which % len(self.streams)]

    def stream_of(self, party: Party) -> Stream:
        if party.stream is None:
            party.stream = Stream(party.name, party.channel, self.number)
            self.number += 1
            self.streams.append(party.stream)
        return party.stream

    def in_channel(self, channel: str) -> list[Stream]:
        return [s for s in self.streams if s.channel == channel and s.state is not State.CLOSED]

    def ask(self, party: Party, kind: str, expected: str, **fields: Any) -> dict[str, Any]:
        """Send a request, and check that it is answered once and as expected: a type, or the code of an error."""
        self.number += 1
        request_id = f"r-{self.number}"
        party.peer.say({"type": kind, "request_id": request_id, **fields})
        self.wait(SETTLED)
        answers = [m for m in party.peer.sent if m.get("request_id") == request_id and m["type"] not in PROGRESS]
        assert [m.get("code", m["type"]) for m in answers] == [expected], (kind, fields, answers)
        return answers[0]

    def follow(self, party: Party) -> None:
        """Let somebody else come for one whose connection must have ended."""
        assert party.task.done()
        self.parties[self.parties.index(party)] = self.admit(party.channel, speaks=party.speaks)
        self.wait(0.1)

    # connections

    @rule(index=st.integers(0, 5))
    def leave(self, index: int) -> None:
        party = self.pick(index)
        party.peer.leave()
        if party.stream is not None:
            party.stream.state = State.CLOSED
        self.wait(SETTLED)
        self.follow(party)

    @rule(index=st.integers(0, 5))
    def break_off(self, index: int) -> None:
        party = self.pick(index)
        party.peer.break_off()
        stream = party.stream
        if stream is not None and stream.next_seq is None:
            stream.state = State.CLOSED
        elif stream is not None:
            stream.left_at = self.now
        self.wait(SETTLED)
        self.follow(party)

    @rule(index=st.integers(0, 5), which=st.integers(0, 9))
    def resume(self, index: int, which: int) -> None:
        party, stream = self.pick(index, speaks=True), self.pick_stream(which)
        if party.stream is not None:
            self.ask(party, "resume", "bad_field", session_id=stream.name)
            return
        if stream.state is State.CLOSED or stream.next_seq is None:
            self.ask(party, "resume", "session_gone", session_id=stream.name)
            return
        holder = next((other for other in self.parties if other.stream is stream), None)
        party.stream, party.channel, stream.left_at = stream, stream.channel, None
        assert self.ask(party, "resume", "resumed", session_id=stream.name)["next_seq"] == stream.next_seq
        if holder is not None:
            assert holder.peer.closed is not None
            self.follow(holder)

    @rule(index=st.integers(0, 5), channel=st.sampled_from(CHANNELS))
    def subscribe(self, index: int, channel: str) -> None:
        party = self.pick(index)
        party.channel = channel
        self.ask(party, "subscribe", "subscribed", channel=channel)

    # audio

    @rule(index=st.integers(0, 5), count=st.integers(1, 15), is_numbered=st.booleans())
    def speak(self, index: int, count: int, is_numbered: bool) -> None:
        party = self.pick(index, speaks=True)
        stream = self.stream_of(party)
        for _ in range(count):
            data = stream.speak()
            if is_numbered:
                seq = stream.next_seq or 0
                stream.next_seq = seq + 1
                party.peer.say({"type": "audio_chunk", "data": base64.b64encode(data).decode(), "seq": seq})
            else:
                party.peer.say(data)
            self.wait(0.1)

    @rule(index=st.integers(0, 5), ahead=st.sampled_from((-5, -1, 1, 3)))
    def speak_out_of_turn(self, index: int, ahead: int) -> None:
        party = self.pick(index, speaks=True)
        stream = self.stream_of(party)
        if stream.next_seq is None:
            self.speak(index=index, count=1, is_numbered=True)
        seen = len(party.peer.sent)
        data = base64.b64encode(echo.chunk(99_999).tobytes()).decode()
        party.peer.say({"type": "audio_chunk", "data": data, "seq": max(0, stream.next_seq + ahead)})
        self.wait(SETTLED)
        gaps = [m for m in party.peer.sent[seen:] if m.get("code") == "sequence_gap"]
        assert len(gaps) == (ahead > 0)

    @rule(index=st.integers(0, 5), settles=st.booleans())
    def end_audio(self, index: int, settles: bool) -> None:
        party = self.pick(index, speaks=True)
        self.stream_of(party).trigger(Trigger.END)
        party.peer.say({"type": "audio_end"})
        self.wait(SETTLED if settles else 0.01)

    # control

    @rule(index=st.integers(0, 5), starts=st.booleans(), channel=st.sampled_from((*CHANNELS, None)))
    def start_or_stop(self, index: int, starts: bool, channel: str | None) -> None:
        party = self.pick(index, speaks=False)
        named = {} if channel is None else {"channel": channel}
        for stream in self.in_channel(channel or party.channel):
            stream.trigger(Trigger.START if starts else Trigger.STOP)
        kinds = ("start_recording", "recording_started") if starts else ("stop_recording", "recording_stopped")
        self.ask(party, *kinds, **named)

    @rule(index=st.integers(0, 5), which=st.integers(0, 9), starts=st.booleans())
    def start_or_stop_one(self, index: int, which: int, starts: bool) -> None:
        party, stream = self.pick(index, speaks=False), self.pick_stream(which)
        kinds = ("start_recording", "recording_started") if starts else ("stop_recording", "recording_stopped")
        if stream not in self.in_channel(party.channel):
            self.ask(party, kinds[0], "bad_field", session=stream.name)
            return
        stream.trigger(Trigger.START if starts else Trigger.STOP)
        self.ask(party, *kinds, session=stream.name)

    @rule(index=st.integers(0, 5), language=st.sampled_from(("en", "", None)))
    def configure(self, index: int, language: str | None) -> None:
        party = self.pick(index)
        if party.speaks:
            self.stream_of(party)
        self.ask(party, "configure", "configured", **({} if language is None else {"language": language}))

    @rule(index=st.integers(0, 5))
    def ping(self, index: int) -> None:
        self.ask(self.pick(index), "ping", "pong")

    @rule(index=st.integers(0, 5))
    def look(self, index: int) -> None:
        party = self.pick(index, speaks=False)
        assert self.ask(party, "get_models", "available_models")["default"] == "echo"
        held = [stream for stream in self.streams if stream.state is not State.CLOSED]
        assert self.ask(party, "get_status", "status")["sessions"] == len(held)

    @rule(index=st.integers(0, 5), unloads=st.booleans())
    def change_model(self, index: int, unloads: bool) -> None:
        party = self.pick(index, speaks=False)
        if unloads:
            self.ask(party, "unload_model", "model_unloaded", model_id="echo")
        self.ask(party, "load_model", "model_loaded", model_id="echo")

    # mischief and time

    @rule(index=st.integers(0, 5), which=st.integers(0, 11))
    def say_nonsense(self, index: int, which: int) -> None:
        party = self.pick(index)
        frames = BAD_FRAMES + (BAD_ON_AUDIO if party.speaks else BAD_ON_CONTROL)
        frame, code = frames[which % len(frames)]
        if party.stream is not None and code == "session_gone":
            code = "bad_field"
        seen = len(party.peer.sent)
        party.peer.say(frame)
        self.wait(SETTLED)
        assert [m["code"] for m in party.peer.sent[seen:] if m["type"] == "error"] == [code], frame

    @rule(seconds=st.sampled_from((0.05, 1.2, 20.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.wait(seconds)

    # what always holds

    @invariant()
    def nothing_raised(self) -> None:
        assert self.failures == []
        for party in (*self.ears, *self.parties):
            assert party.peer.closed is None, party.peer.closed
            assert not party.task.done()

    @invariant()
    def errors_have_stable_codes_and_none_is_ours(self) -> None:
        for party in (*self.ears, *self.parties):
            codes = {m["code"] for m in party.peer.sent if m["type"] == "error"}
            assert codes <= ERROR_TREE - OURS

    @invariant()
    def sessions_are_as_the_model_has_them(self) -> None:
        held = self.house.runner._sessions
        expected = {s.name: s.state for s in self.streams if s.state is not State.CLOSED}
        assert {name: s.state for name, s in held.items() if s.state is not State.CLOSED} == expected
        for stream in self.streams:
            if stream.state is not State.CLOSED:
                assert held[stream.name].next_seq == stream.next_seq

    def teardown(self) -> None:
        try:
            for party in tuple(self.parties):
                party.peer.leave()
            self.wait(TTL + SETTLED)
            assert self.house.runner.session_count == 0
            told: dict[str, list[int]] = {}
            finals = [m for ear in self.ears for m in ear.peer.sent if m["type"] == "final_transcription"]
            for final in finals:
                told.setdefault(final["session_id"], []).extend(map(int, final["text"].split()))
            for stream in self.streams:
                own = [stream.speaker * echo.SPEAKER_STRIDE + number for number in stream.said]
                assert told.get(stream.name, []) == own
        finally:
            for ear in self.ears:
                ear.peer.leave()
            self.wait(SETTLED)
            self.runner.close()
            shutil.rmtree(self.folder)


class TestDual(DualMachine.TestCase):
    settings = settings(max_examples=10, stateful_step_count=STEPS)


@pytest.mark.slow
class TestDualForLong(DualMachine.TestCase):
    settings = settings(max_examples=400, stateful_step_count=STEPS)
