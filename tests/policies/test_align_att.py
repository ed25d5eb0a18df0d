import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.policies.align_att import AlignAtt
from hotmic.policies.policy import Policy
from hotmic.values import Word

THAI = ["เปิด", "ไฟ", "ใน", "ครัว"]


def spoken(texts: list[str], *, each: float = 0.5) -> list[Word]:
    """One word every ``each`` seconds."""
    return [Word(word=text, start=i * each, end=(i + 1) * each, probability=0.9) for i, text in enumerate(texts)]


def test_one_hypothesis_suffices_for_words_clear_of_the_end() -> None:
    policy = AlignAtt(0.4)
    policy.receive_hypothesis("turn on the light", spoken(["turn", "on", "the", "light"]), heard=1.8)
    assert (policy.stable, policy.unstable) == ("turn on the", " light")


def test_a_word_exactly_at_the_margin_is_stable() -> None:
    policy = AlignAtt(0.5)
    policy.receive_hypothesis("turn on", spoken(["turn", "on"]), heard=1.0)
    assert policy.stable == "turn on"


def test_without_times_nothing_becomes_stable() -> None:
    policy = AlignAtt()
    policy.receive_hypothesis("turn on the light", heard=9.0)
    assert (policy.stable, policy.unstable) == ("", "turn on the light")


def test_text_before_the_window_counts() -> None:
    policy = AlignAtt(0.4)
    policy.receive_hypothesis("turn on the", spoken(["turn", "on", "the"]), heard=3.0)
    later = [Word(word="light", start=3.0, end=3.4, probability=1), Word(word="now", start=4.0, end=4.2, probability=1)]
    policy.receive_hypothesis("turn on the light now", later, heard=4.2)
    assert (policy.stable, policy.unstable) == ("turn on the light", " now")


def test_a_script_without_spaces() -> None:
    policy = AlignAtt(0.4)
    policy.receive_hypothesis("".join(THAI), spoken(THAI), heard=1.8)
    assert (policy.stable, policy.unstable) == ("เปิดไฟใน", "ครัว")


def test_a_contradiction_cannot_change_the_stable() -> None:
    policy = AlignAtt(0.4)
    policy.receive_hypothesis("turn on the", spoken(["turn", "on", "the"]), heard=3.0)
    policy.receive_hypothesis("turn off the light", spoken(["turn", "off", "the", "light"]), heard=3.0)
    assert policy.stable == "turn on the light"


def test_margin_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        AlignAtt(-1)


def test_is_a_policy() -> None:
    policy: Policy = AlignAtt()
    assert policy.needs_word_times


@given(st.lists(st.tuples(st.lists(st.sampled_from([*THAI, "on", "light"])), st.floats(0, 6)), max_size=8))
def test_stable_only_grows(hypotheses: list[tuple[list[str], float]]) -> None:
    policy = AlignAtt()
    before = ""
    for texts, heard in hypotheses:
        policy.receive_hypothesis(" ".join(texts), spoken(texts), heard=heard)
        assert policy.stable.startswith(before)
        before = policy.stable
