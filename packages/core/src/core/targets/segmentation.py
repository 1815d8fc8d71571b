"""A class for each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from core.data.masks import IGNORE_INDEX, mask_size, read_masks
from core.targets import metrics as m
from core.targets.labels import listed, refuse_unlabelled, require_columns, single_column, weights_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import MaskOption
    from core.targets.types import Labels, Metric

AT_ONCE = 16
"""Pictures whose pixels are enlarged and compared at a time."""
COUNTED = 400
"""Training masks, evenly through the part, whose pixels are counted for class weights."""


@dataclass
class SegmentationTarget:
    """A probability for each class at each pixel, from maps of logits (B, K, h, w) of any resolution."""

    column: str
    classes: tuple[str, ...]
    weights: tuple[float, ...]
    size: tuple[int, int]
    """(height, width) in which masks are judged and given."""
    jaccard: float = 0.0
    label_smoothing: float = 0.0
    select: str | None = None
    explanation: str = ""
    kind: str = "mask"
    reads: str = "map"

    @property
    def width(self) -> int:
        """One output a class."""
        return len(self.classes)

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: MaskOption) -> SegmentationTarget:
        """Settle size and class weights on training rows.

        Raises ValueError where the data names no classes of pixels or a mask can't be read.
        """
        column = single_column(frame, roles, "mask")
        classes = roles.mask_classes
        if len(classes) < 2:
            raise ValueError(
                "target=mask needs the names of the pixels' classes, two at least; use data=mask_folder or a set that "
                "has them"
            )
        size, alike = mask_size(frame[column])
        asked = (settings.height or size[0], settings.width or size[1])
        told = "" if alike else "Training masks differ in size. "
        counted = frame[column].iloc[:: max(1, len(frame) // COUNTED)]
        counts = np.zeros(len(classes), np.int64)
        for codes in read_masks(counted, None, len(classes)):
            counts += np.bincount(codes.ravel(), minlength=IGNORE_INDEX + 1)[: len(classes)]
        absent = [name for name, count in zip(classes, counts, strict=True) if not count]
        if absent:
            told += f"No pixel of {listed(absent)} in the training masks that were counted. "
        target = cls(
            column,
            classes,
            tuple(weights_of(counts, settings.class_weights)),
            asked,
            settings.jaccard,
            settings.label_smoothing,
            settings.select,
            f"{told}Masks of {asked[0]} x {asked[1]} pixels; the classes are {listed(classes)}.",
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's mask, (B, H, W) uint8, 255 where no class; ValueError names column and row."""
        require_columns(frame, (self.column,))
        refuse_unlabelled(frame, self.column, frame[self.column].isna().to_numpy())
        masks = read_masks(frame[self.column], self.size, len(self.classes))
        return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *self.size), np.uint8))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's loss (B,): weighted cross-entropy in nats, a mean over its pixels that have a class.

        With ``jaccard``, that much of one less the soft Jaccard index is added, a mean over the classes that the
        example's mask shows (Rahman and Wang 2016). Outputs (B, K, h, w) are enlarged to the masks' size.
        """
        pieces = zip(torch.split(outputs, AT_ONCE), torch.split(targets, AT_ONCE), strict=True)
        return torch.cat([self._losses(out, truth) for out, truth in pieces])

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits_BKHW = _enlarged(outputs, targets.shape[-2:])
        known_BHW = targets < len(self.classes)
        codes_BHW = targets.long().masked_fill(~known_BHW, 0)
        log_BKHW = functional.log_softmax(logits_BKHW, dim=1)
        right_BHW = log_BKHW.gather(1, codes_BHW[:, None]).squeeze(1)
        losses_BHW = -(1.0 - self.label_smoothing) * right_BHW
        if self.label_smoothing:
            losses_BHW = losses_BHW - self.label_smoothing * log_BKHW.mean(dim=1)
        if len(set(self.weights)) > 1:
            losses_BHW = losses_BHW * logits_BKHW.new_tensor(self.weights)[codes_BHW]
        pixels_B = known_BHW.sum(dim=(1, 2)).clamp(min=1)
        losses_B = (losses_BHW * known_BHW).sum(dim=(1, 2)) / pixels_B
        if self.jaccard:
            chance_BKP = (log_BKHW.exp() * known_BHW[:, None]).flatten(2)
            size_BK = torch.zeros_like(chance_BKP[..., 0]).scatter_add_(
                1, codes_BHW.flatten(1), known_BHW.flatten(1).to(chance_BKP.dtype)
            )
            hit_BK = torch.zeros_like(size_BK).scatter_add(
                1, codes_BHW.flatten(1), (right_BHW.exp() * known_BHW).flatten(1)
            )
            index_BK = hit_BK / (chance_BKP.sum(dim=2) + size_BK - hit_BK).clamp(min=1e-6)
            shown_BK = size_BK > 0
            mean_B = (index_BK * shown_BK).sum(dim=1) / shown_BK.sum(dim=1).clamp(min=1)
            losses_B = losses_B + self.jaccard * (1.0 - mean_B)
        return losses_B

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn logits (B, K, h, w) into probabilities of the same shape."""
        return torch.softmax(outputs.float(), dim=1)

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the likeliest class of each pixel, (N, H, W) uint8, from probabilities (N, K, h, w)."""
        assert not thresholds, "pixels are decided by the highest probability"
        decided = np.empty((len(scores), *self.size), np.uint8)
        for start in range(0, len(scores), AT_ONCE):
            piece = torch.from_numpy(np.asarray(scores[start : start + AT_ONCE], np.float32))
            decided[start : start + AT_ONCE] = _enlarged(piece, self.size).argmax(dim=1).numpy()
        return decided

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded masks into the shape of ``labels``, (N, H, W) uint8."""
        return targets.cpu().numpy()

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        figures: dict[str, Metric] = {"miou": m.miou, "pixel_accuracy": m.pixel_accuracy}
        figures |= {f"iou_{name}": m.iou_of(k) for k, name in enumerate(self.classes)}
        return m.selected_first(figures, self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        lists = {name: list(getattr(self, name)) for name in ("classes", "weights", "size")}
        return {**asdict(self), **lists}

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> SegmentationTarget:
        """Make the target again from its state."""
        return cls(**state | {name: tuple(state[name]) for name in ("classes", "weights", "size")})


def _enlarged(maps: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps.float()
    return functional.interpolate(maps.float(), tuple(size), mode="bilinear", align_corners=False)
