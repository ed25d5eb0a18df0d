"""Reader of CTranslate2 Whisper directories: brings a shipped int8 model back into torch to train it further.

The layout of ``model.bin`` follows ``ctranslate2/specs/model_spec.py`` (``ModelSpec._serialize``, binary version 6)
and the variable names follow ``ctranslate2/specs/whisper_spec.py``: little endian, names as a 16-bit length and a
zero-terminated string, then rank, dimensions, type and bytes of every variable, then aliases (equal variables are
stored once). Quantised weights are
divided by the ``_scale`` of their output row.
"""

import json
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from demo_model.network import Shape
from demo_model.speech import RecipeError

_BINARY_VERSION = 6
_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)


def _unpack(file: BinaryIO, code: str) -> int:
    value: int = struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0]
    return value


def _string(file: BinaryIO) -> str:
    return file.read(_unpack(file, "H"))[:-1].decode()


def read_variables(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return all variables of a ``model.bin`` by name, as stored.

    Raises:
        RecipeError: Another binary version or an unknown type.
    """
    variables: dict[str, NDArray[np.generic]] = {}
    with path.open("rb") as file:
        version, spec, _ = _unpack(file, "I"), _string(file), _unpack(file, "I")
        if version != _BINARY_VERSION or spec != "WhisperSpec":
            raise RecipeError(f"{path}: cannot read {spec} in binary version {version}; want WhisperSpec in version 6")
        for _ in range(_unpack(file, "I")):
            name = _string(file)
            dimensions = [_unpack(file, "I") for _ in range(_unpack(file, "B"))]
            kind, size = _unpack(file, "B"), _unpack(file, "I")
            if kind >= len(_TYPES):
                raise RecipeError(f"{path}: {name} has the unknown type {kind}")
            variables[name] = np.frombuffer(file.read(size), _TYPES[kind]).reshape(dimensions)
        for _ in range(_unpack(file, "I")):
            alias, name = _string(file), _string(file)
            variables[alias] = variables[name]
            scale = variables.get(f"{name}_scale")
            if scale is not None:
                variables[f"{alias}_scale"] = scale
    return variables


class _Weights:
    """Float tensors out of stored variables."""

    def __init__(self, variables: dict[str, NDArray[np.generic]]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> Tensor:
        value = self._variables[name].astype(np.float32)
        scale = self._variables.get(f"{name}_scale")
        if scale is not None:
            value = value / scale.astype(np.float32).reshape(-1, *[1] * (value.ndim - 1))
        return torch.from_numpy(value.copy())

    def layer_count(self, side: str) -> int:
        """Number of layers of the encoder or the decoder."""
        return len(
            {
                name.split("/")[1]
                for name in self._variables
                if name.startswith(f"{side}/layer_") and name.split("/")[1] != "layer_norm"
            }
        )


def read_state(model: Path) -> tuple[Shape, dict[str, Tensor]]:
    """Read a directory back: its shape, and its parameters under the names of ``Network.whisper_state``."""
    weights = _Weights(read_variables(model / "model.bin"))
    state: dict[str, Tensor] = {}

    def norm(target: str, source: str) -> None:
        state[f"{target}.weight"] = weights[f"{source}/gamma"]
        state[f"{target}.bias"] = weights[f"{source}/beta"]

    def linear(target: str, source: str) -> None:
        state[f"{target}.weight"] = weights[f"{source}/weight"]
        state[f"{target}.bias"] = weights[f"{source}/bias"]

    def fused(target: str, source: str, parts: tuple[str, ...]) -> None:
        matrices = weights[f"{source}/weight"].chunk(len(parts))
        biases = weights[f"{source}/bias"].chunk(len(parts))
        for part, matrix, bias in zip(parts, matrices, biases, strict=True):
            state[f"{target}.{part}_proj.weight"] = matrix
            if part != "k":
                state[f"{target}.{part}_proj.bias"] = bias

    def feed_forward(target: str, source: str) -> None:
        norm(f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")
        linear(f"{target}.fc1", f"{source}/ffn/linear_0")
        linear(f"{target}.fc2", f"{source}/ffn/linear_1")

    def self_attention(target: str, source: str) -> None:
        norm(f"{target}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
        fused(f"{target}.self_attn", f"{source}/self_attention/linear_0", ("q", "k", "v"))
        linear(f"{target}.self_attn.out_proj", f"{source}/self_attention/linear_1")

    layers = weights.layer_count("encoder"), weights.layer_count("decoder")
    for index in range(layers[0]):
        self_attention(f"model.encoder.layers.{index}", f"encoder/layer_{index}")
        feed_forward(f"model.encoder.layers.{index}", f"encoder/layer_{index}")
    for index in range(layers[1]):
        target, source = f"model.decoder.layers.{index}", f"decoder/layer_{index}"
        self_attention(target, source)
        norm(f"{target}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
        fused(f"{target}.encoder_attn", f"{source}/attention/linear_0", ("q",))
        fused(f"{target}.encoder_attn", f"{source}/attention/linear_1", ("k", "v"))
        linear(f"{target}.encoder_attn.out_proj", f"{source}/attention/linear_2")
        feed_forward(target, source)
    for conv in ("conv1", "conv2"):
        linear(f"model.encoder.{conv}", f"encoder/{conv}")
    norm("model.encoder.layer_norm", "encoder/layer_norm")
    norm("model.decoder.layer_norm", "decoder/layer_norm")
    state["model.decoder.embed_tokens.weight"] = weights["decoder/embeddings/weight"]
    state["model.decoder.embed_positions.weight"] = weights["decoder/position_encodings/encodings"]
    heads = int(weights["encoder/num_heads"])
    vocabulary, width = state["model.decoder.embed_tokens.weight"].shape
    tokens = len(json.loads((model / "vocabulary.json").read_text()))
    if tokens != vocabulary:
        raise RecipeError(f"{model}: {tokens} entries in vocabulary.json, {vocabulary} embeddings in model.bin")
    mels = state["model.encoder.conv1.weight"].shape[1]
    return Shape(vocabulary, width, heads, *layers, mels), state
