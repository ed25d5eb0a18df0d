"""The made-up vocabulary has Whisper's layout and a tokenizer that knows it."""

import pytest
from tokenizers import Tokenizer

from hotmic.bench.lexicon import TEXT_TOKENS, Lexicon


@pytest.mark.parametrize(("languages", "size"), [(99, 51_865), (100, 51_866)])
def test_layout_is_whispers(languages: int, size: int) -> None:
    lexicon = Lexicon(languages)
    assert len(lexicon) == len(set(lexicon.tokens)) == size
    assert lexicon.id("") == TEXT_TOKENS - 1
    more = languages - 99
    known = {"endoftext": 50_257, "startoftranscript": 50_258, "en": 50_259, "th": 50_289}
    known |= {"translate": 50_358 + more, "transcribe": 50_359 + more, "startofprev": 50_361 + more}
    known |= {"notimestamps": 50_363 + more, "0.00": 50_364 + more, "30.00": 51_864 + more}
    assert {name: lexicon.id(f"<|{name}|>") for name in known} == known


def test_tokenizer_writes_every_text_and_says_each_word_in_one_token() -> None:
    lexicon = Lexicon(99)
    tokenizer = Tokenizer.from_str(lexicon.tokenizer())
    text = " Grüße, ราคา 5 €!"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.token_to_id("<|notimestamps|>") == lexicon.id("<|notimestamps|>")
    chain = [*lexicon.spoken, *lexicon.variants]
    assert len(set(chain)) == len(chain)
    assert tokenizer.encode(tokenizer.decode(chain)).ids == chain
