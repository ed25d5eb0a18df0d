from pathlib import Path

import pytest

from hotmic.dialects.control_or_caption import ControlOrCaptionDialect
from hotmic.dialects.live_caption import LiveCaptionDialect
from hotmic.errors import HotmicError
from wire_support import conversations, play


def decide() -> ControlOrCaptionDialect:
    return ControlOrCaptionDialect(LiveCaptionDialect())


@pytest.mark.parametrize("path", conversations("control_or_caption"), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    play(decide(), path)


@pytest.mark.parametrize(
    "frame", [b"", b"\0\0", '{"type": "config"}', '{"type": "config", "task": 7}', '{"type": "clear_buffer"}']
)
def test_what_decides_for_captions(frame: str | bytes) -> None:
    dialect = decide()
    assert (dialect.name, dialect.is_speaker, dialect.is_private) == ("control", False, False)
    try:
        dialect.parse(frame)
    except HotmicError as error:
        assert error.code == "bad_field"
    assert (dialect.name, dialect.is_speaker, dialect.is_private) == ("live_caption", True, True)
    assert dialect.options.wire_silence_ms == 3000
    assert dialect.is_appended


@pytest.mark.parametrize("frame", ["nope", "[]", "{}", '{"type": "bogus"}', '{"type": "get_models"}', "[" * 100_000])
def test_what_decides_for_control(frame: str) -> None:
    dialect = decide()
    for _ in range(2):
        try:
            dialect.parse(frame)
        except HotmicError as error:
            assert error.code in ("invalid_json", "bad_field", "unknown_type")
    with pytest.raises(HotmicError, match="audio socket"):
        dialect.parse(b"\0\0")
    assert (dialect.name, dialect.is_speaker, dialect.is_private) == ("control", False, False)


@pytest.mark.parametrize("frame", ['{"type": "ping"}', '{"type": "authenticate", "token": "t"}'])
def test_what_decides_nothing(frame: str) -> None:
    for later, name in ((b"\0\0", "live_caption"), ('{"type": "get_status"}', "control")):
        dialect = decide()
        dialect.parse(frame)
        assert not dialect.is_speaker
        dialect.parse(later)
        assert dialect.name == name
