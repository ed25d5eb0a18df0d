"""Commands as JSON, sound as PCM16, every word once."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.rnnt import RnntDialect
from hotmic.dialects.wish import Wish
from hotmic.errors import PeerError
from wire_support import NOW, conversations, play


@pytest.mark.parametrize("path", conversations("rnnt"), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    play(RnntDialect(client_id="u1"), path)


def test_a_start_sets_the_options_and_every_start_its_own_rate() -> None:
    dialect = RnntDialect()
    (command,) = dialect.parse('{"type":"start_recording","config":{"sample_rate":48000,"language":"en","beam":2}}')
    assert command == c.Configure(options=c.SessionOptions(sample_rate=48_000, language="en", beam=2))
    assert dialect.parse('{"type":"start_recording"}') == (c.Configure(options=c.SessionOptions(sample_rate=16_000)),)
    named = RnntDialect(sample_rate=8_000)
    assert named.options.sample_rate == 8_000
    assert named.parse('{"type":"start_recording"}') == (c.Configure(options=c.SessionOptions(sample_rate=8_000)),)


def test_a_start_that_fails_has_not_started() -> None:
    dialect = RnntDialect()
    dialect.parse('{"type":"start_recording"}')
    (error,) = dialect.encode(e.ErrorRaised(code="overloaded", message="Full."), timestamp=NOW)
    assert json.loads(error)["code"] == "overloaded"
    assert dialect.frames_to_send(timestamp=NOW) == []


def test_options_set_in_between_are_confirmed() -> None:
    dialect = RnntDialect()
    assert dialect.parse('{"type":"configure","hotwords":"a, b"}') == (
        c.Configure(options=c.SessionOptions(hotwords=("a", "b"))),
    )
    (answer,) = dialect.encode(e.Configured(options={"beam": 2}), timestamp=NOW)
    assert json.loads(answer) == {"type": "configured", "beam": 2}


def test_a_final_with_nothing_left_to_say_still_closes_the_utterance() -> None:
    dialect = RnntDialect()
    partial = e.PartialTranscribed(
        session_id="s", channel="c", segment_id="g", text="go on", stable="go on", unstable="", language="en",
        lag=0.0, cadence=0.3,
    )  # fmt: skip
    final = e.FinalTranscribed(
        session_id="s", channel="c", segment_id="g", text="Go on.", words=(), language="en", model_id="m", start=0.0,
        end=1.0, processing=0.1, lag=0.1,
    )  # fmt: skip
    frames = [json.loads(f) for event in (partial, partial, final) for f in dialect.encode(event, timestamp=NOW)]
    assert [(frame["text"], frame["is_final"]) for frame in frames] == [("go on", False), ("", True)]


def test_the_session_bears_the_name_of_the_client() -> None:
    assert RnntDialect().session_name(Wish(client_id="kitchen")) == "kitchen"
    assert RnntDialect().session_name(Wish(client_id="kitchen", session="mine")) == "mine"


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=9),
            st.sampled_from(["start_recording", "stop_recording", "configure", "ping", "x"]).map(
                lambda kind: json.dumps({"type": kind})
            ),
            st.text(),
            st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps),
        ),
        max_size=12,
    )
)
def test_no_order_of_frames_breaks_it(frames: list[str | bytes]) -> None:
    dialect = RnntDialect()
    for frame in frames:
        try:
            dialect.parse(frame)
        except PeerError as error:
            assert error.code
        for answer in dialect.frames_to_send(timestamp=NOW):
            assert msgspec.json.decode(answer)["type"] in ("recording_started", "recording_stopped", "warning")
        assert dialect.frames_to_send(timestamp=NOW) == []
