from pathlib import Path

import pytest

from hotmic.errors import ConfigError, NotAuthorized
from hotmic.net.grant import Grant
from hotmic.net.security import Access, Credentials, Tokens

TOKEN = "correct-horse-battery-staple"


def tokens(tmp_path: Path, text: str = f"alice:{TOKEN}\nbob:0123456789abcdef:listen\n") -> Tokens:
    path = tmp_path / "tokens"
    path.write_text(text, "utf-8")
    return Tokens.load(path)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_a_network_bind_without_tokens_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="Refusing"):
        Access(host=host, tokens=Tokens({}))
    Access(host=host, tokens=Tokens({}), allow_anonymous=True)


def test_a_proxied_name_without_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="Refusing"):
        Access(host="127.0.0.1", tokens=Tokens({}), allowed_hosts=("captions.example",))


SOURCES = [
    ("127.0.0.1:8765", None, True),
    ("localhost:8765", "http://localhost:8000", True),
    ("localhost", "http://127.0.0.1:8000", True),
    ("[::1]:8765", "http://[::1]:8000", True),
    ("127.0.0.1:8765", "https://evil.example", False),
    ("127.0.0.1:8765", "http://127.0.0.1.evil.example", False),
    ("127.0.0.1:8765", "null", False),
    ("127.0.0.1:8765", "", False),
    ("evil.example", None, False),
    ("evil.example", "http://evil.example", False),
    (None, None, False),
    ("[", None, False),
    ("127.0.0.1", "http://[::1", False),
    ("evil.example@127.0.0.1", None, False),
    ("127.0.0.1/evil.example", None, False),
    ("127.0.0.1", "http://evil.example@127.0.0.1", False),
    ("127.0.0.1", "http://127.0.0.1/evil.example?x", False),
]


@pytest.mark.parametrize(("host", "origin", "allowed"), SOURCES)
def test_host_and_origin_on_loopback(host: str | None, origin: str | None, allowed: bool) -> None:
    access = Access(host="127.0.0.1", tokens=Tokens({}))
    if allowed:
        access.check_source(host=host, origin=origin)
    else:
        with pytest.raises(NotAuthorized):
            access.check_source(host=host, origin=origin)


def test_allow_lists_and_null_origin(tmp_path: Path) -> None:
    access = Access(
        host="127.0.0.1",
        tokens=tokens(tmp_path),
        allowed_hosts=("captions.example",),
        allowed_origins=("https://other.example",),
    )
    access.check_source(host="captions.example", origin="https://captions.example")
    access.check_source(host="captions.example", origin="https://other.example/")
    access.check_source(host="127.0.0.1", origin="null")
    with pytest.raises(NotAuthorized):
        access.check_source(host="captions.example", origin="https://evil.example")
    Access(host="127.0.0.1", tokens=Tokens({}), allow_null_origin=True).check_source(host="127.0.0.1", origin="null")


def test_tokens_grant_their_scopes(tmp_path: Path) -> None:
    access = Access(host="0.0.0.0", tokens=tokens(tmp_path))
    alice = access.grant(Credentials(authorization=f"Bearer {TOKEN}"))
    assert alice is not None
    assert (alice.name, alice.scopes) == ("alice", ("control", "speak", "listen"))
    assert access.grant(Credentials()) is None, "it may still come as a message"
    bob = access.grant_token("0123456789abcdef")
    bob.require("listen")
    with pytest.raises(NotAuthorized, match="speak"):
        bob.require("speak")
    for wrong in ("Bearer nope", "Basic abc", "Bearer"):
        with pytest.raises(NotAuthorized):
            access.grant(Credentials(authorization=wrong))


def test_without_tokens_credentials_are_ignored() -> None:
    assert Access(host="127.0.0.1", tokens=Tokens({})).grant(Credentials(authorization="Bearer whatever")) == Grant()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no token"),
        ("alice", ":1:"),
        ("alice:short", ":1:"),
        (f"a:{TOKEN}\nb:{TOKEN}x:fly", ":2:.*fly"),
        ("# only\n", "no token"),
    ],
)
def test_bad_token_files_are_told_without_the_token(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        tokens(tmp_path, text)
    assert TOKEN not in caught.value.message


TWO = [
    Credentials(authorization=f"Bearer {TOKEN}", protocols=("hotmic-token.0123456789abcdef",)),
    Credentials(authorization=f"Bearer {TOKEN}", query="0123456789abcdef"),
    Credentials(protocols=(f"hotmic-token.{TOKEN}", "openai-insecure-api-key.0123456789abcdef")),
    Credentials(protocols=(f"hotmic-token.{TOKEN}", "hotmic-token.wrong")),
    Credentials(authorization="Basic abc", query=TOKEN),
    Credentials(authorization="", query=TOKEN),
    Credentials(authorization="Bearer ", query=TOKEN),
    Credentials(authorization=""),
    Credentials(protocols=("hotmic-token.",)),
    Credentials(query=""),
]


@pytest.mark.parametrize("credentials", TWO)
def test_two_tokens_that_differ_and_empty_ones_are_refused(tmp_path: Path, credentials: Credentials) -> None:
    with pytest.raises(NotAuthorized):
        Access(host="0.0.0.0", tokens=tokens(tmp_path)).grant(credentials)
    assert Access(host="127.0.0.1", tokens=Tokens({})).grant(credentials) == Grant(), "nobody asked for one"


ONE = [
    Credentials(authorization=f"bearer  {TOKEN} "),
    Credentials(protocols=("realtime", f"openai-insecure-api-key.{TOKEN}")),
    Credentials(protocols=(f"hotmic-token.{TOKEN}",), authorization=f"Bearer {TOKEN}", query=TOKEN),
    Credentials(query=TOKEN),
]


@pytest.mark.parametrize("credentials", ONE)
def test_one_token_counts_however_often_it_comes(tmp_path: Path, credentials: Credentials) -> None:
    grant = Access(host="0.0.0.0", tokens=tokens(tmp_path)).grant(credentials)
    assert grant is not None
    assert grant.name == "alice"


def test_no_token_left_lets_nobody_in(tmp_path: Path) -> None:
    access = Access(host="0.0.0.0", tokens=tokens(tmp_path))
    access.replace_tokens(Tokens({}))
    assert access.needs_token
    assert access.grant(Credentials()) is None
    with pytest.raises(NotAuthorized):
        access.grant_token(TOKEN)
