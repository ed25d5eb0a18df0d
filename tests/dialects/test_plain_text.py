"""Bare sound in, bare text out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic import commands as c
from hotmic.dialects.plain_text import PlainTextDialect
from hotmic.errors import BadAudio, BadMessage, Overloaded, PeerError, RateLimited, ShuttingDown
from wire_support import conversations, play


@pytest.mark.parametrize("path", conversations("plain_text"), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    play(PlainTextDialect(), path)


def test_the_rate_of_the_url_goes_with_every_frame() -> None:
    assert PlainTextDialect(sample_rate=48_000).parse(b"\1\2") == (c.AppendAudio(data=b"\1\2", sample_rate=48_000),)
    assert PlainTextDialect().parse(b"\1\2") == (c.AppendAudio(data=b"\1\2"),)
    assert PlainTextDialect().options.vad == "webrtc"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadAudio("x"), 1007),
        (BadMessage("x"), 1003),
        (Overloaded("x"), 1013),
        (ShuttingDown("x"), 1012),
        (RateLimited("x"), None),
    ],
)
def test_errors_are_told_by_closing(error: PeerError, code: int | None) -> None:
    assert PlainTextDialect().close_code(error) == code


@given(st.text() | st.binary())
def test_no_frame_breaks_it(frame: str | bytes) -> None:
    try:
        PlainTextDialect().parse(frame)
    except PeerError as error:
        assert isinstance(frame, str)
        assert error.code == "bad_message"
