from pathlib import Path

from typer.testing import CliRunner

from hotmic.cli import app
from hotmic.config.token_file import TokenEntry, digest, load

RUN = CliRunner()


def call(*words: str, code: int = 0) -> tuple[str, str]:
    result = RUN.invoke(app, ["token", *words])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_a_token_is_shown_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    more = "--scope speak --channel kitchen --channel hall-* --expires 2027-01-31 --streams 2 --audio-speed 2"
    shown, told = call("add", "alice", "--file", str(path), *more.split())
    value = shown.strip()
    assert value.startswith("hm_")
    assert value not in told
    assert value not in path.read_text()
    assert load(path).entries == (
        TokenEntry(
            name="alice",
            sha256=digest(value).hex(),
            scopes=("speak",),
            channels=("kitchen", "hall-*"),
            expires="2027-01-31",
            streams=2,
            audio_speed=2,
        ),
    )
    assert call("add", "bob", "--file", str(path))[0] != shown
    listed, _ = call("list", "--file", str(path))
    assert "alice  scopes speak  channels kitchen,hall-*  expires 2027-01-31  streams 2" in listed
    assert "bob  scopes control,speak,listen  channels all" in listed
    assert digest(value).hex() not in listed
    call("revoke", "alice", "--file", str(path))
    assert [entry.name for entry in load(path).entries] == ["bob"]
    assert "No token is left" in call("revoke", "bob", "--file", str(path))[1]


def test_mistakes_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    call("add", "alice", "--file", str(path))
    before = path.read_bytes()
    for words in (
        ("add", "alice"),
        ("add", "a b"),
        ("add", "b", "--scope", "fly"),
        ("add", "b", "--channel", "a/b"),
        ("add", "b", "--expires", "soon"),
        ("add", "b", "--expires", "2020-01-31"),
        ("revoke", "bob"),
    ):
        _, told = call(*words, "--file", str(path), code=2)
        assert told.startswith("hotmic: ")
    assert path.read_bytes() == before
    assert "no tokens file is configured" in call("list", code=2)[1]


def test_the_file_of_the_settings_is_meant_and_plain_tokens_become_digests(tmp_path: Path) -> None:
    path, config = tmp_path / "tokens", tmp_path / "hotmic.yaml"
    path.write_text("alice:0123456789abcdef:listen\n")
    config.write_text(f"tokens: {path}\n")
    assert "can be read" in call("list", "--config", str(config))[1]
    call("add", "bob", "--config", str(config))
    assert "0123456789abcdef" not in path.read_text()
    found = load(path)
    assert not found.is_plain
    assert found.entries[0] == TokenEntry(name="alice", sha256=digest("0123456789abcdef").hex(), scopes=("listen",))
