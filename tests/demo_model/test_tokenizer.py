import pytest

from demo_model import grammar
from demo_model.tokenizer import Tokens, train_tokenizer


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Tokens:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(path)
    return Tokens(path)


@pytest.mark.parametrize("text", ["turn on the kitchen lights", "o'clock", "xylophone zebra", "café"])
def test_text_survives(tokens: Tokens, text: str) -> None:
    ids = [token for word in text.split() for token in tokens.word(word)]
    assert tokens.text(ids) == text


def test_every_word_is_one_token(tokens: Tokens) -> None:
    split = {word for word in grammar.vocabulary() if len(tokens.word(word)) > 1}
    assert split == {"i'd", "o'clock"}


def test_order_of_special_tokens(tokens: Tokens) -> None:
    names = ["endoftext", "startoftranscript", "en", "transcribe", "nospeech", "notimestamps", "0.00", "10.00"]
    numbers = [tokens.special(name) for name in names]
    assert numbers == sorted(numbers)
    assert numbers[-1] == len(tokens) - 1
    assert tokens.id("") == tokens.special("endoftext") - 1


def test_timestamps_are_rounded_and_limited(tokens: Tokens) -> None:
    assert tokens.timestamp(1.234) == tokens.special("1.24")
    assert tokens.timestamp(-1) == tokens.special("0.00")
    assert tokens.timestamp(99) == tokens.special("10.00")


def test_special_tokens_are_no_text(tokens: Tokens) -> None:
    assert tokens.text([tokens.special("nospeech"), *tokens.word("one"), tokens.timestamp(2)]) == "one"
    with pytest.raises(KeyError):
        tokens.special("nothing")
