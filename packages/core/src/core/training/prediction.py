"""Forward passes over held-out rows: outputs, scores and predictions, with test-time augmentation (TTA) of images."""

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

IDENTITY = (0, False)
"""The view of an image as it is: no quarter turn, not mirrored."""


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
    """Return predictions of every row of a held-out split, in its order, decided by the target's usual rule.

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
    """Return predictions of encoded rows by the target's usual rule; dense targets are decoded batch by batch.

    ``scores`` would keep the probability of every class at every place. ``likely`` (N or 1, K or 1): the probability
    from which a class counts for ``Decoded.doubtful``. Errors as in ``scores``.
    """
    if not target.dense:
        found = scores(
            model, target, rows, batch_size=batch_size, device=device, precision=precision, views=views
        )
        return target.decode(found)
    decoded, done = [], 0
    for by_view in _forward(model, rows, batch_size, device, precision, views):
        found = torch.stack([target.scores(raw) for raw in by_view]).mean(dim=0).numpy()
        own = likely if likely is None or len(likely) == 1 else likely[done : done + len(found)]
        decoded.append(target.decode(found, own))
        done += len(found)
    return Decoded.joined(decoded)


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
    """Return the scores (N, K), of dense targets (N, K, h, w), of encoded rows, no labels needed, in float64.

    ``views`` (TTA) averages the scores of 1, 2 (mirrored), 4 (half-turned too) or 8 (quarter-turned too) views of the
    image. Raises ValueError for several views of inputs without an image, and for quarter turns of one that is
    not square.
    """
    found = []
    for by_view in _forward(model, rows, batch_size, device, precision, views):
        each = [target.scores(raw).double() for raw in by_view]
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
    """Return the outputs (N, ...) for encoded rows, float32 on the CPU; ``device`` is by default the model's."""
    return torch.cat([by_view[0] for by_view in _forward(model, rows, batch_size, device, precision, 1)])


def pooled_features(
    model: Model,
    rows: EncodedRows | dict[str, Tensor],
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    precision: str = "fp32",
) -> NDArray[np.float64]:
    """Return the pooled features (N, D) that the head reads, for encoded rows, in float64."""

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
    device = device if device is not None else next(model.parameters()).device
    size = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
    if size == 0:
        raise ValueError("there are no rows to predict")
    with eval_mode(model), torch.inference_mode():
        for start in range(0, size, batch_size):
            inputs = _inputs(rows, start, min(start + batch_size, size), device)
            by_view = []
            for view in tta_views(inputs, views):
                seen = (
                    inputs if view == IDENTITY else {**inputs, "image": _transformed(inputs["image"], view)}
                )
                with autocast(precision, device):
                    raw = model(seen).float().cpu()
                by_view.append(_inverted(raw, view) if raw.ndim == 4 and view != IDENTITY else raw)
            yield by_view


def _inputs(
    rows: EncodedRows | dict[str, Tensor], start: int, end: int, device: torch.device
) -> dict[str, Tensor]:
    taken = (
        {n: t[start:end] for n, t in rows.items()}
        if isinstance(rows, dict)
        else rows.take(torch.arange(start, end))
    )
    return {name: tensor.to(device) for name, tensor in taken.items()}


def tta_views(inputs: dict[str, Tensor], views: int) -> list[tuple[int, bool]]:
    """Return the (quarter turns, mirrored) of so many views of the image, the image as it is first.

    >>> tta_views({"image": torch.zeros(1, 3, 8, 8)}, 4)
    [(0, False), (0, True), (2, False), (2, True)]
    """
    if views == 1:
        return [IDENTITY]
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


def _inverted(maps_BKHW: Tensor, view: tuple[int, bool]) -> Tensor:
    """Return the outputs of a view, transformed back onto the image as it is."""
    quarters, mirrored = view
    straight = maps_BKHW.flip(-1) if mirrored else maps_BKHW
    return torch.rot90(straight, -quarters, dims=(-2, -1))


def _transformed(image_BCHW: Tensor, view: tuple[int, bool]) -> Tensor:
    quarters, mirrored = view
    turned = torch.rot90(image_BCHW, quarters, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned
