from pathlib import Path

import pytest

from hotmic.engines.vocabulary import MAX_PROMPT, PREVIOUS_LENGTHS, Vocabulary
from hotmic.errors import EngineFailed

DEMO = Path(__file__).parents[2] / "server" / "hotmic" / "models" / "demo-en"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(DEMO, multilingual=True)


def test_start_sequences(vocabulary: Vocabulary) -> None:
    start = vocabulary.start_sequence("en", "translate")
    assert start == [
        vocabulary.start_of_transcript,
        vocabulary.languages["en"],
        vocabulary.start_sequence("en", "translate")[2],
    ]
    assert start[2] != vocabulary.start_sequence("en", "transcribe")[2]
    assert "en" in vocabulary.languages
    with pytest.raises(EngineFailed, match="'xx'"):
        vocabulary.start_sequence("xx", "transcribe")


def test_english_only_models_have_neither_language_nor_task() -> None:
    vocabulary = Vocabulary.load(DEMO, multilingual=False)
    assert vocabulary.start_sequence("en", "transcribe") == [vocabulary.start_of_transcript]
    with pytest.raises(EngineFailed, match="only transcribes"):
        vocabulary.start_sequence("en", "translate")


def test_text_survives(vocabulary: Vocabulary) -> None:
    for text in (" turn on the lights", " หนึ่ง สอง", " naïve 日本"):
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_previous_text_keeps_its_end_and_has_few_lengths(vocabulary: Vocabulary) -> None:
    assert vocabulary.previous_text("") == vocabulary.previous_text("  ") == []
    lengths = set()
    for count in range(1, 200):
        tokens = vocabulary.previous_text("the " * (count - 1) + "lights")
        assert tokens[0] == vocabulary.start_of_previous
        assert vocabulary.decode(tokens[1:]).endswith("lights")
        lengths.add(len(tokens))
    assert max(lengths) == MAX_PROMPT
    assert len(lengths) <= 20


def test_hotwords_stay_whole(vocabulary: Vocabulary) -> None:
    hotwords = ("kitchen", "bedroom", "latte")
    tokens = vocabulary.previous_text("the lights " * 100, hotwords=hotwords)
    assert vocabulary.decode(tokens[1:]).startswith(" kitchen, bedroom, latte")
    alone = vocabulary.previous_text("", hotwords=hotwords)
    assert vocabulary.decode(alone[1:]) == " kitchen, bedroom, latte"


def test_what_was_said_last_follows_the_prompt_in_few_lengths(vocabulary: Vocabulary) -> None:
    lengths = set()
    for count in range(80):
        said = "the " * count + "lights"
        tokens = vocabulary.previous_text("", said=said)
        assert tokens == [] or vocabulary.decode(tokens[1:]).endswith(" the lights")
        lengths.add(len(tokens))
        both = vocabulary.previous_text("good morning everyone", said=said)
        assert len(both) in {*PREVIOUS_LENGTHS, len(vocabulary.previous_text("good morning everyone"))}
    assert lengths == {0, *PREVIOUS_LENGTHS}


def test_prompt_then_what_was_said_and_the_newest_stays(vocabulary: Vocabulary) -> None:
    prompt, said = "good morning everyone", " the" * 40 + " lights"
    count = len(vocabulary.encode(" " + prompt)) + len(vocabulary.encode(said)) + 1
    tokens = vocabulary.previous_text(prompt, hotwords=("latte",), said=said)
    assert len(tokens) == next(size for size in PREVIOUS_LENGTHS if size <= count)
    assert vocabulary.decode(tokens[1:]).startswith(" latte")
    assert vocabulary.decode(tokens[1:]).endswith(" the lights")


def test_a_long_prompt_is_not_given_up_for_a_little_that_was_said(vocabulary: Vocabulary) -> None:
    prompt = "the lights " * 100
    assert vocabulary.previous_text(prompt, said="good morning") == vocabulary.previous_text(prompt)
    short = "turn on the lights in the kitchen"
    assert vocabulary.previous_text(short, said="") == vocabulary.previous_text(short)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        (" turn on, please!", "en", [" turn", " on,", " please!"]),
        (" naïve café", "en", [" naïve", " café"]),
        (" It's (really) good", "en", [" It's", " (really)", " good"]),
    ],
)
def test_words(vocabulary: Vocabulary, text: str, language: str, words: list[str]) -> None:
    tokens = vocabulary.encode(text)
    pieces = vocabulary.split_words(tokens, language)
    assert [piece for piece, _ in pieces] == words
    assert sum(count for _, count in pieces) == len(tokens)


def test_words_without_spaces(vocabulary: Vocabulary) -> None:
    tokens = vocabulary.encode("日本。")
    pieces = vocabulary.split_words(tokens, "ja")
    assert [piece for piece, _ in pieces] == ["日", "本。"]
    assert sum(count for _, count in pieces) == len(tokens)


def test_a_cut_character_is_kept_as_a_piece(vocabulary: Vocabulary) -> None:
    tokens = vocabulary.encode(" a 日")[:-1]
    assert sum(count for _, count in vocabulary.split_words(tokens, "en")) == len(tokens)


def test_what_is_no_whisper_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"no tokenizer\.json"):
        Vocabulary.load(tmp_path, multilingual=True)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EngineFailed, match="cannot be read"):
        Vocabulary.load(tmp_path, multilingual=True)
    empty = '{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{},"merges":[]}}'
    (tmp_path / "tokenizer.json").write_text(empty)
    with pytest.raises(EngineFailed, match="no Whisper model"):
        Vocabulary.load(tmp_path, multilingual=True)
