"""Golden conversations of OpenAI's realtime protocol, and any order of what a client may send."""

import base64
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent

from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.segmenter import Segmenter
from hotmic.dialects.openai_realtime import OpenaiRealtimeDialect
from hotmic.errors import BadField, PeerError, UnknownModel
from hotmic.net.control import failure
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult
from session_support import LoudVad
from wire_support import NOW, conversations, play

KINDS = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(RealtimeServerEvent)[0])}
TEXT = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.mark.parametrize("path", conversations("openai_realtime"), ids=lambda path: path.stem)
def test_conversation(path: Path) -> None:
    play(OpenaiRealtimeDialect(name="c1"), path)


@pytest.mark.parametrize("path", conversations("openai_realtime"), ids=lambda path: path.stem)
def test_conversations_have_the_shapes_of_the_library(path: Path) -> None:
    frames = [json.loads(line).get("<") for line in path.read_text("utf-8").splitlines()]
    told = [frame for frame in frames if frame and frame["type"] != "transcription_session.updated"]
    for frame in told:
        KINDS[frame["type"]].model_validate(frame, strict=True)
    assert told


class Talk:
    """A client, the dialect and a real session; the engine is played."""

    def __init__(self) -> None:
        self.dialect = OpenaiRealtimeDialect(name="t")
        self.frames: list[dict[str, Any]] = []
        self.jobs: list[DecodeJob] = []
        self.now = 0.0
        self.session = Session(
            "s-1",
            channel="c",
            settings=SessionSettings(cadence=0.2),
            options=self.dialect.options,
            build_segmenter=lambda _: Segmenter(
                LoudVad(), min_speech=1536, min_silence=4800, pre_roll=1600, hang_over=1600, max_segment=5 * SAMPLE_RATE
            ),
            build_policy=lambda _: LocalAgreement(),
        )
        self.session.receive_model("m", Capabilities())

    def say(self, **message: Any) -> None:
        try:
            for command in self.dialect.parse(json.dumps(message)):
                self._carry_out(command)
        except PeerError as error:
            self.hear(failure(error))
        self.frames += [json.loads(frame) for frame in self.dialect.frames_to_send(timestamp=NOW)]

    def hear(self, event: e.Event) -> None:
        self.frames += [json.loads(frame) for frame in self.dialect.encode(event, timestamp=NOW)]

    def speak(self, seconds: float, *, level: int) -> None:
        sound = np.full(int(seconds * 24_000), level, np.int16).tobytes()
        for begin in range(0, len(sound), 4800):
            self.now += 0.1
            self.say(type="input_audio_buffer.append", audio=base64.b64encode(sound[begin : begin + 4800]).decode())

    def turns(self, detection: dict[str, Any] | None) -> None:
        self.say(type="session.update", session={"audio": {"input": {"turn_detection": detection}}})

    def answer(self, *, error: str = "") -> None:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            text = " ".join(TEXT[: len(job.samples) // 6400])
            result = DecodeResult(job_id=job.job_id, text=text, error_code=error if job.kind == "final" else "")
            self.session.receive_result(result, now=self.now)
            self._drain()

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"].endswith(kind)]

    def _carry_out(self, command: c.Command) -> None:
        match command:
            case c.AppendAudio():
                self.session.receive_audio(
                    command.data, now=self.now, encoding=command.encoding, sample_rate=command.sample_rate
                )
            case c.Configure(options=options) if options.model:
                raise UnknownModel("There is no such model.")
            case _:
                self.session.receive_command(command, now=self.now)
        self._drain()
        if isinstance(command, c.Configure):
            self.hear(e.Configured(request_id=command.request_id, options={}))

    def _drain(self) -> None:
        self.jobs += self.session.jobs_to_run()
        for event in self.session.events_to_send():
            self.hear(event)


def check(talk: Talk) -> None:
    """Whatever happened: names are unique, items are chained, and each is told once and in order."""
    ids = [frame["event_id"] for frame in talk.frames]
    assert len(set(ids)) == len(ids)
    for frame in talk.frames:
        KINDS[frame["type"]].model_validate(frame, strict=True)
    committed = [frame["item_id"] for frame in talk.told("buffer.committed")]
    assert len(set(committed)) == len(committed)
    assert [frame["previous_item_id"] for frame in talk.told("buffer.committed")] == [None, *committed][
        : len(committed)
    ]
    for kind in ("item.added", "item.done"):
        assert [frame["item"]["id"] for frame in talk.told(kind)] == committed
    ends = [frame["item_id"] for frame in talk.frames if frame["type"].endswith(("n.completed", "n.failed"))]
    assert ends == committed, "every item gets its text once, in order"
    over: set[str] = set()
    deltas: dict[str, str] = defaultdict(str)
    for frame in talk.frames:
        if frame["type"].endswith(".delta"):
            assert frame["item_id"] not in over
            deltas[frame["item_id"]] += frame["delta"]
        elif frame["type"].endswith("n.completed"):
            over.add(frame["item_id"])
            assert deltas[frame["item_id"]] == frame["transcript"], "nothing was revised here"


STEPS = ["loud", "loud", "quiet", "answer", "commit", "clear", "manual", "vad", "fail", "model", "nonsense", "wire"]


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_any_order_of_client_events(steps: list[str]) -> None:
    talk = Talk()
    for step in steps:
        match step:
            case "loud":
                talk.speak(0.9, level=8000)
            case "quiet":
                talk.speak(0.7, level=0)
            case "answer":
                talk.answer()
            case "fail":
                talk.answer(error="engine_failed")
            case "commit" | "clear":
                talk.say(type=f"input_audio_buffer.{step}")
            case "manual":
                talk.turns(None)
            case "vad":
                talk.turns({"type": "server_vad"})
            case "model":
                talk.say(type="session.update", session={"audio": {"input": {"transcription": {"model": "x"}}}})
            case "wire":
                talk.now += 2.0
                talk.session.handle_timer(now=talk.now)
                talk._drain()
            case _:
                talk.say(type="response.create", event_id="n")
                assert talk.frames[-1]["error"]["event_id"] == "n"
    talk.answer()
    talk.turns(None)
    talk.speak(0.2, level=0)
    talk.say(type="input_audio_buffer.commit")
    talk.answer()
    check(talk)
    assert not talk.dialect._items
    assert not talk.dialect._asked


def test_deltas_come_while_somebody_speaks() -> None:
    talk = Talk()
    for _ in range(8):
        talk.speak(0.3, level=8000)
        talk.answer()
    assert talk.told(".delta")
    assert not talk.told("speech_stopped")
    talk.speak(1.0, level=0)
    talk.answer()
    check(talk)


def test_without_turn_detection_a_commit_joins_what_was_said() -> None:
    talk = Talk()
    talk.turns(None)
    for _ in range(2):
        talk.speak(1.0, level=8000)
        talk.speak(0.7, level=0)
    talk.answer()
    assert not talk.told("committed")
    assert not talk.told("speech_started")
    talk.say(type="input_audio_buffer.commit")
    check(talk)
    (completed,) = talk.told("completed")
    assert completed["transcript"].count("one two") == 2
    assert completed["usage"] == {"type": "duration", "seconds": 3.4}


def test_a_clear_drops_what_was_not_committed_alone() -> None:
    talk = Talk()
    talk.turns(None)
    talk.speak(1.0, level=8000)
    talk.say(type="input_audio_buffer.commit")
    talk.speak(1.0, level=8000)
    talk.speak(0.7, level=0)
    talk.speak(0.5, level=8000)
    talk.say(type="input_audio_buffer.clear")
    talk.answer()
    assert len(talk.told("cleared")) == len(talk.told("completed")) == 1
    talk.say(type="input_audio_buffer.commit")
    assert talk.frames[-1]["error"]["code"] == "input_audio_buffer_commit_empty"
    talk.speak(0.8, level=8000)
    talk.say(type="input_audio_buffer.commit")
    talk.answer()
    check(talk)
    assert len(talk.told("completed")) == 2


def test_a_clear_under_turn_detection_leaves_turns_that_ended() -> None:
    talk = Talk()
    talk.speak(1.0, level=8000)
    talk.speak(0.7, level=0)
    talk.speak(0.5, level=8000)
    talk.say(type="input_audio_buffer.clear")
    talk.answer()
    check(talk)
    assert len(talk.told("completed")) == 1


def test_a_clear_just_after_turn_detection_was_turned_off_leaves_items() -> None:
    talk = Talk()
    talk.speak(1.0, level=8000)
    talk.speak(0.7, level=0)
    talk.turns(None)
    talk.speak(0.5, level=8000)
    talk.say(type="input_audio_buffer.clear")
    talk.answer()
    check(talk)
    assert len(talk.told("completed")) == 1


def test_what_the_url_and_a_client_secret_ask_for_comes_first() -> None:
    config = {
        "type": "transcription",
        "audio": {"input": {"turn_detection": None, "transcription": {"language": "en"}}},
    }
    dialect = OpenaiRealtimeDialect(name="t", model="whisper-1", session_config=json.dumps(config))
    connected = e.Connected(server="h", version="1", current_model="demo-en")
    (created,) = [json.loads(frame) for frame in dialect.encode(connected, timestamp=NOW)]
    assert created["session"]["audio"]["input"]["turn_detection"] is None
    assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-1"
    (command,) = dialect.commands_to_run()
    assert isinstance(command, c.Configure)
    assert (command.options.model, command.options.language) == ("whisper-1", "en")
    assert dialect.encode(e.Configured(request_id=command.request_id, options={}), timestamp=NOW) == []
    assert dialect.close_code(UnknownModel("x")) == 1008
    dialect.frames_to_send(timestamp=NOW)
    assert dialect.close_code(UnknownModel("x")) is None


@pytest.mark.parametrize("config", ["nope", "[]", '{"type": "realtime"}', '{"audio": 1}'])
def test_a_client_secret_with_a_wrong_configuration(config: str) -> None:
    with pytest.raises(BadField, match="client secret"):
        OpenaiRealtimeDialect(session_config=config).commands_to_run()


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_no_frame_breaks_it(frame: str | bytes) -> None:
    with pytest.raises(PeerError):
        OpenaiRealtimeDialect().parse(frame)
