"""Jobs and models for engine tests."""

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotmic.config.model import Bundled, ModelSpec
from hotmic.engines import echo
from hotmic.engines.engine import Engine, load_engine
from hotmic.values import DecodeJob

MODELS = Path(__file__).parents[2] / "server" / "hotmic" / "models"
DEMO = MODELS / "demo-en"


def build_job(samples: bytes = b"", job_id: str = "j", **fields: Any) -> DecodeJob:
    values = {"session_id": "s", "segment_id": "g", "kind": "final", "start": 0, "deadline": 0.0, **fields}
    return DecodeJob(job_id=job_id, samples=samples, **values)


def build_spec(model_type: str, **fields: Any) -> ModelSpec:
    values: dict[str, Any] = {"min_window_s": 1.0, "languages": ("en",), **fields}
    return ModelSpec(id="m", name="M", type=model_type, source=Bundled(name="demo-en"), **values)


def build_engine(
    model_type: str, directory: Path = DEMO, *, threads: int = 1, compute_type: str = "", **fields: Any
) -> Engine:
    spec = build_spec(model_type, **fields)
    compute_type = compute_type or {"faster_whisper": "int8"}.get(model_type, "float32")
    return load_engine(
        spec, directory, device="cpu", compute_type=compute_type, threads=threads, batch_size=4, num_workers=1
    )


def read_clip(name: str) -> bytes:
    with wave.open(str(MODELS / "clips" / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def clip_texts() -> dict[str, str]:
    clips = json.loads((MODELS / "clips" / "clips.json").read_text("utf-8"))
    return {name: clip["text"] for name, clip in clips.items()}


@pytest.fixture
def job() -> Callable[..., DecodeJob]:
    return build_job


@pytest.fixture
def spec() -> Callable[..., ModelSpec]:
    return build_spec


@pytest.fixture
def engine() -> Callable[..., Engine]:
    return build_engine


@pytest.fixture
def clip() -> Callable[[str], bytes]:
    return read_clip


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    return clip_texts()


@pytest.fixture(scope="session")
def whisper() -> Engine:
    return build_engine("faster_whisper")


@pytest.fixture(
    params=["echo", pytest.param("faster_whisper", marks=pytest.mark.integration)],
)
def heard(request: pytest.FixtureRequest) -> tuple[Engine, list[tuple[bytes, str]]]:
    """An engine with pieces of audio and what it should hear in them."""
    if request.param == "echo":
        said = [(echo.speech(n, first=n * 100), n) for n in (5, 23, 40)]
        pieces = [(a.tobytes(), " ".join(str(n * 100 + i) for i in range(n))) for a, n in said]
        return build_engine("echo"), pieces
    names = ("timer", "lights_kitchen", "order_coffee")
    return request.getfixturevalue("whisper"), [(read_clip(name), clip_texts()[name]) for name in names]
