import os
from pathlib import Path

import pytest

from hotmic.config.token_file import TokenEntry, digest, load, moment, save
from hotmic.errors import ConfigError

TOKEN = "correct-horse-battery-staple"
HASH = digest(TOKEN).hex()
OTHER = digest("another").hex()


def write(folder: Path, text: str) -> Path:
    path = folder / "tokens.yaml"
    path.write_text(text, "utf-8")
    return path


def test_everything_an_entry_can_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""# mine
tokens:
  - name: kitchen
    sha256: {HASH.upper()}
    scopes: [speak, listen]
    channels: [kitchen, "hall-*"]
    expires: 2027-01-31
    connections: 4
    streams: 1
    audio_speed: 2
    audio_minutes_per_day: 600
  - {{name: all, sha256: {OTHER}}}
""",
    )
    kitchen, everything = load(path).entries
    assert kitchen == TokenEntry(
        name="kitchen",
        sha256=HASH,
        scopes=("speak", "listen"),
        channels=("kitchen", "hall-*"),
        expires="2027-01-31",
        connections=4,
        streams=1,
        audio_speed=2,
        audio_minutes_per_day=600,
    )
    assert kitchen.expires_at == moment("2027-02-01T00:00:00Z")
    assert everything == TokenEntry(name="all", sha256=OTHER)


def test_what_is_written_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.chmod(0o644)
    entries = (TokenEntry(name="0", sha256=HASH, channels=("*",), expires="2027-01-31"),)
    save(path, entries)
    assert load(path).entries == entries
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600
    save(path, ())
    assert load(path).entries == ()
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokens.yaml"]


def test_lines_of_old_are_read(tmp_path: Path) -> None:
    found = load(write(tmp_path, f"alice:{TOKEN}  # me\n\ntokens:0123456789abcdef:listen\n"))
    assert found.is_plain
    assert found.entries == (
        TokenEntry(name="alice", sha256=HASH),
        TokenEntry(name="tokens", sha256=digest("0123456789abcdef").hex(), scopes=("listen",)),
    )


@pytest.mark.parametrize("text", ["2027-02-30", "soon", "2027-01-01T25:00", "", "9999-12-31"])
def test_what_is_no_time_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        moment(text)


ENTRY = f"tokens:\n  - name: a\n    sha256: {HASH}\n"
WRONG = [
    ("", "holds no token"),
    ("# nothing\n", "holds no token"),
    ("tokens: {}\n", r":1:9: tokens: .*not a list"),
    ("tokens:\n  - 3\n", r":2:5: tokens\[0\]: .*not a mapping"),
    ("tokens: [\n", r":2:1: not YAML"),
    ("tokens:\n  - name: a\n", r"lacks the key 'sha256'"),
    (f"{ENTRY}    scope: [speak]\n", r":4:5: tokens\[0\]\.scope: is an unknown key\. Did you mean 'scopes'"),
    (f"{ENTRY}    scopes: [fly]\n", r":4:14: tokens\[0\]\.scopes\[0\]: 'fly' is unknown"),
    (f"{ENTRY}    scopes: []\n", r":4:13: tokens\[0\]\.scopes: is empty"),
    (f"{ENTRY}    channels: []\n", r"channels: is empty"),
    (f"{ENTRY}    channels: [a/b]\n", r"channels\[0\]"),
    (f"{ENTRY}    expires: never\n", r":4:14: tokens\[0\]\.expires: 'never' is no date"),
    (f"{ENTRY}    streams: 0\n", r":4:14: tokens\[0\]\.streams"),
    (f"{ENTRY}    audio_speed: 0.5\n", r"audio_speed"),
    (f"{ENTRY}  - {{name: a, sha256: {OTHER}}}\n", r":4:12: tokens\[1\]\.name: stands here a second time .*line 2"),
    (f"{ENTRY}  - {{name: b, sha256: {HASH}}}\n", r"tokens\[1\]\.sha256: stands here a second time"),
    (f"tokens:\n  - {{name: a, sha256: {TOKEN}}}\n", r":2:23: tokens\[0\]\.sha256: is no SHA-256 digest"),
    ("alice\n", ":1:"),
    ("alice:short\n", ":1:"),
    (f"a:{TOKEN}\nb:{TOKEN}x:speek\n", ":2: unknown scope 'speek'.*Did you mean 'speak'"),
    (f"a:{TOKEN}\na:{TOKEN}x\n", ":2: the name stands here a second time"),
    (f"a b:{TOKEN}\n", ":1: a name is"),
    ("a:ek_0123456789abcdef\n", ":1: a token may not begin with 'ek_'"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_mistakes_are_told_with_their_place_and_without_the_token(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load(path)
    assert caught.value.message.startswith(str(path))
    assert TOKEN not in caught.value.message
    assert TOKEN not in caught.value.value


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be written"):
        save(tmp_path / "none" / "tokens", ())
