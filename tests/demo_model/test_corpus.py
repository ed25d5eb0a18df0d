import random
from pathlib import Path

import numpy as np
import pytest

from demo_model import corpus
from demo_model.corpus import ClipMaker, Mixture
from demo_model.speech import Utterance, Word


class ToneSpeakers:
    """Says every word as a fifth of a second of a tone."""

    def say(self, text: str, rng: random.Random) -> Utterance:
        words = text.split()
        samples = np.sin(np.arange(3200 * len(words)) / 9).astype(np.float32)
        times = tuple(Word(word, index * 0.2, index * 0.2 + 0.2) for index, word in enumerate(words))
        return Utterance(samples, text, times, "tone")


def _maker(seed: int, mixture: Mixture | None = None) -> ClipMaker:
    return ClipMaker(ToneSpeakers(), None, random.Random(seed), mixture)


@pytest.mark.parametrize("seed", range(25))
def test_clips_are_consistent(seed: int) -> None:
    clip = _maker(seed).make()
    assert clip.features.shape[0] == 80
    assert clip.features.dtype == np.float16
    assert np.isfinite(clip.features).all()
    assert 0 <= clip.start <= clip.end <= clip.features.shape[1] / 100 + 0.02
    if clip.words:
        assert " ".join(word.text for word in clip.words) == clip.text


def test_a_cut_keeps_complete_words_only() -> None:
    utterance = ToneSpeakers().say("one two three four", random.Random(0))
    rng = random.Random(1)
    shorter = corpus.cut(utterance, 0.5, rng)
    assert shorter.text == "one two"
    assert shorter.seconds == pytest.approx(0.5)


def test_nobody_has_no_text() -> None:
    clip = _maker(1, Mixture(nobody=1.0)).make()
    assert (clip.text, clip.voice, clip.words) == ("", "none", ())


def test_shards_come_back_once(tmp_path: Path) -> None:
    corpus.write_shards(_maker(2), tmp_path, "a", clips=5, shard_clips=3)
    seen: set[Path] = set()
    assert len(list(corpus.new_shards(tmp_path, seen))) == 5
    assert list(corpus.new_shards(tmp_path, seen)) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-0000.clips", "a-0001.clips"]
