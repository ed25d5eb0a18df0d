"""What a recorded session notes, and that it is a session like any other."""

import ast
import io
from pathlib import Path

import pytest

from hotmic import net
from hotmic.events import FinalTranscribed, PartialTranscribed, RecordingStarted, SessionEvent
from hotmic.session.recorder import RecordedSession
from hotmic.session.session import Session
from hotmic.session.tape import (
    AttachInput,
    AudioInput,
    CloseInput,
    CommandInput,
    DetachInput,
    EventsOutput,
    Input,
    JobsOutput,
    ModelInput,
    ResultInput,
    Surroundings,
    Tape,
    TimerInput,
)
from tape_support import Conversation, play


def test_no_way_into_a_session_leads_past_the_file() -> None:
    ways = {name for name in vars(Session) if name.startswith(("receive_", "handle_"))}
    assert len(ways) == 8
    assert ways == {name for name in vars(RecordedSession) if name.startswith(("receive_", "handle_"))}


def test_nobody_writes_into_a_session_what_is_not_noted() -> None:
    """The runner may set what ``Surroundings`` holds, and nothing else."""
    written = set()
    for path in (Path(net.__path__[0])).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                name = getattr(node.value, "id", "")
                written |= {node.attr} if name == "session" else set()
    assert written == {"cadence", "label"} <= set(Surroundings.__struct_fields__)


def test_every_input_is_noted_with_its_time_before_its_outputs() -> None:
    conversation = Conversation(0)
    session = conversation.session
    session.receive_audio(b"\0\0", now=1.5, seq=3, sample_rate=8000, encoding="mulaw")
    conversation.drain()
    session.receive_detach()
    session.receive_attach(now=2.0)
    session.handle_timer(now=2.5)
    conversation.now = 3.0
    conversation.command()
    conversation.jobs = []
    session.receive_close(now=4.0)
    entries = list(Tape(io.BytesIO(conversation.sink.data)))
    kinds = [ModelInput, AudioInput, JobsOutput, EventsOutput, DetachInput, AttachInput, TimerInput, CommandInput]
    assert [type(entry) for entry in entries] == [Surroundings, *kinds, CloseInput]
    assert entries[2] == AudioInput(now=1.5, data=b"\0\0", encoding="mulaw", sample_rate=8000, seq=3)
    assert [getattr(entry, "now", None) for entry in entries[6:]] == [2.0, 2.5, 3.0, 4.0]


def test_surroundings_are_noted_where_they_change() -> None:
    conversation = Conversation(0)
    for cadence in (0.3, 0.3, 0.7):
        conversation.session.cadence = cadence
        conversation.session.receive_audio(b"\0\0", now=1.0)
    entries = list(Tape(io.BytesIO(conversation.sink.data)))
    assert [entry.cadence for entry in entries if isinstance(entry, Surroundings)] == [0.3, 0.7]
    assert {entry.label for entry in entries if isinstance(entry, Surroundings)} == {"s-1-9"}


def test_events_say_that_they_are_recorded_and_the_file_does_not() -> None:
    conversation = Conversation(3)
    data = conversation.run(80)
    told = [event for event in conversation.events if isinstance(event, SessionEvent)]
    assert {RecordingStarted, PartialTranscribed, FinalTranscribed} <= {type(event) for event in told}
    assert all(event.recorded for event in told)
    noted = [e for entry in Tape(io.BytesIO(data)) if isinstance(entry, EventsOutput) for e in entry.events]
    assert len(noted) == len(conversation.events)
    assert not any(event.recorded for event in noted if isinstance(event, SessionEvent))


def test_the_file_ends_with_the_session() -> None:
    conversation = Conversation(4)
    conversation.run()
    assert conversation.session.is_finished
    assert not conversation.sink.is_open


def test_events_of_a_session_whose_file_has_ended_say_nothing() -> None:
    conversation = Conversation(4)
    conversation.sink.close()
    conversation.run()
    assert not any(event.recorded for event in conversation.events if isinstance(event, SessionEvent))


def test_neither_tenant_nor_request_ids_are_noted() -> None:
    conversation = Conversation(5)
    for _ in range(30):
        conversation.command()
    data = conversation.run()
    noted = [entry for entry in Tape(io.BytesIO(data)) if isinstance(entry, CommandInput)]
    assert len(noted) >= 30
    assert {entry.command.request_id for entry in noted} == {None}
    assert b"secret" not in data
    assert b"somebody" not in data


@pytest.mark.parametrize("seed", range(25))
def test_a_random_conversation_replays_exactly(seed: int) -> None:
    conversation = Conversation(seed)
    replay, difference, tape = play(conversation.run(40))
    assert difference is None
    assert not tape.is_cut
    said = [event for _, event in replay.events]
    assert [type(event) for event in said] == [type(event) for event in conversation.events]


def test_a_conversation_judged_by_silero_replays_exactly() -> None:
    conversation = Conversation(1, vad="silero")
    replay, difference, _ = play(conversation.run(20))
    assert difference is None
    assert replay.inputs > 20


def test_random_conversations_do_all_there_is() -> None:
    """Otherwise the tests above show little."""
    inputs: set[type] = set()
    events: set[str] = set()
    for seed in range(12):
        conversation = Conversation(seed)
        entries = Tape(io.BytesIO(conversation.run(40)))
        inputs |= {type(entry) for entry in entries if isinstance(entry, Input)}
        events |= {type(event).__name__ for event in conversation.events}
    every = {AttachInput, AudioInput, CloseInput, CommandInput, DetachInput, ModelInput, ResultInput, TimerInput}
    assert inputs == every
    assert {"FinalTranscribed", "PartialTranscribed", "Acknowledged", "ErrorRaised", "RecordingStopped"} <= events
