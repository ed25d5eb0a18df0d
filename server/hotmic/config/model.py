"""One entry of the model registry."""

from pathlib import Path
from typing import Literal

import msgspec

from hotmic.values import PolicyName, Value

ModelType = Literal["faster_whisper", "transformers", "echo"]
PerformanceTier = Literal["fastest", "fast", "balanced", "accurate"]
ComputeType = Literal["auto", "int8", "int8_float16", "int8_float32", "int8_bfloat16", "float16", "bfloat16", "float32"]
Device = Literal["auto", "cpu", "cuda"]


class Bundled(Value, frozen=True, kw_only=True, tag="bundled"):
    """Weights that come inside the package."""

    name: str


class LocalDirectory(Value, frozen=True, kw_only=True, tag="local"):
    """A CTranslate2 or safetensors directory on this machine."""

    path: Path


class HubRepository(Value, frozen=True, kw_only=True, tag="hub"):
    """A repository on the model hub, pinned to a revision (branch, tag or commit)."""

    repository: str
    revision: str = "main"


MODEL_ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""What a model id looks like, on the wire and in models.yaml; never a path, URL or hub name."""

ModelSource = Bundled | LocalDirectory | HubRepository


class Guards(Value, frozen=True, kw_only=True):
    """Which guards may take text away that nobody said; ``engines.guard`` says what each looks at."""

    no_speech: bool = True
    loop: bool = True
    token_rate: bool = True
    known_phrase: bool = True


class ModelSpec(Value, frozen=True, kw_only=True):
    """What models.yaml says about one model."""

    id: str
    name: str
    type: ModelType
    source: ModelSource
    languages: tuple[str, ...]
    """Language codes, the main one first; ``("multilingual",)`` for all that Whisper knows."""
    description: str = ""
    performance_tier: PerformanceTier = "balanced"
    recommended: bool = False
    compute_type: ComputeType = "auto"
    min_window_s: float = 5.0
    """Shortest encoder window; 30 is the stock behaviour of padding everything to 30 s."""
    max_window_s: float = 28.0
    """Longest window of one decode."""
    pause_after_s: float | None = None
    """A window of a final ends at the first clear pause behind so many seconds; ``None``: late."""
    no_speech_threshold: float = 1.0
    """A no-speech probability above this is believed whatever the text; 1: only with a second witness."""
    guards: Guards = Guards()
    """Switches of the guards against text that nobody said."""
    beam: int = 5
    """Beam of finals."""
    policy: PolicyName = "local_agreement"
    """When words of partials become stable, unless a session chooses."""
    agreement_n: int = 2
    """Hypotheses that must agree on a word (``local_agreement``)."""
    attention_margin_s: float = 0.4
    """A word that begins later than this before the end of the audio is not stable yet (``align_att``)."""
    vram_gb: float = 0.0
    """Typical GPU memory, for admission and for people choosing a model."""
    sha256: str = ""
    """Checksum of model.bin (or model.safetensors); empty: not verified."""
    tokenizer: HubRepository | None = None
    """Where the tokenizer and feature settings come from when a hub source lacks them."""
    options: dict[str, float | int | str] = msgspec.field(default_factory=dict)
    """Engine-specific settings (the echo engine's scripted speed and crashes)."""
    notice: str = ""
    """What a limited model knows and how to get a full one, in a sentence people are shown; empty for a full model."""
    phrases: tuple[str, ...] = ()
    """Phrases to try on a limited model."""
