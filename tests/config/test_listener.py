import pytest

from hotmic.config.listener import parse_listeners
from hotmic.errors import ConfigError

DIALECTS = ("audio", "simul")


def test_entries_of_one_port_belong_together() -> None:
    entries = ("9000/ws/transcription=simul", "9000=audio", "0=audio", "0=simul")
    assert parse_listeners(entries, dialects=DIALECTS, any_path="*") == [
        (9000, {"/ws/transcription": "simul", "*": "audio"}),
        (0, {"*": "audio"}),
        (0, {"*": "simul"}),
    ]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("9000", "allowed"),
        ("=simul", "allowed"),
        ("70000=simul", "allowed"),
        ("9000/a b=simul", "allowed"),
        ("9000=klingon", "unknown dialect 'klingon'"),
        ("9000/x=simul", "another entry"),
    ],
)
def test_mistakes_name_the_entry(entry: str, why: str) -> None:
    entries = ("9000/x=audio", entry)
    with pytest.raises(ConfigError, match=why) as caught:
        parse_listeners(entries, dialects=DIALECTS, any_path="*")
    assert entry in caught.value.message
