import pytest

from hotmic.config.token_file import SECRET_PREFIX
from hotmic.errors import NotAuthorized, RateLimited
from hotmic.net.client_secret import ClientSecrets
from hotmic.net.grant import Grant

ALICE = Grant(name="alice", token_id="a1")


def test_a_secret_opens_once_and_carries_its_configuration() -> None:
    secrets = ClientSecrets()
    value = secrets.create(ALICE, ttl=60, session_config='{"type":"transcription"}', now=100)
    assert value.startswith(SECRET_PREFIX)
    grant = secrets.redeem(value, now=159)
    assert (grant.name, grant.token_id, grant.session_config) == ("alice", "a1", '{"type":"transcription"}')
    assert grant.scopes == ("speak", "listen"), "control is not given on"
    with pytest.raises(NotAuthorized):
        secrets.redeem(value, now=159)


def test_an_old_secret_opens_nothing() -> None:
    secrets = ClientSecrets()
    value = secrets.create(ALICE, ttl=60, now=100)
    with pytest.raises(NotAuthorized):
        secrets.redeem(value, now=160)


def test_a_secret_is_never_more_than_its_token() -> None:
    secrets = ClientSecrets()
    value = secrets.create(Grant(scopes=("listen", "control")), ttl=60, now=0)
    assert secrets.redeem(value, now=1).scopes == ("listen",)
    with pytest.raises(NotAuthorized):
        secrets.create(Grant(scopes=("control",)), ttl=60, now=0)


def test_a_secret_makes_no_secrets() -> None:
    secrets = ClientSecrets()
    grant = secrets.redeem(secrets.create(ALICE, ttl=60, now=0), now=1)
    with pytest.raises(NotAuthorized):
        secrets.create(grant, ttl=60, now=1)


def test_they_are_bounded_in_all_and_per_token_and_the_old_make_room() -> None:
    secrets = ClientSecrets(most=3, most_per_token=2)
    for _ in range(2):
        secrets.create(ALICE, ttl=60, now=0)
    with pytest.raises(RateLimited):
        secrets.create(ALICE, ttl=60, now=0)
    secrets.create(Grant(token_id="b2"), ttl=60, now=0)
    with pytest.raises(RateLimited):
        secrets.create(Grant(token_id="c3"), ttl=60, now=59)
    secrets.create(ALICE, ttl=60, now=60)
    assert len(secrets) == 1


def test_the_secret_itself_is_not_kept() -> None:
    secrets = ClientSecrets()
    value = secrets.create(ALICE, ttl=60, now=0)
    assert value not in repr(vars(secrets))
