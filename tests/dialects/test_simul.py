"""NumPy arrays in, transcripts out, and what one connection hands on to the next."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.dialect import Dialect
from hotmic.dialects.plain_text import PlainTextDialect
from hotmic.dialects.simul import SimulDialect
from hotmic.dialects.wish import Wish
from hotmic.errors import PeerError
from wire_support import NOW, conversations, npy, play


@pytest.mark.parametrize("path", conversations("simul"), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    play(SimulDialect(client_id="user"), path)


def partial(stable: str, segment: str = "g-1") -> e.PartialTranscribed:
    return e.PartialTranscribed(
        session_id="s-9", channel="c", segment_id=segment, text=stable, stable=stable, unstable="", language="en",
        lag=0.0, cadence=0.3,
    )  # fmt: skip


def final(text: str, segment: str = "g-1", event_id: int = 1) -> e.FinalTranscribed:
    return e.FinalTranscribed(
        session_id="s-9", channel="c", segment_id=segment, event_id=event_id, text=text, words=(), language="th",
        model_id="m", start=0.0, end=1.0, processing=0.1, lag=0.1,
    )  # fmt: skip


def texts(dialect: Dialect, *events: e.Event) -> list[str]:
    return [json.loads(frame)["text"] for event in events for frame in dialect.encode(event, timestamp=NOW)]


def test_an_array_becomes_float_audio() -> None:
    samples = np.array([0.5, -0.5], dtype=np.float32)
    (command,) = SimulDialect().parse(npy(samples))
    assert command == c.AppendAudio(data=samples.tobytes(), encoding="float32", sample_rate=16_000)


def test_who_has_a_name_is_waited_for() -> None:
    named, nameless = SimulDialect(client_id="user"), SimulDialect()
    assert (named.keeps_session, nameless.keeps_session) == (True, False)
    assert named.session_name(Wish(client_id="user", session="other")) == "simul-user"
    assert nameless.session_name(Wish(session="other")) == ""
    assert json.loads(nameless.encode(final("go"), timestamp=NOW)[0])["client_id"] == "s-9"


def test_what_was_said_before_the_connection_broke_is_not_said_again() -> None:
    earlier, later = SimulDialect(client_id="user"), SimulDialect(client_id="user")
    assert texts(earlier, final("one two", "g-0", 5), partial("three four")) == ["one two", " three four"]
    later.follow(earlier)
    assert later.last_event_id == 5
    assert texts(later, partial("three four five"), final("three four five six", event_id=6)) == [" five", " six"]
    assert later.last_event_id == 6


def test_a_connection_of_another_kind_hands_on_nothing() -> None:
    dialect = SimulDialect(client_id="user")
    dialect.follow(PlainTextDialect())
    assert texts(dialect, final("go on")) == ["go on"]


def test_texts_of_a_script_without_spaces_are_put_together_as_they_are() -> None:
    dialect = SimulDialect(client_id="user")
    assert texts(dialect, final("ไปกิน"), final("ข้าว", "g-2"), final("東京", "g-3"), final("ok", "g-4")) == [
        "ไปกิน", "ข้าว", "東京", "ok",
    ]  # fmt: skip


def test_what_has_no_word_here_is_not_said() -> None:
    quiet = [e.RecordingStarted(session_id="s", channel="c"), e.WarningRaised(code="x", message="y"), partial("")]
    assert texts(SimulDialect(), *quiet) == []


@given(st.text() | st.binary() | st.binary().map(lambda end: npy(np.zeros(3, dtype="<f4")) + end))
def test_no_frame_breaks_it(frame: str | bytes) -> None:
    try:
        SimulDialect().parse(frame)
    except PeerError as error:
        assert error.code
