from hypothesis import given
from hypothesis import strategies as st

from hotmic.dialects.said import Said
from hotmic.events import FinalTranscribed, PartialTranscribed
from hotmic.values import Word


def partial(stable: str, segment: str = "s-1") -> PartialTranscribed:
    return PartialTranscribed(
        session_id="s",
        channel="c",
        segment_id=segment,
        text=stable,
        stable=stable,
        unstable=" maybe",
        language="en",
        lag=0.0,
        cadence=0.3,
    )


def final(text: str, segment: str = "s-1") -> FinalTranscribed:
    words = tuple(
        Word(word=f" {word}", start=float(i), end=i + 0.5, probability=1.0) for i, word in enumerate(text.split())
    )
    return FinalTranscribed(
        session_id="s",
        channel="c",
        segment_id=segment,
        text=text,
        words=words,
        language="en",
        model_id="m",
        start=0.0,
        end=9.0,
        processing=0.1,
        lag=0.1,
    )


@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=8), st.data())
def test_every_word_is_said_once(words: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=5)))
    said = Said()
    heard = "".join(said.partial(partial(" ".join(words[:cut]))) for cut in cuts)
    rest, left = said.final(final(" ".join(words)))
    assert heard + rest == " ".join(words)
    assert [word.word.strip() for word in left] == rest.split()


def test_a_final_that_changes_what_was_said_adds_only_what_is_behind_it() -> None:
    said = Said()
    assert said.partial(partial("turn of the")) == "turn of the"
    rest, words = said.final(final("Turn off the light."))
    assert rest == " light."
    assert [word.word for word in words] == [" light."]


def test_segments_begin_anew() -> None:
    said = Said()
    assert said.partial(partial("hello")) == "hello"
    assert said.partial(partial("hello", "s-2")) == "hello"
    assert said.final(final("hello there", "s-2"))[0] == " there"
    assert said.final(final("again", "s-3"))[0] == "again"


def test_scripts_without_spaces() -> None:
    said = Said()
    assert said.partial(partial("ไปกิน")) == "ไปกิน"
    assert said.final(final("ไปกินข้าว"))[0] == "ข้าว"
