import random

import numpy as np
import pytest
import torch

from demo_model.examples import (
    IGNORED,
    Pool,
    collate,
    frame_labels,
    late,
    padded_length,
    run_together,
    sequence,
    varied,
    word_classes,
)
from demo_model.speech import Clip, Word
from demo_model.tokenizer import Tokens, train_tokenizer


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Tokens:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(path)
    return Tokens(path)


def _clip(frames: int = 120, text: str = "one two", *, truncated: bool = False) -> Clip:
    words = tuple(Word(word, 0.2 + 0.3 * index, 0.5 + 0.3 * index) for index, word in enumerate(text.split()))
    end = words[-1].end if words else 0.0
    return Clip(np.zeros((80, frames), np.float16), text, words, 0.2, end, "test", truncated)


def test_frames_are_labelled_by_word_times() -> None:
    labels = frame_labels(_clip()).tolist()
    assert len(labels) == 60
    assert labels[:10] == [0] * 10
    assert set(labels[10:25]) == {word_classes()["one"]}
    assert set(labels[25:40]) == {word_classes()["two"]}
    assert set(labels[42:]) == {0}


def test_frames_after_a_cut_are_unknown() -> None:
    assert frame_labels(_clip(truncated=True)).tolist()[-1] == IGNORED
    unknown = Clip(np.zeros((80, 40), np.float16), "one", None, 0, 0.4, "test")
    assert set(frame_labels(unknown).tolist()) == {IGNORED}


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("text", ["", "one two"])
def test_sequences_line_up(tokens: Tokens, text: str, timestamps: bool) -> None:
    for seed in range(10):
        row = sequence(_clip(text=text), tokens, random.Random(seed), timestamps=timestamps)
        assert len(row.tokens) == len(row.targets) == len(row.times)
        known = [target for target in row.targets if target != IGNORED]
        assert known[-1] == tokens.special("endoftext")
        assert known[0] == tokens.special("en" if text else "nospeech")
        assert tokens.text(known) == text


def test_no_batch_is_a_trap(tokens: Tokens) -> None:
    assert all(padded_length(longest) not in range(159, 162) for longest in range(1, 400))
    assert all(padded_length(longest) % 2 == 0 for longest in range(1, 400))
    batch = collate([_clip(159), _clip(80)], tokens, random.Random(0), vary=False)
    assert batch.features.shape == (2, 80, 162)
    assert all(span.first < span.last <= 81 for span in batch.spans)


def test_varied_features_keep_their_shape() -> None:
    features = torch.randn(80, 90)
    kept = features.clone()
    assert varied(features, random.Random(3)).shape == (80, 90)
    assert torch.equal(features, kept)


def test_the_pool_deals_every_clip_before_any_again() -> None:
    pool = Pool(random.Random(1))
    pool.add(iter([_clip(60 + index, "") for index in range(10)]))
    dealt = [clip for batch in pool.deal(10, 300) for clip in batch]
    assert len({id(clip) for clip in dealt}) == 10
    assert all(len(batch) * max(clip.features.shape[1] for clip in batch) <= 480 for batch in pool.deal(10, 300))


def test_clips_run_together_keep_their_words_and_times() -> None:
    parts = [_clip(120, "one two"), _clip(100, "three"), _clip(80, "four", truncated=True)]
    talk = run_together(parts, [10, 10])
    assert talk.features.shape == (80, 300)
    assert talk.text == "one two three four"
    assert [(word.text, round(word.start, 2)) for word in talk.words or ()] == [
        ("one", 0.2),
        ("two", 0.5),
        ("three", 1.4),
        ("four", 2.4),
    ]
    assert (talk.start, round(talk.end, 2), talk.truncated) == (0.2, 2.7, True)


def test_pauses_between_clips_that_run_together_are_cut_short() -> None:
    talk = run_together([_clip(120, "one two"), _clip(100, "three")], [0.3])
    assert [(word.text, round(word.start, 2), round(word.end, 2)) for word in talk.words or ()] == [
        ("one", 0.2, 0.5),
        ("two", 0.5, 0.8),
        ("three", 1.1, 1.4),
    ]
    assert talk.features.shape == (80, 95 + 95)


def test_a_late_clip_begins_between_two_words() -> None:
    clip = late(_clip(200, "one two three four"), 2)
    assert clip.features.shape == (80, 120)
    assert clip.text == "three four"
    assert [(word.text, round(word.start, 2)) for word in clip.words or ()] == [("three", 0.0), ("four", 0.3)]
    assert (clip.start, round(clip.end, 2)) == (0.0, 0.6)


def test_the_pool_makes_some_clips_late_and_leaves_the_last_words() -> None:
    pool = Pool(random.Random(1))
    pool.add(iter([_clip(200, "one two three four") for _ in range(400)]))
    texts = [clip.text for batch in pool.deal(400, 3000) for clip in batch]
    words = " ".join(texts).split()
    assert words.count("four") == words.count("three") == 400
    assert 340 < words.count("two") < 400
    assert 300 < words.count("one") < words.count("two")


def test_the_pool_makes_talks_of_some_clips_and_loses_none() -> None:
    pool = Pool(random.Random(1))
    pool.add(iter([_clip(100 + n % 50, truncated=n % 9 == 0) for n in range(400)] + [_clip(90, "")] * 40))
    dealt = [clip for batch in pool.deal(440, 3000) for clip in batch]
    talks = [clip for clip in dealt if len(clip.text.split()) > 2]
    assert sum(len(clip.text.split()) // 2 for clip in dealt) == 400
    assert sum(not clip.text for clip in dealt) == 40
    assert 20 < len(talks) < 120
    assert max(clip.features.shape[1] for clip in dealt) <= 2800 + 150
    assert sum(len(clip.text.split()) // 2 for clip in talks) > 130
