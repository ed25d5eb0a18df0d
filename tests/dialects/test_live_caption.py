import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic import events as e
from hotmic.commands import AppendAudio, AppendContainer, ClearAudio, Configure
from hotmic.dialects.live_caption import ANSWER_WITHIN, OPEN_WITHIN, QUIET, LiveCaptionDialect
from hotmic.errors import HotmicError
from hotmic.net.control import failure
from wav_support import FLOAT, data, fmt, riff
from wire_support import NOW, conversations, play

EBML = b"\x1a\x45\xdf\xa3" + bytes(20)
SECOND = bytes(32_000)
TEXT = b"This is text that came as a binary frame."
OF = {"session_id": "s", "channel": "c"}


def partial(stable: str, segment: str = "s-1") -> e.Event:
    return e.PartialTranscribed(
        **OF, segment_id=segment, text=stable, stable=stable, unstable="", language="en", lag=0.1, cadence=0.3
    )


def final(text: str, segment: str = "s-1") -> e.Event:
    return e.FinalTranscribed(
        **OF, segment_id=segment, text=text, words=(), language="en", model_id="m", start=0.0, end=1.0,
        processing=0.2, lag=0.1,
    )  # fmt: skip


def started(segment: str = "s-1") -> e.Event:
    return e.SpeechStarted(**OF, segment_id=segment, start=0.0)


def ended(segment: str = "s-1") -> e.Event:
    return e.SpeechEnded(**OF, segment_id=segment, start=0.0, end=1.0)


class Talk:
    """A dialect and what it said."""

    def __init__(self, **numbers: float) -> None:
        self.dialect = LiveCaptionDialect(**numbers)  # type: ignore[arg-type]
        self.said: list[dict[str, Any]] = []

    def frame(self, frame: bytes | dict[str, Any], *meanwhile: e.Event) -> list[dict[str, Any]]:
        """Return all that a frame brought, until it was carried out."""
        before = len(self.said)
        try:
            self.dialect.parse(json.dumps(frame) if isinstance(frame, dict) else frame)
        except HotmicError as error:
            self.hear(failure(error))
        self.hear(*meanwhile)
        self._take(self.dialect.frames_to_send(timestamp=NOW))
        return self.said[before:]

    def hear(self, *events: e.Event) -> list[dict[str, Any]]:
        before = len(self.said)
        for event in events:
            self._take(self.dialect.encode(event, timestamp=NOW))
        return self.said[before:]

    def wait(self) -> list[dict[str, Any]]:
        """Let the patience run out."""
        before = len(self.said)
        self._take(self.dialect.overdue_frames(timestamp=NOW))
        return self.said[before:]

    def _take(self, frames: Any) -> None:
        self.said += [json.loads(frame) for frame in frames]


def kinds(said: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in said]


def texts(said: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in said if message["type"] == "transcription"]


@pytest.mark.parametrize("path", conversations("live_caption"), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    play(LiveCaptionDialect(), path)


def test_a_frame_that_ends_an_utterance_waits_for_its_text() -> None:
    talk = Talk()
    assert talk.frame(SECOND, started(), ended()) == []
    assert talk.dialect.patience == ANSWER_WITHIN
    assert texts(talk.hear(final("hello there"))) == ["hello there"]
    assert talk.dialect.patience is None


@pytest.mark.parametrize("outcome", ["nothing", "cleared", "late"])
def test_an_utterance_without_text_is_not_waited_for(outcome: str) -> None:
    talk = Talk()
    assert talk.frame(SECOND, started(), ended()) == []
    match outcome:
        case "nothing":
            said = talk.hear(e.NothingTranscribed(**OF, segment_id="s-1"))
        case "cleared":
            said = talk.hear(e.AudioCleared(**OF, segment_ids=("s-1",)))
        case _:
            said = talk.wait()
    assert kinds(said) == ["buffering"]


def test_nobody_waits_while_somebody_speaks() -> None:
    talk = Talk()
    assert kinds(talk.frame(SECOND, started(), ended(), started("s-2"))) == ["buffering"]
    assert talk.hear(final("one")) == []
    assert texts(talk.frame(SECOND)) == ["one"]


def test_the_next_frame_lets_a_waiting_answer_go() -> None:
    talk = Talk()
    assert talk.frame(SECOND, started(), ended()) == []
    assert kinds(talk.frame(SECOND)) == ["buffering"]
    assert kinds(talk.frame({"type": "ping"}, e.Ponged())) == ["pong", "buffering"]
    assert talk.hear(final("one")) == []
    assert texts(talk.wait()) == ["one"]


def test_an_error_of_a_frame_comes_behind_the_answer_to_the_one_before() -> None:
    talk = Talk()
    assert talk.frame(SECOND, started(), ended()) == []
    assert kinds(talk.frame(TEXT)) == ["buffering", "error"]
    assert talk.frame(SECOND) == []
    assert kinds(talk.frame({"type": "bogus"})) == ["buffering", "error"]
    assert talk.hear(final("one")) == []


def test_words_of_an_open_utterance_wait_for_enough_sound_and_its_end_does_not() -> None:
    talk = Talk(least=0.5)
    assert kinds(talk.frame(bytes(12_800), started(), partial("one"))) == ["buffering"]
    assert texts(talk.frame(bytes(6_400))) == ["one"]
    assert talk.frame(bytes(3_200), ended()) == []
    assert texts(talk.hear(final("one two"))) == ["two"]


@pytest.mark.parametrize(
    ("first", "second", "both"), [("one two", "three four", "one two three four"), ("สวัสดี", "ครับ", "สวัสดีครับ")]
)
def test_utterances_that_share_an_answer_stand_apart_as_their_script_writes_it(
    first: str, second: str, both: str
) -> None:
    talk = Talk()
    assert talk.hear(started(), ended(), final(first), started("s-2"), ended("s-2"), final(second, "s-2")) == []
    assert texts(talk.frame(SECOND)) == [both]


def test_words_that_nobody_fetches_are_told_unasked() -> None:
    talk = Talk(chunk=1.0)
    talk.frame(SECOND, started())
    assert talk.dialect.patience is None
    assert talk.hear(ended(), final("one")) == []
    assert talk.dialect.patience == QUIET * 1.0
    assert texts(talk.wait()) == ["one"]
    assert (talk.dialect.patience, talk.wait()) == (None, [])


def test_a_container_that_begins_waits_for_its_first_sound() -> None:
    talk = Talk()
    assert talk.frame(EBML) == []
    assert talk.dialect.patience == OPEN_WITHIN
    assert talk.hear(e.ContainerDecoded(seconds=0.25)) == [{"type": "buffering", "buffered": 0.25, "needed": 2.0}]
    assert talk.frame(EBML) == []
    bad = e.ErrorRaised(code="bad_audio", message="It is damaged.")
    assert kinds(talk.hear(bad, e.ContainerEnded())) == ["error"]
    assert kinds(talk.frame(b"more of it")) == ["error"]
    assert kinds(talk.frame({"type": "clear_buffer"})) == []
    assert kinds(talk.frame(SECOND)) == ["buffering"]


def test_a_container_that_ends_without_an_error_still_answers() -> None:
    talk = Talk()
    assert talk.frame(EBML) == []
    assert kinds(talk.hear(e.ContainerEnded())) == ["buffering"]


def test_a_failed_segment_is_the_answer_that_waits_for_it() -> None:
    talk = Talk()
    assert talk.frame(SECOND, started(), ended()) == []
    failed = e.ErrorRaised(code="engine_failed", message="It failed.", session_id="s", segment_id="s-1")
    assert kinds(talk.hear(failed, e.NothingTranscribed(**OF, segment_id="s-1"))) == ["error"]


def test_commands() -> None:
    dialect = LiveCaptionDialect(sample_rate=8_000)
    (config,) = dialect.parse('{"type": "config", "language": "en", "task": "translate", "more": 1}')
    assert isinstance(config, Configure)
    assert (config.options.language, config.options.task) == ("en", "translate")
    assert dialect.parse('{"type": "config", "language": null}') == (Configure(options=type(config.options)()),)
    (sound,) = dialect.parse(b"\1\0" * 2000)
    assert isinstance(sound, AppendAudio)
    assert sound.sample_rate == 8_000
    (sound,) = dialect.parse(riff(fmt(FLOAT, 32, rate=22_050), data(b"\0\0\0\x3f" * 10)))
    assert sound == AppendAudio(data=b"\0\x40" * 10, sample_rate=22_050)
    assert dialect.parse(EBML) == (AppendContainer(data=EBML, is_first=True),)
    assert dialect.parse('{"type": "clear_buffer"}') == (ClearAudio(),)
    assert dialect.parse(b"abc") == (AppendContainer(data=b"abc", is_first=False),)


FRAMES = st.sampled_from(
    [SECOND, b"", b"x", EBML, b"%PDF-1.7 and more", {"type": "ping"}, {"type": "clear_buffer"}, {}]
)
HAPPENINGS = st.sampled_from(
    [started(), ended(), partial("one"), partial("one two"), final("one two three"), e.ContainerEnded(),
     e.NothingTranscribed(**OF, segment_id="s-1"), e.ContainerDecoded(seconds=0.2), started("s-2"), ended("s-2"),
     final("four", "s-2"), e.AudioCleared(**OF, segment_ids=("s-1",))]
)  # fmt: skip
STEPS = st.lists(st.one_of(st.tuples(FRAMES, st.lists(HAPPENINGS, max_size=3)), HAPPENINGS, st.none()), max_size=30)


@settings(max_examples=400)
@given(STEPS)
def test_every_binary_frame_has_exactly_one_answer(steps: list[Any]) -> None:
    talk, sent, answered = Talk(), 0, 0
    for step in [*steps, None, None]:
        owed = sent - answered
        if step is None:
            said = talk.wait()
        elif isinstance(step, tuple):
            frame, meanwhile = step
            sent += isinstance(frame, bytes)
            said = talk.frame(frame, *meanwhile)
            if not isinstance(frame, bytes):
                said = [m for m in said if m["type"] != "error" or "message type" not in m["message"]]
                said = [m for m in said if "'type' is missing" not in m.get("message", "")]
                assert len(said) == owed, "what waited is answered before anything else is done"
        else:
            said = talk.hear(step)
        unasked = texts(said) if step is None and not owed else []
        answered += len(said) - len(unasked)
        assert 0 <= sent - answered <= 1
    assert sent == answered
    assert talk.dialect.patience is None
