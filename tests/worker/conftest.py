"""Jobs, models and starts for worker tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotmic.config.model import Bundled, ModelSpec
from hotmic.values import DecodeJob
from hotmic.worker.messages import Start

MODELS = Path(__file__).parents[2] / "server" / "hotmic" / "models"


def build_job(samples: bytes = b"", job_id: str = "j", **fields: Any) -> DecodeJob:
    values = {"session_id": "s", "segment_id": "g", "kind": "final", "start": 0, "deadline": 0.0, **fields}
    return DecodeJob(job_id=job_id, samples=samples, **values)


def build_spec(model_id: str = "echo", model_type: str = "echo", **fields: Any) -> ModelSpec:
    values: dict[str, Any] = {"min_window_s": 1.0, "languages": ("en",), "source": Bundled(name="demo-en"), **fields}
    return ModelSpec(id=model_id, name=model_id, type=model_type, **values)


def build_start(model_type: str = "echo", **options: Any) -> Start:
    return Start(
        spec=build_spec(model_type, model_type, options=options),
        directory=MODELS / "demo-en",
        device="cpu",
        compute_type="auto",
        threads=1,
        batch_size=8,
        num_workers=1,
    )


@pytest.fixture
def job() -> Callable[..., DecodeJob]:
    return build_job


@pytest.fixture
def spec() -> Callable[..., ModelSpec]:
    return build_spec


@pytest.fixture
def start() -> Callable[..., Start]:
    return build_start
