"""Bad frames on both sockets, and every event as JSON."""

import base64
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dual import encode, request_id
from hotmic.dialects.message import ConfigFields
from hotmic.errors import PeerError
from hotmic.values import Word
from wire_support import NOW, conversations, play

BAD = [
    ("nope", "invalid_json", "invalid_json"),
    ("[1]", "invalid_json", "invalid_json"),
    ("", "invalid_json", "invalid_json"),
    ('{"a": 1}', "bad_field", "bad_field"),
    ('{"type": 5}', "bad_field", "bad_field"),
    ('{"type": "bogus"}', "unknown_type", "unknown_type"),
    ('{"type": "load_model"}', "bad_field", "wrong_socket"),
    ('{"type": "load_model", "model_id": 7}', "bad_field", "wrong_socket"),
    ('{"type": "load_model", "model_id": "x", "mode": "sideways"}', "bad_field", "wrong_socket"),
    ('{"type": "audio_chunk"}', "wrong_socket", "bad_field"),
    ('{"type": "audio_chunk", "data": "A!"}', "wrong_socket", "bad_audio"),
    ('{"type": "audio_chunk", "data": "AAAA", "sample_rate": 7}', "wrong_socket", "bad_field"),
    ('{"type": "audio_chunk", "data": "AAAA", "encoding": "mp9"}', "wrong_socket", "bad_field"),
    ('{"type": "subscribe", "channel": "../x"}', "bad_field", "bad_field"),
    ('{"type": "configure", "language": "English!"}', "bad_field", "bad_field"),
    ('{"type": "configure", "beam": 99}', "bad_field", "bad_field"),
    ('{"type": "configure", "fallback": "yes"}', "bad_field", "bad_field"),
    ('{"type": "configure", "alternatives": 5}', "bad_field", "bad_field"),
    ('{"type": "configure", "alternatives": -1}', "bad_field", "bad_field"),
    ('{"type": "configure", "policy": "guess"}', "bad_field", "bad_field"),
]


@pytest.mark.parametrize("path", conversations("control"), ids=lambda path: path.stem)
def test_control_conversations(path: Path) -> None:
    play(ControlDialect(), path)


@pytest.mark.parametrize("path", conversations("audio"), ids=lambda path: path.stem)
def test_audio_conversations(path: Path) -> None:
    play(AudioDialect(), path)


@pytest.mark.parametrize(("frame", "on_control", "on_audio"), BAD)
def test_bad_frames_have_stable_codes(frame: str, on_control: str, on_audio: str) -> None:
    for dialect, code in ((ControlDialect(), on_control), (AudioDialect(), on_audio)):
        with pytest.raises(PeerError) as caught:
            dialect.parse(frame)
        assert caught.value.code == code


def test_who_is_recorded_is_told_and_who_is_not_hears_nothing_of_it() -> None:
    greeting = e.Connected(server="hotmic", version="1", current_model=None)
    started = e.RecordingStarted(session_id="s", channel="c")
    final = e.FinalTranscribed(
        session_id="s",
        channel="c",
        segment_id="s-1",
        text="go",
        words=(),
        language="en",
        model_id="m",
        start=0.0,
        end=1.0,
        processing=0.1,
        lag=0.1,
    )
    for event in (greeting, started, final):
        plain, marked = encode(event, NOW), encode(msgspec.structs.replace(event, recorded=True), NOW)
        assert plain is not None
        assert "recorded" not in plain
        assert marked == {**plain, "recorded": True}


def test_audio_on_the_control_socket() -> None:
    with pytest.raises(PeerError) as caught:
        ControlDialect().parse(b"\0\0")
    assert caught.value.code == "wrong_socket"


def test_chunks_arrive_as_sent() -> None:
    audio = AudioDialect(sample_rate=8000)
    assert audio.parse(b"\1\2") == (c.AppendAudio(data=b"\1\2", sample_rate=8000),)
    frame = json.dumps({"type": "audio_chunk", "data": base64.b64encode(b"\1\2").decode(), "sample_rate": 48000})
    assert audio.parse(frame) == (c.AppendAudio(data=b"\1\2", sample_rate=48000),)


def test_control_messages_become_commands() -> None:
    control = ControlDialect()
    assert control.parse('{"type":"get_models","request_id":"r"}') == (c.ListModels(request_id="r"),)
    assert control.parse('{"type":"load_model","model_id":"demo-en"}') == (c.LoadModel(model_id="demo-en"),)
    (start,) = control.parse('{"type":"start_recording","config":{"language":"th","hotwords":"a, b"}}')
    assert start == c.StartRecording(config=c.SessionOptions(language="th", hotwords=("a", "b")))


def test_options_of_decoding_become_commands() -> None:
    fields = '"fallback":false,"alternatives":2,"policy":"align_att"'
    options = c.SessionOptions(fallback=False, alternatives=2, policy="align_att")
    assert ControlDialect().parse(f'{{"type":"start_recording","config":{{{fields}}}}}') == (
        c.StartRecording(config=options),
    )
    for dialect in (ControlDialect(), AudioDialect()):
        assert dialect.parse(f'{{"type":"configure",{fields}}}') == (c.Configure(options=options),)
        assert dialect.parse('{"type":"configure"}') == (c.Configure(options=c.SessionOptions()),)


def test_every_option_can_be_said_on_the_wire() -> None:
    assert set(ConfigFields.__struct_fields__) - {"request_id"} == set(c.SessionOptions.__struct_fields__)


def test_request_id_of_a_bad_frame() -> None:
    assert request_id('{"type":"bogus","request_id":"r-1"}') == "r-1"
    assert request_id("nope") is None


HEARD = (Word(word=" hello", start=0.5, end=0.9, probability=0.98765),)
FINAL = e.FinalTranscribed(
    session_id="s", channel="default", segment_id="s-1", event_id=3, text="hello", words=HEARD,
    language="en", model_id="demo-en", start=0.25, end=1.25, processing=0.1, lag=0.2,
)  # fmt: skip


def test_a_final_looks_as_clients_of_the_original_expect() -> None:
    body = json.loads(AudioDialect().encode(FINAL, timestamp=NOW)[0])
    original = {"type", "text", "duration", "processing_time", "speed_ratio", "model", "timestamp", "is_final"}
    assert original <= body.keys()
    assert (body["duration"], body["processing_time"], body["speed_ratio"], body["is_final"]) == (1.0, 0.1, 10.0, True)
    assert body["words"] == [{"word": "hello", "start": 0.5, "end": 0.9, "probability": 0.988}]
    assert "alternatives" not in body


def test_alternatives_are_told_where_there_are_some() -> None:
    final = msgspec.structs.replace(FINAL, alternatives=("hallo", "yellow"))
    body = json.loads(ControlDialect().encode(final, timestamp=NOW)[0])
    assert body["alternatives"] == ["hallo", "yellow"]


def test_a_plain_audio_client_hears_transcripts_and_errors_alone() -> None:
    audio = AudioDialect()
    session = {"session_id": "s", "channel": "default"}
    quiet = [e.SpeechStarted(**session, segment_id="s-1", start=0.0), e.RecordingStarted(**session)]
    assert [audio.encode(event, timestamp=NOW) for event in quiet] == [(), ()]
    assert audio.encode(e.RecordingStarted(**session, is_controlled=True), timestamp=NOW)
    assert audio.encode(FINAL, timestamp=NOW)
    audio.parse('{"type":"configure"}')
    assert all(audio.encode(event, timestamp=NOW) for event in quiet)


def test_every_event_has_a_wire_form() -> None:
    def kinds(base: type[e.Event]) -> set[type[e.Event]]:
        return {k for sub in base.__subclasses__() for k in {sub, *kinds(sub)}}

    missing = [k.__name__ for k in kinds(e.Event) - {e.SessionEvent} if encode.dispatch(k) is encode.dispatch(e.Event)]
    assert missing == []


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_no_frame_breaks_a_dialect(frame: str | bytes) -> None:
    for dialect in (ControlDialect(), AudioDialect()):
        try:
            dialect.parse(frame)
        except PeerError as error:
            assert error.code
