"""The weights of a network that costs what Whisper costs and says made-up words at the pace of speech.

Nearly every weight is random and takes part in the arithmetic; only a few channels carry meaning. They make the
decoder say one word of a fixed chain after the other and stop where the audio does:

- The encoder passes on, for each of its frames, when it is (pairs of slow sines, channels 0 to 63) and whether its
  mel is anything but padding, which is exactly 0 (channel 64).
- The embedding of the chain's word ``k`` says when word ``k + 1`` is due: at ``TOKENS_PER_SECOND`` words a second.
- In the last decoder layer attention finds the encoder's frame at that time and reports whether it holds audio; the
  output layer then prefers the next word, and ``<|endoftext|>`` where there is none.
- Each word of the chain has a less likely variant, so that a beam is filled with hypotheses of one pace.

So a window of 4 s gives 14 tokens whatever it is padded to, in greedy search and with a beam, with timestamps and
without, and ``align`` finds words in order. What is said does not depend on what is heard: no error rate comes of it.
Outputs of the random layers are small beside the residual stream, which keeps activations finite in any depth.
"""

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from hotmic.bench.lexicon import Lexicon

TOKENS_PER_SECOND = 3.5
"""English at 150 words a minute is 2.5 words or about 3.3 tokens of Whisper's a second."""

FRAMES, POSITIONS, HEAD = 1500, 448, 64
FRAME_S = 0.02

Floats = npt.NDArray[np.float32]
Variable = tuple[str, npt.NDArray[np.generic]]

_CODE, _AUDIO, _RESERVED = 64, 64, 65
_READERS = 6
_SHORTEST, _LONGEST = 120.0, 8000.0
_SHARPNESS = 5.0
_REPORT = 0.3
_NEXT, _VARIANT, _END, _END_SLOPE = 30.0, 26.0, 40.0, 110.0
_TYPES = {"float32": 0, "int8": 1, "int16": 2}
_UNIFORM_STD = 73.3
_BINS, _GAIN = 16, 12.0
_AT_ZERO = 0.3173
"""``-2 gelu(-1)``: what the bins say of padding."""


class Dimensions(NamedTuple):
    """The numbers that make the cost."""

    width: int
    encoder_layers: int
    decoder_layers: int
    mels: int
    languages: int

    @property
    def heads(self) -> int:
        """Attention heads, 64 channels each."""
        return self.width // HEAD


def write_model(path: Path, dimensions: Dimensions, lexicon: Lexicon) -> None:
    """Write ``model.bin`` with int8 weights (``ctranslate2/specs/model_spec.py``, binary version 6).

    One variable is in memory at a time. Any compute type loads it: the library converts.
    """
    weights = _Weights(dimensions, lexicon)
    with path.open("wb") as file:
        file.write(struct.pack("<I", 6))
        _write_string(file, "WhisperSpec")
        file.write(struct.pack("<I", 3))
        place, count = file.tell(), 0
        file.write(struct.pack("<I", 0))
        for name, value in weights.variables():
            _write_variable(file, name, value)
            count += 1
        file.write(struct.pack("<I", 0))
        file.seek(place)
        file.write(struct.pack("<I", count))


def alignment_heads(dimensions: Dimensions) -> list[list[int]]:
    """Return the heads that follow the time, as ``config.json`` lists them."""
    return [[dimensions.decoder_layers - 1, head] for head in range(_READERS)]


class _Weights:
    def __init__(self, dimensions: Dimensions, lexicon: Lexicon) -> None:
        self._d, self._lexicon = dimensions, lexicon
        self._rng = np.random.default_rng(0)
        self._identity = self._signs()

    def variables(self) -> Iterator[Variable]:
        d = self._d
        yield from self._convolutions()
        yield "encoder/position_encodings/encodings", self._frame_positions()
        for side, layers in (("encoder", d.encoder_layers), ("decoder", d.decoder_layers)):
            yield f"{side}/num_heads", np.array(d.heads, np.int16)
            yield from _norm(f"{side}/layer_norm", d.width)
            for layer in range(layers):
                yield from self._layer(f"{side}/layer_{layer}", cross=side == "decoder", reads=layer == layers - 1)
        yield from _flags()
        yield "decoder/position_encodings/encodings", self._quiet(self._normal((POSITIONS, d.width), 0.01))
        yield from _quantised("decoder/embeddings/weight", self._embeddings())
        yield from self._projection()

    def _layer(self, name: str, *, cross: bool, reads: bool) -> Iterator[Variable]:
        width = self._d.width
        yield from _norm(f"{name}/self_attention/layer_norm", width)
        yield from self._linear(f"{name}/self_attention/linear_0", 3 * width, width)
        yield from self._linear(f"{name}/self_attention/linear_1", width, width, quiet=True)
        if cross:
            yield from _norm(f"{name}/attention/layer_norm", width)
            if reads:
                yield from self._reader(f"{name}/attention")
            else:
                yield from self._linear(f"{name}/attention/linear_0", width, width)
                yield from self._linear(f"{name}/attention/linear_1", 2 * width, width)
                yield from self._linear(f"{name}/attention/linear_2", width, width, quiet=True)
        yield from _norm(f"{name}/ffn/layer_norm", width)
        yield from self._linear(f"{name}/ffn/linear_0", 4 * width, width)
        yield from self._linear(f"{name}/ffn/linear_1", width, 4 * width, quiet=True)

    def _linear(self, name: str, outputs: int, inputs: int, *, quiet: bool = False) -> Iterator[Variable]:
        """Yield a random layer; a quiet one adds little to the residual stream and nothing to what has a meaning."""
        weight = self._rng.integers(-127, 128, (outputs, inputs), dtype=np.int8)
        if quiet:
            weight[:_RESERVED] = 0
        spread = (0.01 if quiet else 0.4) / np.sqrt(inputs)
        yield f"{name}/weight", weight
        yield f"{name}/weight_scale", np.full(outputs, _UNIFORM_STD / spread, np.float32)
        yield f"{name}/bias", np.zeros(outputs, np.float32)

    def _reader(self, name: str) -> Iterator[Variable]:
        width = self._d.width
        query = self._normal((width, width), 0.4 / np.sqrt(width))
        key_value = self._normal((2 * width, width), 0.4 / np.sqrt(width))
        for head in range(_READERS):
            rows = slice(head * HEAD, (head + 1) * HEAD)
            query[rows] = 0
            query[rows, :_CODE] = _SHARPNESS * np.eye(HEAD)
            key_value[rows] = 0
            key_value[rows, :_CODE] = _SHARPNESS * np.eye(HEAD)
        key_value[width] = 0
        key_value[width, _AUDIO] = 1.0
        output = self._quiet(self._normal((width, width), 0.01 / np.sqrt(width)).T).T.copy()
        output[_AUDIO, 0] = _REPORT
        for number, weight in enumerate((query, key_value, output)):
            yield from _quantised(f"{name}/linear_{number}/weight", weight)
            yield f"{name}/linear_{number}/bias", np.zeros(len(weight), np.float32)

    def _convolutions(self) -> Iterator[Variable]:
        width, mels = self._d.width, self._d.mels
        first = self._normal((width, mels, 3), 0.02)
        second = self._normal((width, width, 3), 0.1 / np.sqrt(3 * width))
        second[:_RESERVED] = 0
        first_bias, second_bias = np.zeros(width, np.float32), np.zeros(width, np.float32)
        # |x|, cut off at 1, of some mel bins: gelu(x) - gelu(x - 1) + gelu(-x) - gelu(-x - 1). Only padding gives 0.
        for number, mel in enumerate(np.linspace(0, mels - 1, _BINS).astype(int)):
            rows = slice(4 * number, 4 * number + 4)
            first[rows] = 0
            first[rows, mel, 1] = _GAIN * np.array([1, 1, -1, -1])
            first_bias[rows] = [0, -1, 0, -1]
            second[_AUDIO, rows, 1] = np.array([1, -1, 1, -1]) * (2 / _BINS)
        second_bias[_AUDIO] = -2 * _AT_ZERO
        for name, weight, bias in (("conv1", first, first_bias), ("conv2", second, second_bias)):
            yield from _quantised(f"encoder/{name}/weight", weight)
            yield f"encoder/{name}/bias", bias

    def _frame_positions(self) -> Floats:
        positions = self._normal((FRAMES, self._d.width), 0.02)
        positions[:, :_CODE] = _codes(np.arange(FRAMES))
        positions[:, _AUDIO] = 0
        return positions

    def _signs(self) -> Floats:
        signs = self._rng.integers(0, 2, (len(self._lexicon), self._d.width), dtype=np.int8) * 2 - 1
        identity: Floats = signs.astype(np.float32)
        identity[:, :_RESERVED] = 0
        return identity

    def _embeddings(self) -> Floats:
        step = 1 / TOKENS_PER_SECOND / FRAME_S
        embeddings = self._identity.copy()
        embeddings[:, :_CODE] = _codes(np.array([step / 2]))
        due = (np.arange(1, len(self._lexicon.spoken) + 1) + 0.5) * step
        for words in (self._lexicon.spoken, self._lexicon.variants):
            embeddings[words, :_CODE] = _codes(due)
        return embeddings

    def _projection(self) -> Iterator[Variable]:
        lexicon = self._lexicon
        rows = np.zeros((len(lexicon), self._d.width), np.float32)
        end, zero = lexicon.id("<|endoftext|>"), lexicon.id("<|0.00|>")
        for token, following, logit in self._chain(lexicon, end, zero):
            rows[following] += self._identity[token] * (logit / (self._d.width - _RESERVED))
        rows[end, _AUDIO] = -_END_SLOPE
        yield from _quantised("decoder/projection/weight", rows)
        bias = np.zeros(len(lexicon), np.float32)
        bias[end] = _END
        yield "decoder/projection/bias", bias

    @staticmethod
    def _chain(lexicon: Lexicon, end: int, zero: int) -> Iterator[tuple[int, int, float]]:
        """Yield what follows what, and how surely."""
        yield lexicon.id("<|startoftranscript|>"), lexicon.id("<|en|>"), _NEXT
        for task in ("transcribe", "translate"):
            yield lexicon.id(f"<|{task}|>"), zero, _NEXT
        firsts = ((lexicon.id("<|notimestamps|>"), zero),)
        pairs = (*firsts, *zip(lexicon.spoken, lexicon.variants, strict=True))
        for before, after in itertools.pairwise(pairs):
            for token in before:
                yield token, after[0], _NEXT
                yield token, after[1], _VARIANT
        for token in pairs[-1]:
            yield token, end, _NEXT

    def _normal(self, shape: tuple[int, ...], spread: float) -> Floats:
        return self._rng.standard_normal(shape, dtype=np.float32) * np.float32(spread)

    @staticmethod
    def _quiet(weight: Floats) -> Floats:
        weight[:, :_RESERVED] = 0
        return weight


def _codes(times: npt.NDArray[np.int64] | npt.NDArray[np.floating]) -> Floats:
    """Return ``[n, 64]``: nearer times have the larger scalar product, and the mean of each is 0."""
    pulses = 2 * np.pi / np.geomspace(_SHORTEST, _LONGEST, _CODE // 4)
    angles = np.outer(times, pulses)
    waves = np.concatenate((np.cos(angles), np.sin(angles)), axis=1)
    return np.concatenate((waves, -waves), axis=1).astype(np.float32)


def _norm(name: str, width: int) -> Iterator[Variable]:
    yield f"{name}/gamma", np.ones(width, np.float32)
    yield f"{name}/beta", np.zeros(width, np.float32)


def _flags() -> Iterator[Variable]:
    yield "decoder/activation", np.array(3, np.int8)
    yield "decoder/alignment_heads", np.array(1, np.int16)
    yield "decoder/alignment_layer", np.array(-1, np.int16)
    for name in ("alibi", "alibi_use_positive_positions", "scale_alibi"):
        yield f"decoder/{name}", np.array(0, np.int8)
    for name in ("scale_embeddings", "start_from_zero_embedding"):
        yield f"decoder/{name}", np.array(0, np.int8)
    yield "decoder/pre_norm", np.array(1, np.int8)


def _quantised(name: str, weight: Floats) -> Iterator[Variable]:
    flat = weight.reshape(len(weight), -1)
    largest = np.abs(flat).max(axis=1)
    scale = (127 / np.where(largest == 0, 127, largest)).astype(np.float32)
    yield name, np.rint(flat * scale[:, None]).astype(np.int8).reshape(weight.shape)
    yield f"{name}_scale", scale


def _write_string(file: BinaryIO, text: str) -> None:
    file.write(struct.pack("<H", len(text) + 1) + text.encode() + b"\0")


def _write_variable(file: BinaryIO, name: str, value: npt.NDArray[np.generic]) -> None:
    _write_string(file, name)
    file.write(struct.pack("<B", value.ndim))
    file.write(struct.pack(f"<{value.ndim}I", *value.shape))
    file.write(struct.pack("<BI", _TYPES[value.dtype.name], value.nbytes))
    file.write(value.tobytes())
