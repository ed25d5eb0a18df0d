"""Export and the way back: the int8 directory holds the network it was made from."""

from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch

from demo_model import ct2
from demo_model.export import export
from demo_model.network import Network, Shape
from demo_model.speech import RecipeError
from demo_model.tokenizer import Tokens, train_tokenizer


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Network, Path]:
    folder = tmp_path_factory.mktemp("export")
    train_tokenizer(folder / "tokenizer.json")
    tokens = Tokens(folder / "tokenizer.json")
    torch.manual_seed(0)
    network = Network(Shape(len(tokens), width=32, heads=2, encoder_layers=1, decoder_layers=2))
    (folder / "model").mkdir()
    (folder / "model" / "MODEL_CARD.md").write_text("card")
    export(network.shape, network.whisper_state(), tokens, folder / "model")
    return network, folder / "model"


def test_shape_and_weights_come_back(exported: tuple[Network, Path]) -> None:
    network, model = exported
    shape, state = ct2.read_state(model)
    assert shape == network.shape
    original = network.whisper_state()
    assert state.keys() == original.keys()
    for name, value in original.items():
        step = value.abs().reshape(len(value), -1).amax(1) / 127
        difference = (state[name] - value).abs().reshape(len(value), -1).amax(1)
        assert bool((difference <= step + 1e-6).all()), name


def test_ctranslate2_computes_what_torch_computes(exported: tuple[Network, Path]) -> None:
    _, model = exported
    shape, state = ct2.read_state(model)
    network = Network(shape).eval()
    network.load_state_dict(state, strict=False)
    features = np.random.default_rng(0).standard_normal((1, 80, 90)).astype(np.float32)
    whisper = ctranslate2.models.Whisper(str(model), compute_type="float32", intra_threads=1)
    theirs = np.array(whisper.encode(ctranslate2.StorageView.from_array(features), to_cpu=True))
    with torch.no_grad():
        ours = network.model.encoder(torch.from_numpy(features)).numpy()
    assert np.abs(theirs - ours).max() < 1e-4


def test_everything_needed_is_there(exported: tuple[Network, Path]) -> None:
    _, model = exported
    names = {path.name for path in model.iterdir()}
    assert names >= {"model.bin", "config.json", "vocabulary.json", "tokenizer.json", "preprocessor_config.json"}
    assert (model / "MODEL_CARD.md").read_text() == "card"
    assert len((model / "words.txt").read_text().split()) >= 400


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x05\x00\x00\x00\x0c\x00WhisperSpec\x00\x03\x00\x00\x00")
    with pytest.raises(RecipeError, match="version 5"):
        ct2.read_variables(path)
