"""The mean of checkpoints.

Weights that were trained on from one another lie in one valley, and their mean often has the strengths of each
(Wortsman et al. 2022, "Model soups").
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from demo_model.export import read_checkpoint
from demo_model.network import Shape
from demo_model.speech import RecipeError


def mean(checkpoints: Sequence[Path]) -> tuple[Shape, dict[str, Tensor]]:
    """Return the shape and the mean of the parameters of checkpoints.

    Raises:
        RecipeError: They have different shapes.
    """
    shapes, states = zip(*(read_checkpoint(path) for path in checkpoints), strict=True)
    if len(set(shapes)) != 1:
        raise RecipeError("the checkpoints have different shapes")
    return shapes[0], {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
