"""Whisper directories of a real size without real weights, so that hardware can be judged before anything is loaded.

See ``stub`` for what such a model says and why it costs the same: about 3.5 tokens for each second of audio, then the
end of the text.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, get_args

from hotmic.bench.lexicon import Lexicon
from hotmic.bench.stub import Dimensions, alignment_heads, write_model
from hotmic.config.model import LocalDirectory, ModelSpec
from hotmic.config.settings import default_models_dir
from hotmic.errors import ConfigError

ShapeName = Literal["tiny", "base", "small", "large-v3-turbo"]

SHAPES: dict[str, Dimensions] = {
    "tiny": Dimensions(width=384, encoder_layers=4, decoder_layers=4, mels=80, languages=99),
    "base": Dimensions(width=512, encoder_layers=6, decoder_layers=6, mels=80, languages=99),
    "small": Dimensions(width=768, encoder_layers=12, decoder_layers=12, mels=80, languages=99),
    "large-v3-turbo": Dimensions(width=1280, encoder_layers=32, decoder_layers=4, mels=128, languages=100),
}
"""Widths and depths as OpenAI published them (Radford et al. 2022, table 1; the turbo model's card)."""

VERSION = 1
"""Part of the cached directory's name: another recipe needs another number."""


def shape_directory(name: ShapeName, *, cache: Path | None = None) -> Path:
    """Return the directory of a stub, built on the first call (a second for tiny, up to a minute for the largest).

    Args:
        name: Whose shape.
        cache: Where it is kept; by default ``hotmic/shapes`` in the user's cache directory.

    Raises:
        ConfigError: There is no such shape, or the cache cannot be written.
    """
    if name not in SHAPES:
        allowed = ", ".join(get_args(ShapeName))
        raise ConfigError(f"There is no shape {name!r}; there are {allowed}.", key="shape", value=name, allowed=allowed)
    folder = (cache or default_models_dir().parent / "shapes") / f"{name}-{VERSION}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
            built = Path(scratch) / "model"
            built.mkdir()
            _write(built, SHAPES[name])
            _move(built, folder)
    except OSError as error:
        raise ConfigError(f"The stub of {name} cannot be written to {folder}: {error.strerror}.") from error
    return folder


def shape_spec(name: ShapeName, directory: Path) -> ModelSpec:
    """Return the stub's entry in a registry."""
    return ModelSpec(
        id=f"shape-{name}",
        name=f"Stub with the shape of Whisper {name}",
        type="faster_whisper",
        source=LocalDirectory(path=directory),
        languages=("multilingual",),
        description="Costs what the model of this size costs and says made-up words.",
    )


def _move(built: Path, folder: Path) -> None:
    try:
        os.replace(built, folder)
    except OSError:
        # Another process was faster, and a directory in use is not replaced: theirs is the same.
        if not folder.is_dir():
            raise
        shutil.rmtree(built)


def _write(folder: Path, dimensions: Dimensions) -> None:
    lexicon = Lexicon(dimensions.languages)
    write_model(folder / "model.bin", dimensions, lexicon)
    (folder / "vocabulary.json").write_text(json.dumps(lexicon.tokens, ensure_ascii=False), "utf-8")
    (folder / "tokenizer.json").write_text(lexicon.tokenizer(), "utf-8")
    config = {
        "alignment_heads": alignment_heads(dimensions),
        "lang_ids": [lexicon.id(f"<|{code}|>") for code in lexicon.languages],
        "suppress_ids": [],
        "suppress_ids_begin": [lexicon.id("Ġ"), lexicon.id("<|endoftext|>")],
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    features = {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": dimensions.mels,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480_000,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": 16_000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(features), "utf-8")
