import random

import pytest

from demo_model import grammar


def test_vocabulary_is_small_and_useful() -> None:
    words = grammar.vocabulary()
    assert 400 <= len(words) <= 800
    assert {*grammar.DIGITS, *grammar.COMMAND_WORDS, "agenda", "cappuccino", "jarvis", "o'clock"} <= set(words)


@pytest.mark.parametrize("speak", [grammar.sentence, grammar.order, grammar.single])
def test_what_is_said_is_in_the_vocabulary(speak) -> None:
    rng = random.Random(5)
    words = {word for _ in range(3000) for word in speak(rng).split()}
    assert words <= set(grammar.vocabulary())


def test_every_rule_expands_and_is_lower_case() -> None:
    for name, alternatives in grammar.RULES.items():
        assert grammar.expand(name, random.Random(1)) is not None
        assert all(set(alternative) <= set("abcdefghijklmnopqrstuvwxyz_{}' ") for alternative in alternatives), name


def test_phrases_to_try_are_known() -> None:
    assert len(grammar.PHRASES_TO_TRY) == 12
    assert {word for phrase in grammar.PHRASES_TO_TRY for word in phrase.split()} <= set(grammar.vocabulary())


def test_the_same_seed_says_the_same() -> None:
    assert grammar.sentence(random.Random(8)) == grammar.sentence(random.Random(8))
