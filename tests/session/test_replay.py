"""Replays that find what differs."""

import io
from collections.abc import Callable

import msgspec
import pytest

from hotmic.building import build_policy, build_segmenter
from hotmic.events import FinalTranscribed
from hotmic.session.replay import Difference, Replay
from hotmic.session.tape import Entry, EventsOutput, JobsOutput, ResultInput, Surroundings, Tape
from tape_support import Conversation


def replay_of(change: Callable[[Entry], Entry | None]) -> tuple[Replay, Difference | None]:
    """Replay a conversation whose entries were doctored."""
    tape = Tape(io.BytesIO(Conversation(3).run(80)))
    replay = Replay(tape.header, build_segmenter=build_segmenter, build_policy=build_policy)
    changed = (change(entry) for entry in tape)
    return replay, replay.run(entry for entry in changed if entry is not None)


def is_final(entry: Entry) -> bool:
    return isinstance(entry, EventsOutput) and any(isinstance(e, FinalTranscribed) for e in entry.events)


def test_an_undoctored_one_is_the_same() -> None:
    replay, difference = replay_of(lambda entry: entry)
    assert difference is None
    assert any(isinstance(event, FinalTranscribed) for _, event in replay.events)
    assert replay.jobs


def test_a_doctored_event_is_found_and_its_field_is_named() -> None:
    def change(entry: Entry) -> Entry:
        if not is_final(entry):
            return entry
        assert isinstance(entry, EventsOutput)
        events = [
            msgspec.structs.replace(e, text="doctored", end=e.end + 1e-9) if isinstance(e, FinalTranscribed) else e
            for e in entry.events
        ]
        return EventsOutput(events=tuple(events))

    replay, difference = replay_of(change)
    assert difference is not None
    assert isinstance(difference.recorded, FinalTranscribed)
    assert isinstance(difference.replayed, FinalTranscribed)
    assert difference.recorded.text == "doctored" != difference.replayed.text
    assert difference.after == replay.inputs
    assert difference.now == replay.events[-1][0]
    told = difference.explain()
    assert f"after input {difference.after}, " in told
    assert [line.strip() for line in told.splitlines() if line.startswith("    ") and line[4] != " "] == ["text", "end"]
    assert "recorded: 'doctored'" in told
    assert "language" not in told


@pytest.mark.parametrize("kind", [EventsOutput, JobsOutput])
def test_an_output_that_is_missing_is_found(kind: type[EventsOutput] | type[JobsOutput]) -> None:
    empty = EventsOutput(events=()) if kind is EventsOutput else JobsOutput(jobs=())
    _, difference = replay_of(lambda entry: empty if isinstance(entry, kind) else entry)
    assert difference is not None
    assert difference.recorded is None
    assert difference.replayed is not None
    assert "recorded: nothing" in difference.explain()


def test_an_input_that_is_missing_is_found() -> None:
    _, difference = replay_of(lambda entry: None if isinstance(entry, ResultInput) else entry)
    assert difference is not None
    assert difference.replayed is None
    assert "replayed: nothing" in difference.explain()


def test_surroundings_matter() -> None:
    def change(entry: Entry) -> Entry:
        return msgspec.structs.replace(entry, label="other") if isinstance(entry, Surroundings) else entry

    _, difference = replay_of(change)
    assert difference is not None
    assert "segment_id" in difference.explain() or "job_id" in difference.explain()


def test_what_is_said_after_the_last_drain_is_told_and_not_compared() -> None:
    entries = list(Tape(io.BytesIO(Conversation(3).run(80))))
    last = max(i for i, entry in enumerate(entries) if is_final(entry))
    tape = Tape(io.BytesIO(Conversation(3).run(80)))
    replay = Replay(tape.header, build_segmenter=build_segmenter, build_policy=build_policy)
    assert replay.run(entries[: last - 1]) is None
    assert any(isinstance(event, FinalTranscribed) for _, event in replay.events[-5:])
