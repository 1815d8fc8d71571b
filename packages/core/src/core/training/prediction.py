"""Forward passes over held-out rows: outputs, scores and Predictions, the views of an image averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from core.backbones.contexts import eval_mode
from core.targets.types import Decoded, Predictions
from core.training.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from core.backbones.model import Model
    from core.data.encoded_split import EncodedSplit
    from core.data.types import EncodedRows
    from core.targets.types import Target

STRAIGHT = (0, False)
"""The view of an image as it is."""


def predict(
    model: nn.Module,
    target: Target,
    split: EncodedSplit,
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    views: int = 1,
) -> Predictions:
    """Predict every row of a held-out split, in its order; labels are decided by the target's usual rule.

    See ``scores`` for ``views`` and errors. The model is left in the mode it was in.
    """
    decoded = decode_rows(
        model, target, split.encoded, batch_size=batch_size, device=device, precision=precision, views=views
    )
    return _as_predictions(decoded, target, split)


def as_predictions(found: NDArray[np.float64], target: Target, split: EncodedSplit) -> Predictions:
    """Return scores (N, K), of dense targets (N, K, h, w), with the truth, groups and units of their split."""
    return _as_predictions(target.decode(found), target, split)


def _as_predictions(decoded: Decoded, target: Target, split: EncodedSplit) -> Predictions:
    truth = target.truth(split.targets)
    return target.predictions(
        decoded.scores, decoded.labels, truth, split.groups, split.units, split.rows, decoded.sure
    )


def decode_rows(
    model: nn.Module,
    target: Target,
    rows: EncodedRows | dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    views: int = 1,
    likely: NDArray[np.float64] | None = None,
) -> Decoded:
    """Predict encoded rows and decide them by the target's usual rule; dense targets are decoded batch by batch.

    ``scores`` would keep the probability of every class at every place. ``likely`` (N or 1, K or 1): the probability
    from which a class counts for ``Decoded.doubtful``. Errors as in ``scores``.
    """
    if not target.dense:
        found = scores(
            model, target, rows, batch_size=batch_size, device=device, precision=precision, views=views
        )
        return target.decode(found)
    pieces, done = [], 0
    for several in _forward(model, rows, batch_size, device, precision, views):
        piece = torch.stack([target.scores(raw) for raw in several]).mean(dim=0).numpy()
        own = likely if likely is None or len(likely) == 1 else likely[done : done + len(piece)]
        pieces.append(target.decode(piece, own))
        done += len(piece)
    return Decoded.joined(pieces)


def scores(
    model: nn.Module,
    target: Target,
    rows: EncodedRows | dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
    views: int = 1,
) -> NDArray[np.float64]:
    """Give the scores (N, K), of masks (N, K, h, w), of encoded rows, no labels needed, in float64.

    ``views`` averages the scores of 1, 2 (mirrored), 4 (half-turned too) or 8 (quarter-turned too) views of the
    image. Raises ValueError for several views of inputs without an image, and for quarter turns of one that is
    not square.
    """
    found = []
    for several in _forward(model, rows, batch_size, device, precision, views):
        each = [target.scores(raw).double() for raw in several]
        found.append(torch.stack(each).mean(dim=0) if views > 1 else each[0])
    return torch.cat(found).numpy()


def outputs(
    model: nn.Module,
    rows: EncodedRows | dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
) -> Tensor:
    """Give the outputs (N, ...) for encoded rows, float32 on the CPU; ``device`` is by default the model's."""
    return torch.cat([several[0] for several in _forward(model, rows, batch_size, device, precision, 1)])


def pooled(
    model: Model,
    rows: EncodedRows | dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
) -> NDArray[np.float64]:
    """Give the pooled features (N, D) that the head reads, for encoded rows, in float64."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = model.backbone

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return self.backbone(inputs).pooled  # type: ignore[no-any-return]

    found = outputs(Pooled(), rows, batch_size=batch_size, device=device, precision=precision)
    return found.double().numpy()


def _forward(
    model: nn.Module,
    rows: EncodedRows | dict[str, Tensor],
    batch_size: int,
    device: torch.device | None,
    precision: str,
    views: int,
) -> Iterator[list[Tensor]]:
    """Yield the outputs of one batch after another, one tensor for each view."""
    place = device if device is not None else next(model.parameters()).device
    size = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
    if size == 0:
        raise ValueError("there are no rows to predict")
    with eval_mode(model), torch.inference_mode():
        for start in range(0, size, batch_size):
            piece = _inputs(rows, start, min(start + batch_size, size), place)
            several = []
            for turn in dihedral(piece, views):
                seen = piece if turn == STRAIGHT else {**piece, "image": _turned(piece["image"], turn)}
                with autocast(precision, place):
                    raw = model(seen).float().cpu()
                several.append(_turned_back(raw, turn) if raw.ndim == 4 and turn != STRAIGHT else raw)
            yield several


def _inputs(
    rows: EncodedRows | dict[str, Tensor], start: int, end: int, device: torch.device
) -> dict[str, Tensor]:
    taken = (
        {n: t[start:end] for n, t in rows.items()}
        if isinstance(rows, dict)
        else rows.take(torch.arange(start, end))
    )
    return {name: tensor.to(device) for name, tensor in taken.items()}


def dihedral(inputs: dict[str, Tensor], views: int) -> list[tuple[int, bool]]:
    """List the (quarter turns, mirrored) of so many views of the image, the image as it is first."""
    if views == 1:
        return [STRAIGHT]
    if "image" not in inputs:
        raise ValueError(
            f"training.tta_views={views} needs an image among the inputs ({', '.join(inputs)}); use 1"
        )
    height, width = inputs["image"].shape[-2:]
    if views == 8 and height != width:
        raise ValueError(
            f"training.tta_views=8 turns images, which are not square ({height} x {width}); use 1, 2 or 4"
        )
    turns = {2: [0], 4: [0, 2], 8: [0, 1, 2, 3]}.get(views)
    if turns is None:
        raise ValueError(f"training.tta_views={views}: choose 1, 2, 4 or 8")
    return [(turn, mirrored) for turn in turns for mirrored in (False, True)]


def _turned_back(maps_BKHW: Tensor, turn: tuple[int, bool]) -> Tensor:
    """Lay the answers for a turned view over the image as it is."""
    quarters, mirrored = turn
    straight = maps_BKHW.flip(-1) if mirrored else maps_BKHW
    return torch.rot90(straight, -quarters, dims=(-2, -1))


def _turned(image_BCHW: Tensor, turn: tuple[int, bool]) -> Tensor:
    quarters, mirrored = turn
    turned = torch.rot90(image_BCHW, quarters, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned
