import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.policies.joining import text_of
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.policies.policy import Policy
from hotmic.policies.prefix import tail_start

SENTENCES = [
    "turn on the kitchen light and set a timer for two minutes",
    "เปิดไฟในครัวแล้วตั้งเวลาสองนาที",
    "请打开厨房的灯然后设置两分钟的定时器",
    "台所の電気をつけてタイマーを二分にセットしてください",
    "เปิด YouTube แล้วเล่นเพลง",
]


def heard(policy: LocalAgreement, *texts: str) -> tuple[str, str]:
    for text in texts:
        policy.receive_hypothesis(text)
    return policy.stable, policy.unstable


def test_first_hypothesis_is_unstable() -> None:
    assert heard(LocalAgreement(), "turn on") == ("", "turn on")


def test_agreement_is_stable() -> None:
    assert heard(LocalAgreement(), "turn on the", "turn on a light") == ("turn on", " a light")


def test_three_must_agree_if_asked() -> None:
    policy = LocalAgreement(3)
    assert heard(policy, "turn on the", "turn on a") == ("", "turn on a")
    assert heard(policy, "turn off a") == ("turn", " off a")


def test_case_and_punctuation_do_not_disagree() -> None:
    assert heard(LocalAgreement(), "turn on", "Turn on, the light") == ("Turn on,", " the light")


@pytest.mark.parametrize(
    ("first", "second", "stable", "unstable"),
    [
        ("เปิดไฟ", "เปิดไฟในครัว", "เปิดไฟ", "ในครัว"),
        ("打开厨", "打开厨房", "打开厨", "房"),
        ("電気を", "電気をつけ", "電気を", "つけ"),
        ("กา", "การ", "กา", "ร"),
        ("กิ", "กี่", "", "กี่"),
    ],
)
def test_scripts_without_spaces(first: str, second: str, stable: str, unstable: str) -> None:
    assert heard(LocalAgreement(), first, second) == (stable, unstable)


def test_a_contradiction_keeps_the_stable_and_aligns_the_tail() -> None:
    policy = LocalAgreement()
    heard(policy, "turn on the light", "turn on the light")
    assert heard(policy, "turn off the light in the kitchen") == ("turn on the light", " in the kitchen")
    assert heard(policy, "turn of the light in the hall") == ("turn on the light in the", " hall")


def test_the_last_stable_word_is_not_said_twice() -> None:
    policy = LocalAgreement()
    heard(policy, "call david on", "call david on")
    assert heard(policy, "call dave it on november") == ("call david on", " november")


def test_a_missing_word_does_not_shift_the_tail() -> None:
    policy = LocalAgreement()
    heard(policy, "well turn on the light", "well turn on the light")
    assert heard(policy, "turn on the light please")[1] == " please"


def test_a_shorter_hypothesis_leaves_the_stable() -> None:
    policy = LocalAgreement()
    heard(policy, "turn on the light", "turn on the light")
    assert heard(policy, "turn on") == ("turn on the light", "")
    assert heard(policy, "") == ("turn on the light", "")


def test_n_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LocalAgreement(0)


def test_is_a_policy() -> None:
    policy: Policy = LocalAgreement()
    assert policy.stable == policy.unstable == ""


@given(st.lists(st.lists(st.sampled_from(["turn", "on", "the", "light", "ไฟ", "灯"]), max_size=8), max_size=12))
def test_stable_only_grows_and_is_followed_by_unstable(hypotheses: list[list[str]]) -> None:
    policy = LocalAgreement()
    stable = ""
    for words in hypotheses:
        policy.receive_hypothesis(text_of(words))
        assert policy.stable.startswith(stable)
        assert not (
            policy.stable
            and policy.unstable
            and policy.stable[-1].isascii()
            and policy.unstable[0].isalpha()
            and policy.unstable[0].isascii()
        )
        stable = policy.stable


@given(st.sampled_from(SENTENCES), st.data())
def test_growing_hypotheses_reach_the_sentence(sentence: str, data: st.DataObject) -> None:
    policy = LocalAgreement()
    for length in sorted(data.draw(st.lists(st.integers(0, len(sentence)), max_size=6, unique=True))):
        policy.receive_hypothesis(sentence[:length])
        assert policy.stable + policy.unstable == sentence[:length].strip()
    for _ in range(2):
        policy.receive_hypothesis(sentence)
    assert policy.stable == sentence


@given(st.integers(0, 300), st.integers(0, 300))
def test_alignment_stays_in_bounds(stable: int, keys: int) -> None:
    one, other = [str(i % 7) for i in range(stable)], [str(i % 5) for i in range(keys)]
    assert 0 <= tail_start(one, other) <= keys
    assert tail_start(one, [*one, *other]) == stable
