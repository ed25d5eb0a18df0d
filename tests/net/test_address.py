import pytest

from hotmic.errors import ConfigError, NotAuthorized
from hotmic.net.address import Addresses

PROXIES = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")
Headers = dict[str, list[str]]

CLIENTS: list[tuple[str, Headers, str]] = [
    ("127.0.0.1", {}, "127.0.0.1"),
    ("127.0.0.1", {"X-Forwarded-For": ["198.51.100.7"]}, "198.51.100.7"),
    ("127.0.0.1", {"X-Forwarded-For": ["198.51.100.7:4711"]}, "198.51.100.7"),
    ("127.0.0.1", {"X-Forwarded-For": ["203.0.113.9, 198.51.100.7, 10.1.2.3"]}, "198.51.100.7"),
    ("127.0.0.1", {"X-Forwarded-For": ["203.0.113.9", "198.51.100.7"]}, "198.51.100.7"),
    ("127.0.0.1", {"X-Forwarded-For": ["10.0.0.5, 10.0.0.6"]}, "10.0.0.5"),
    ("127.0.0.1", {"X-Forwarded-For": ["nonsense"]}, "127.0.0.1"),
    ("127.0.0.1", {"X-Forwarded-For": ["nonsense, 10.0.0.6"]}, "10.0.0.6"),
    ("127.0.0.1", {"X-Forwarded-For": [""]}, "127.0.0.1"),
    ("127.0.0.1", {"X-Forwarded-For": ["::ffff:198.51.100.7"]}, "198.51.100.7"),
    ("::ffff:127.0.0.1", {"X-Forwarded-For": ["2001:db8::1"]}, "2001:db8::1"),
    ("10.9.9.9", {"Forwarded": ['for=203.0.113.9, For="[2001:db8::1]:80";proto=https']}, "2001:db8::1"),
    ("10.9.9.9", {"Forwarded": ["proto=http;for=198.51.100.7;by=10.9.9.9"]}, "198.51.100.7"),
    ("10.9.9.9", {"Forwarded": ["for=_hidden, for=unknown"]}, "10.9.9.9"),
    ("10.9.9.9", {"Forwarded": ["for=198.51.100.7"], "X-Forwarded-For": ["198.51.100.7"]}, "198.51.100.7"),
    ("192.0.2.1", {"X-Forwarded-For": ["127.0.0.1"]}, "192.0.2.1"),
    ("192.0.2.1", {"Forwarded": ["for=127.0.0.1"]}, "192.0.2.1"),
    ("fe80::1%eth0", {}, "fe80::1"),
    ("local", {"X-Forwarded-For": ["127.0.0.1"]}, "local"),
]


@pytest.mark.parametrize(("peer", "headers", "client"), CLIENTS)
def test_the_client_behind_a_connection(peer: str, headers: Headers, client: str) -> None:
    assert Addresses(trusted=PROXIES).client(peer, lambda name: headers.get(name, [])) == client


def test_two_words_on_one_client_are_refused() -> None:
    headers = {"Forwarded": ["for=127.0.0.1"], "X-Forwarded-For": ["198.51.100.7"]}
    with pytest.raises(NotAuthorized):
        Addresses(trusted=PROXIES).client("127.0.0.1", lambda name: headers.get(name, []))


RANGES: list[tuple[str, str, bool]] = [
    ("127.0.0.1", "", True),
    ("127.0.0.1", "192.0.2.4", True),
    ("127.0.0.1", "192.0.3.4", False),
    ("127.0.0.1", "2001:db8::7", True),
    ("192.0.2.4", "198.51.100.7", True),
    ("198.51.100.7", "192.0.2.4", False),
    ("198.51.100.7", "127.0.0.1", False),
    ("local", "", False),
]


@pytest.mark.parametrize(("peer", "forwarded", "is_allowed"), RANGES)
def test_ranges_judge_the_real_address(peer: str, forwarded: str, is_allowed: bool) -> None:
    addresses = Addresses(allowed=("127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"), trusted=("127.0.0.1",))
    headers = {"X-Forwarded-For": [forwarded]} if forwarded else {}
    client = addresses.client(peer, lambda name: headers.get(name, []))
    if is_allowed:
        addresses.check(client)
    else:
        with pytest.raises(NotAuthorized):
            addresses.check(client)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "10.0.0", "localhost", "", "::/129"])
@pytest.mark.parametrize("key", ["allowed_addresses", "trusted_proxies"])
def test_what_is_no_range_is_told(key: str, entry: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Addresses(**{key.partition("_")[0]: (entry,)})
