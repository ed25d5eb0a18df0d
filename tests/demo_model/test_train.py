import random
from pathlib import Path

import numpy as np
import pytest
import torch

from demo_model.corpus import save_clips
from demo_model.examples import collate
from demo_model.export import read_checkpoint
from demo_model.network import Network, Shape
from demo_model.prepare import SHIPPED
from demo_model.speech import Clip, RecipeError, Word
from demo_model.tokenizer import Tokens, train_tokenizer
from demo_model.train import Training, TrainSettings, carried_embeddings, losses_of, total_loss


@pytest.fixture
def work(tmp_path: Path) -> Path:
    train_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "shards").mkdir()
    save_clips([_clip(text) for text in ("one two", "", "stop")], tmp_path / "shards" / "a.clips")
    return tmp_path


def _clip(text: str) -> Clip:
    words = tuple(Word(word, 0.1 + 0.2 * index, 0.3 + 0.2 * index) for index, word in enumerate(text.split()))
    features = np.random.default_rng(len(text)).standard_normal((80, 70)).astype(np.float16)
    return Clip(features, text, words, 0.1, words[-1].end if words else 0.0, "test" if text else "none")


def test_losses_are_finite_without_any_label(work: Path) -> None:
    tokens = Tokens(work / "tokenizer.json")
    network = Network(Shape(len(tokens), width=24, heads=2, encoder_layers=1, decoder_layers=1), 500)
    unknown = Clip(_clip("one").features, "one", None, 0.1, 0.3, "test")
    batch = collate([unknown, unknown], tokens, random.Random(0))
    losses = losses_of(network, batch, bf16=False)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    torch.autograd.backward(total_loss(losses, 0.0))


def test_a_run_is_saved_and_continued(work: Path) -> None:
    settings = TrainSettings(work, minutes=0.002, bf16=False, threads=1)
    Training(settings).run()
    shape, state = read_checkpoint(settings.checkpoint)
    assert shape.vocabulary == len(Tokens(work / "tokenizer.json"))
    first = torch.load(settings.checkpoint, weights_only=True)
    minutes = first["elapsed"] / 60 + 0.01
    Training(TrainSettings(work, minutes=minutes, bf16=False, threads=1)).run()
    assert torch.load(settings.checkpoint, weights_only=True)["step"] > first["step"] >= 1
    start = TrainSettings(work / "elsewhere", init=settings.checkpoint)
    (work / "elsewhere").mkdir()
    (work / "tokenizer.json").rename(work / "elsewhere" / "tokenizer.json")
    assert Training(start) is not None
    assert all(bool(torch.isfinite(value).all()) for value in state.values())


def test_training_needs_shards(work: Path) -> None:
    (work / "shards" / "a.clips").unlink()
    with pytest.raises(RecipeError, match="prepare"):
        Training(TrainSettings(work, minutes=0.01)).run()


def test_embeddings_are_carried_to_other_tokens(work: Path) -> None:
    before, after = Tokens(SHIPPED / "tokenizer.json"), Tokens(work / "tokenizer.json")
    embeddings = torch.randn(len(before), 4)
    carried = carried_embeddings(embeddings, before, after)
    assert carried.shape == (len(after), 4)
    for name in ("endoftext", "notimestamps", "10.00", "nospeech"):
        assert torch.equal(carried[after.special(name)], embeddings[before.special(name)])
    (word,) = after.word("kitchen")
    assert torch.allclose(carried[word], embeddings[before.word("kitchen")].mean(0))
    same = carried_embeddings(embeddings, before, before)
    assert torch.equal(same, embeddings)
