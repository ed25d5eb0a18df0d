"""A minimal Whisper in plain torch, with the parameter names of Hugging Face.

Architecture: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2. The
state dict loads one to one into ``WhisperForConditionalGeneration``. Two heads help training and are dropped at
export: characters by CTC (Graves et al. 2006) and a word class per frame.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

MAX_TARGET_POSITIONS = 448
MAX_SOURCE_POSITIONS = 1500
CHARACTERS = "abcdefghijklmnopqrstuvwxyz' "
"""Classes 1.. of the CTC head; 0 is its blank."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network."""

    vocabulary: int
    width: int = 192
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 2
    mels: int = 80

    @property
    def inner(self) -> int:
        """Width of the feed-forward layers."""
        return 4 * self.width


def sinusoids(length: int, width: int) -> Tensor:
    """Return the fixed encoder positions: sines in the first half of the channels, cosines in the second."""
    step = math.log(10_000) / (width // 2 - 1)
    rates = torch.exp(-step * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Attention(nn.Module):
    """Multi-head attention; can hand out the scores of one head.

    Written out: on a CPU its backward pass takes a third of the time of the fused kernel's at these lengths.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, source: Tensor | None = None, *, causal: bool = False, scores_of: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``x`` to ``source`` (itself by default); also return the raw scores of head ``scores_of``."""
        source = x if source is None else source
        batch, length, width = x.shape
        size = width // self.heads
        query = self.q_proj(x).view(batch, length, self.heads, size).transpose(1, 2)
        key = self.k_proj(source).view(batch, -1, self.heads, size).transpose(1, 2)
        value = self.v_proj(source).view(batch, -1, self.heads, size).transpose(1, 2)
        scores = query @ key.transpose(-1, -2) / math.sqrt(size)
        if causal:
            scores = scores + torch.full((length, length), -1e4, dtype=scores.dtype).triu(1)
        mixed = scores.softmax(-1).to(value.dtype) @ value
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width)), (
            None if scores_of is None else scores[:, scores_of]
        )


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, normalised before each."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape.width, shape.heads)
        self.self_attn_layer_norm = nn.LayerNorm(shape.width)
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)
        self.final_layer_norm = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, frames, width]`` to the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))[0]
        out: Tensor = x + self.dropout(self.fc2(F.gelu(self.fc1(self.final_layer_norm(x)))))
        return out


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the encoder, feed-forward."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape.width, shape.heads)
        self.self_attn_layer_norm = nn.LayerNorm(shape.width)
        self.encoder_attn = Attention(shape.width, shape.heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(shape.width)
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)
        self.final_layer_norm = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(0.05)

    def forward(self, x: Tensor, encoded: Tensor, scores_of: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the new states and the raw cross-attention scores of one head."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), causal=True)[0]
        mixed, scores = self.encoder_attn(self.encoder_attn_layer_norm(x), encoded, scores_of=scores_of)
        x = x + mixed
        return x + self.dropout(self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))), scores


class Encoder(nn.Module):
    """Two convolutions (the second halves the frame rate), positions, layers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(shape.mels, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)
        self.register_buffer("positions", sinusoids(MAX_SOURCE_POSITIONS, shape.width), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[batch, mels, frames]`` to ``[batch, frames / 2, width]``."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(features)))).transpose(1, 2)
        positions: Any = self.positions
        x = x + positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.layer_norm(x)
        return out


class Decoder(nn.Module):
    """Token and position embeddings, layers; the output projection shares the token embeddings."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.embed_positions = nn.Embedding(MAX_TARGET_POSITIONS, shape.width)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.decoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)
        nn.init.normal_(self.embed_tokens.weight, std=shape.width**-0.5)
        nn.init.normal_(self.embed_positions.weight, std=0.02)

    def forward(self, tokens: Tensor, encoded: Tensor, scores_of: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the states of all positions and the last layer's cross-attention scores of one head."""
        x = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        scores = None
        for index, layer in enumerate(self.layers):
            x, scores = layer(x, encoded, scores_of if index == len(self.layers) - 1 else None)
        return self.layer_norm(x), scores


class _Model(nn.Module):
    """Encoder and decoder under the name that Hugging Face gives them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)


class Network(nn.Module):
    """The model with its two training heads.

    Args:
        shape: Sizes.
        words: Number of words the frame head tells apart (class 0 is silence).
    """

    def __init__(self, shape: Shape, words: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Model(shape)
        self.character_head = nn.Linear(shape.width, len(CHARACTERS) + 1)
        self.word_head = nn.Linear(shape.width, words + 1)

    def logits(self, states: Tensor) -> Tensor:
        """Project decoder states to token scores."""
        out: Tensor = states @ self.model.decoder.embed_tokens.weight.T
        return out

    def whisper_state(self) -> dict[str, Tensor]:
        """Return the parameters that are the model, without the training heads."""
        return {name: value for name, value in self.state_dict().items() if name.startswith("model.")}


def initialise_local(network: Network, shifts: Sequence[int] = (0, -6, 6)) -> None:
    """Start the encoder's self-attention as soft local windows.

    Queries are the position rotated by a head's shift and keys the position itself, on the fastest sinusoids; a plain
    start needs many times as many steps to find out that speech is local. The architecture is unchanged.
    """
    for number, layer in enumerate(network.model.encoder.layers):
        attention: Any = layer.self_attn
        width = attention.q_proj.weight.shape[0]
        size, half = width // attention.heads, width // 2
        pairs = size // 2
        channels = [round(index * min(half, 32) / pairs) for index in range(pairs)]
        rates = [math.exp(-math.log(10_000) / (half - 1) * channel) for channel in channels]
        with torch.no_grad():
            attention.q_proj.bias.zero_()
            attention.q_proj.weight.mul_(0.3)
            attention.k_proj.weight.mul_(0.3)
            for head in range(attention.heads):
                shift = shifts[head % len(shifts)] * (1 if number < 2 else 2)
                for pair, (channel, rate) in enumerate(zip(channels, rates, strict=True)):
                    cosine, sine = math.cos(rate * shift), math.sin(rate * shift)
                    row = head * size + 2 * pair
                    attention.q_proj.weight[row, channel] += cosine
                    attention.q_proj.weight[row, half + channel] += sine
                    attention.q_proj.weight[row + 1, half + channel] += cosine
                    attention.q_proj.weight[row + 1, channel] -= sine
                    attention.k_proj.weight[row, channel] += 1
                    attention.k_proj.weight[row + 1, half + channel] += 1
    with torch.no_grad():
        network.model.encoder.conv1.weight.mul_(2)
        network.model.encoder.conv2.weight.mul_(4)


def shape_fields(shape: Shape) -> dict[str, int]:
    """Return the shape as plain data for a checkpoint."""
    return asdict(shape)
