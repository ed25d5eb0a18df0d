from hotmic.net.limit import Limit


def test_the_limit_is_exact_and_per_key() -> None:
    limit = Limit(2)
    assert [limit.enter("a"), limit.enter("a"), limit.enter("a"), limit.enter("b")] == [True, True, False, True]
    limit.leave("a")
    assert limit.enter("a")
    assert not limit.enter("a")


def test_all_keys_together_have_a_limit_too() -> None:
    limit = Limit(2, total=3)
    assert [limit.enter(key) for key in "aabcb"] == [True, True, True, False, False]
    limit.leave("a")
    assert limit.enter("c")
