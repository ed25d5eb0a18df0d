import json

from hypothesis import given
from hypothesis import strategies as st

from hotmic.dialects.subtitle import MAX_CHARACTERS, MAX_SECONDS, cues, to_json, to_srt, to_text, to_vtt
from hotmic.events import FinalTranscribed
from hotmic.values import Word


def final(words: list[str], *, start: float = 1.0, step: float = 0.5, timed: bool = True) -> FinalTranscribed:
    spoken = [
        Word(word=w, start=start + i * step, end=start + (i + 1) * step, probability=0.9) for i, w in enumerate(words)
    ]
    return FinalTranscribed(
        session_id="s", channel="c", segment_id="s-1", text=" ".join(words), words=tuple(spoken) if timed else (),
        language="en", model_id="m", start=start, end=start + len(words) * step, processing=0.1, lag=0.1,
    )  # fmt: skip


def test_srt_counts_and_uses_commas() -> None:
    text = to_srt([final(["hello", "there"]), final(["again"], start=3661.25)])
    assert text == "1\n00:00:01,000 --> 00:00:02,000\nhello there\n\n2\n01:01:01,250 --> 01:01:01,750\nagain\n"


def test_vtt_escapes() -> None:
    text = to_vtt([final(["a<b", "&", "-->"])])
    assert text.startswith("WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n")
    assert "a&lt;b &amp; -&gt;" in text


def test_text_and_json() -> None:
    finals = [final(["one"]), final(["two"])]
    assert to_text(finals) == "one\ntwo\n"
    body = json.loads(to_json(finals))
    assert (body["text"], body["segments"][0]["words"][0]["word"]) == ("one two", "one")
    assert json.loads(to_json([]))["segments"] == []


def test_a_final_without_word_times_stays_whole() -> None:
    (cue,) = cues([final(["x"] * 100, timed=False)])
    assert (cue.start, cue.end) == (1.0, 51.0)


@given(st.lists(st.text("abcdef", min_size=1, max_size=12), min_size=1, max_size=80))
def test_cues_are_short_and_lose_no_word(words: list[str]) -> None:
    found = cues([final(words)])
    assert " ".join(cue.text for cue in found).split() == words
    for cue in found:
        assert len(cue.text) <= MAX_CHARACTERS
        assert cue.end - cue.start <= MAX_SECONDS
