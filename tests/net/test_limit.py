import pytest

from hotmic.errors import QuotaReached
from hotmic.net.limit import Limit, Quota


def test_the_limit_is_exact_and_per_key() -> None:
    limit = Limit(2)
    assert [limit.enter("a"), limit.enter("a"), limit.enter("a"), limit.enter("b")] == [True, True, False, True]
    limit.leave("a")
    assert limit.enter("a")
    assert not limit.enter("a")


def test_a_quota_counts_for_address_and_token_or_for_neither() -> None:
    quota = Quota("streams", per_address=2, per_token=1)
    leave = quota.enter(address="a", token="alice")
    for _ in range(3):
        with pytest.raises(QuotaReached, match="Too many streams from this token") as refused:
            quota.enter(address="a", token="alice")
    assert refused.value.retry_after_ms == 5000
    quota.enter(address="a", token="bob")
    with pytest.raises(QuotaReached, match="from this address"):
        quota.enter(address="a", token=None)
    with pytest.raises(QuotaReached, match="from this address"):
        quota.enter(address="a", token="carol")
    quota.enter(address="b", token="carol")
    leave()
    leave()
    quota.enter(address="a", token="alice")
    with pytest.raises(QuotaReached):
        quota.enter(address="a")


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    quota = Quota("streams", per_address=2, per_token=9)
    leave = [quota.enter(address=address) for address in ("fd00::1", "fd00::2")]
    with pytest.raises(QuotaReached, match="from this address"):
        quota.enter(address="fd00::ffff:3")
    quota.enter(address="fd00:0:0:1::1")
    quota.enter(address="::ffff:10.0.0.1")
    quota.enter(address="::ffff:10.0.0.2")
    for one in leave:
        one()
    quota.enter(address="fd00::4")


def test_all_together_have_a_limit_too() -> None:
    quota = Quota("streams", per_address=2, per_token=2, total=3)
    leave = [quota.enter(address=address) for address in "aab"]
    with pytest.raises(QuotaReached, match="as many streams as it may"):
        quota.enter(address="b")
    for _ in range(2):
        leave[0]()
    full = Quota("streams", per_address=0, per_token=1, total=1)
    for _ in range(3):
        with pytest.raises(QuotaReached, match="from this address"):
            full.enter(address="a")
    quota.enter(address="b")
    with pytest.raises(QuotaReached, match="as many streams"):
        quota.enter(address="a")
