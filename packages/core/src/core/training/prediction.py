"""Forward passes over held-out rows: outputs, scores and Predictions, the views of an image averaged."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.targets.types import Predictions
from core.training.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from core.targets.types import Target
    from core.training.types import HeldOut


def predict(
    model: nn.Module,
    target: Target,
    part: HeldOut,
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    views: int = 1,
) -> Predictions:
    """Predict every row of a held-out part, in its order; labels are decided by the target's usual rule.

    ``views`` averages scores over 1, 2 (mirrored), 4 or 8 (turned and mirrored) views of the image; see
    ``scores``. The model is left in the mode it was in.
    """
    found = scores(
        model, target, part.inputs, batch_size=batch_size, device=device, precision=precision, views=views
    )
    return as_predictions(found, target, part)


def as_predictions(found: NDArray[np.float64], target: Target, part: HeldOut) -> Predictions:
    """Put scores (N, K) beside the truth, groups and units of the part they were predicted for."""
    return Predictions(
        scores=found,
        labels=target.labels(found),
        targets=target.truth(part.targets),
        classes=target.classes,
        kind=target.kind,
        groups=part.groups,
        units=part.units,
        index=part.index,
    )


def scores(
    model: nn.Module,
    target: Target,
    inputs: dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    views: int = 1,
) -> NDArray[np.float64]:
    """Give the scores (N, K) of encoded rows, no labels needed, in float64.

    Raises ValueError for several views of inputs without an image, and for turned views of one that isn't square.
    """
    total: Tensor | None = None
    turns = dihedral(inputs, views)
    for turn in turns:
        raw = outputs(model, inputs, batch_size=batch_size, device=device, precision=precision, turn=turn)
        one = target.scores(raw).double()
        total = one if total is None else total + one
    assert total is not None
    return (total / len(turns)).numpy()


def outputs(
    model: nn.Module,
    inputs: dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    turn: tuple[int, bool] = (0, False),
) -> Tensor:
    """Give the model's outputs (N, ...) for encoded rows, float32 on the CPU.

    ``device`` is the model's own by default. ``turn`` (quarter turns, mirrored) is applied to the image.
    """
    place = device if device is not None else next(model.parameters()).device
    rows = len(next(iter(inputs.values())))
    if rows == 0:
        raise ValueError("there are no rows to predict")
    found: list[Tensor] = []
    with evaluating(model), torch.inference_mode(), autocast(precision, place):
        for start in range(0, rows, batch_size):
            piece = {name: t[start : start + batch_size].to(place) for name, t in inputs.items()}
            if turn != (0, False):
                piece["image"] = _turned(piece["image"], turn)
            found.append(model(piece).float().cpu())
    return torch.cat(found)


def dihedral(inputs: dict[str, Tensor], views: int) -> list[tuple[int, bool]]:
    """List the (quarter turns, mirrored) of so many views of the image: 1, 2, 4 (no quarter turns) or 8."""
    if views == 1:
        return [(0, False)]
    if "image" not in inputs:
        raise ValueError(
            f"training.views={views} needs an image among the inputs ({', '.join(inputs)}); use 1"
        )
    height, width = inputs["image"].shape[-2:]
    if views == 8 and height != width:
        raise ValueError(
            f"training.views=8 turns images, which are not square ({height} x {width}); use 1, 2 or 4"
        )
    turns = {2: [0], 4: [0, 2], 8: [0, 1, 2, 3]}.get(views)
    if turns is None:
        raise ValueError(f"training.views={views}: choose 1, 2, 4 or 8")
    return [(turn, mirrored) for turn in turns for mirrored in (False, True)]


def _turned(image_BCHW: Tensor, turn: tuple[int, bool]) -> Tensor:
    quarters, mirrored = turn
    turned = torch.rot90(image_BCHW, quarters, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each module back into the mode it was in (some may be frozen in eval)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
