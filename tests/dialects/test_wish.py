import pytest

from hotmic.dialects.wish import Wish, parse_target
from hotmic.errors import BadField


def test_targets() -> None:
    assert parse_target("/") == Wish()
    wish = parse_target("/ws/audio?channel=room-1&session=alice&sample_rate=48000&other=x")
    assert wish == Wish(path="/ws/audio", channel="room-1", session="alice", sample_rate=48000)


@pytest.mark.parametrize(
    "query",
    [
        "channel=a/b",
        "session=",
        "session=a b",
        "sample_rate=3999",
        "sample_rate=１６０００",
        "sample_rate=" + "9" * 5000,
    ],
)
def test_bad_targets_name_the_parameter(query: str) -> None:
    name = query.partition("=")[0]
    if query == "session=":
        assert parse_target(f"/?{query}") == Wish()
        return
    with pytest.raises(BadField, match=name):
        parse_target(f"/?{query}")


def test_a_token_in_the_url_is_there_once_or_not_at_all() -> None:
    assert parse_target("/?token=a").token == "a"
    assert parse_target("/?token=").token == ""
    assert parse_target("/").token is None
    with pytest.raises(BadField):
        parse_target("/?token=a&token=a")


def test_a_target_that_is_no_url_is_refused() -> None:
    with pytest.raises(BadField):
        parse_target("//[x")
