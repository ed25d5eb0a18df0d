from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from demo_model.average import mean
from demo_model.network import Shape
from demo_model.speech import RecipeError


def checkpoint(path: Path, value: float, *, width: int = 24) -> Path:
    state = {"model.weight": torch.full((2, 2), value), "word_head.weight": torch.zeros(2)}
    torch.save({"shape": asdict(Shape(10, width=width)), "state": state, "average": {}}, path)
    return path


def test_the_mean_of_two_runs(tmp_path: Path) -> None:
    shape, state = mean([checkpoint(tmp_path / "a.pt", 1.0), checkpoint(tmp_path / "b.pt", 2.0)])
    assert shape == Shape(10, width=24)
    assert list(state) == ["model.weight"]
    assert torch.equal(state["model.weight"], torch.full((2, 2), 1.5))


def test_different_shapes_have_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="shapes"):
        mean([checkpoint(tmp_path / "a.pt", 1.0), checkpoint(tmp_path / "b.pt", 2.0, width=48)])
