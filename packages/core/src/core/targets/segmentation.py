"""A class for each pixel of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from core.data.masks import IGNORE_INDEX, mask_size, read_masks, to_png
from core.targets.bootstrap_metrics import mean_defined, ratio, summed
from core.targets.class_fairness import MOST_CLASSES
from core.targets.fairness_metrics import FPR, TPR, FairnessMetric
from core.targets.labels import listed, refuse_unlabelled, require_columns, single_column, weights_of
from core.targets.pixel_classifier import fit_pixel_classifier
from core.targets.types import (
    Array,
    Decoded,
    HeadlineMetric,
    MetricSettings,
    Predictions,
    Statistic,
    TableColumn,
    Target,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Encoder, Json
    from core.targets.config import SegmentationOption
    from core.targets.prediction_sets import ConformalRule
    from core.targets.types import BaselineSettings, FittedBaseline, Flags, Labels, Metric

AT_ONCE = 16
"""Images whose pixels are interpolated and compared at a time."""
COUNTED = 400
"""Training masks, evenly through the training set, whose pixels are counted for class weights."""


@dataclass
class SegmentationTarget(Target):
    """A probability for each class at each pixel, from maps of logits (B, K, h, w) of any resolution."""

    kind: ClassVar[str] = "segmentation"
    reads: ClassVar[str] = "map"
    dense: ClassVar[bool] = True
    conformal_methods: ClassVar[tuple[str, ...]] = ("lac",)
    mondrian: ClassVar[str] = "classes"
    explained_output: ClassVar[str] = "class_area"
    own_baselines: ClassVar[tuple[str, ...]] = ("boosting",)
    item: ClassVar[str] = "pixel"

    column: str
    classes: tuple[str, ...]
    weights: tuple[float, ...]
    size: tuple[int, int]
    """(height, width) in which masks are evaluated and predicted."""
    jaccard: float = 0.0
    label_smoothing: float = 0.0
    explanation: str = ""

    @property
    def width(self) -> int:
        """One output a class."""
        return len(self.classes)

    @classmethod
    def fit(cls, config: SegmentationOption, frame: pd.DataFrame, roles: ColumnRoles) -> SegmentationTarget:
        """Fit size and class weights to training rows.

        Raises ValueError where the data names no classes of pixels or a mask can't be read.
        """
        column = single_column(frame, roles, "segmentation")
        classes = roles.mask_classes
        if len(classes) < 2:
            raise ValueError(
                "target=segmentation needs the names of the pixels' classes, two at least; use data=mask_folder "
                "or a set that has them"
            )
        size, equal = mask_size(frame[column])
        asked = (config.height or size[0], config.width or size[1])
        note = "" if equal else "Training masks differ in size. "
        counted = frame[column].iloc[:: max(1, len(frame) // COUNTED)]
        counts = np.zeros(len(classes), np.int64)
        for codes in read_masks(counted, None, len(classes)):
            counts += np.bincount(codes.ravel(), minlength=IGNORE_INDEX + 1)[: len(classes)]
        absent = [name for name, count in zip(classes, counts, strict=True) if not count]
        if absent:
            note += f"No pixel of {listed(absent)} in the training masks that were counted. "
        return cls(
            column,
            classes,
            tuple(weights_of(counts, config.class_weights)),
            asked,
            config.jaccard,
            config.label_smoothing,
            f"{note}Masks of {asked[0]} x {asked[1]} pixels; the classes are {listed(classes)}.",
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's mask, (B, H, W) uint8, 255 where no class; ValueError names column and row."""
        require_columns(frame, (self.column,))
        refuse_unlabelled(frame, self.column, frame[self.column].isna().to_numpy())
        masks = read_masks(frame[self.column], self.size, len(self.classes))
        return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *self.size), np.uint8))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's loss (B,): weighted cross-entropy in nats, a mean over its pixels that have a class.

        With ``jaccard``, so much times 1 minus the soft Jaccard index is added, a mean over the classes that the
        example's mask shows (Rahman and Wang 2016). Outputs (B, K, h, w) are interpolated to the masks' size.
        """
        pieces = zip(torch.split(outputs, AT_ONCE), torch.split(targets, AT_ONCE), strict=True)
        return torch.cat([self._losses(out, truth) for out, truth in pieces])

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits_BKHW = _interpolated(outputs, targets.shape[-2:])
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
        """Return probabilities (B, K, h, w) from logits of the same shape."""
        return torch.softmax(outputs.float(), dim=1)

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the likeliest class of each pixel, (N, H, W) uint8, from probabilities (N, K, h, w)."""
        assert not thresholds, "pixels are decided by the highest probability"
        decided = np.empty((len(scores), *self.size), np.uint8)
        for start in range(0, len(scores), AT_ONCE):
            piece = torch.from_numpy(np.asarray(scores[start : start + AT_ONCE], np.float32))
            decided[start : start + AT_ONCE] = _interpolated(piece, self.size).argmax(dim=1).numpy()
        return decided

    def truth(self, targets: Tensor) -> Labels:
        """Return encoded masks in the shape of ``labels``, (N, H, W) uint8."""
        return targets.cpu().numpy()

    @classmethod
    def kept_scores(cls, scores: Array) -> Array:
        """Return each class's mean probability over a map's places, (N, K)."""
        return torch.from_numpy(np.asarray(scores, np.float64)).mean(dim=(2, 3)).numpy()

    def decode(self, scores: Array, likely: Array | None = None) -> Decoded:
        """Decide pixels and keep the means of probabilities over the map's places.

        ``likely`` (N or 1, K or 1): the probability from which a class counts for ``doubtful``.
        """
        exact = np.asarray(scores, np.float64)
        doubtful = None
        if likely is not None:
            many = (exact >= likely[:, :, None, None]).sum(axis=1) > 1
            doubtful = many.mean(axis=(1, 2))
        sure = torch.from_numpy(exact).amax(dim=1).mean(dim=(1, 2)).numpy()
        return Decoded(self.kept_scores(exact), self.labels(scores), sure, doubtful)

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {
            "miou": miou,
            "pixel_accuracy": pixel_accuracy,
            **{f"iou_{name}": iou_of(k) for k, name in enumerate(self.classes)},
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return intersection over union and recall."""
        return [_overlaps(classes)]

    @classmethod
    def precompute(cls, p: Predictions) -> None:
        """Count the pixels of each pair of classes once."""
        p.counts()

    @classmethod
    def headline_metric(cls) -> HeadlineMetric:
        """Return mean IoU."""

        def combine(sums: Array) -> Array:
            size = round(sums.shape[1] ** 0.5)
            return mean_defined(ious(sums.reshape(-1, size, size)))

        return HeadlineMetric(
            "miou", "mean IoU", lambda p: p.counts().reshape(len(p), -1).astype(np.float64), combine
        )

    @classmethod
    def confusion(cls, p: Predictions) -> dict[str, Json]:
        """Return the pixels of each (true, predicted) class."""
        return {"labels": list(p.classes), "counts": p.counts().sum(axis=0).tolist()}

    # Uncertainty

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return the mean over places of the likeliest class's probability."""
        assert sure is not None, "an image's confidence comes from its pixels"
        return sure

    @classmethod
    def row_losses(cls, p: Predictions, unit: float = 1.0) -> Array:
        """Compute the share of wrong pixels of each image."""
        counts = p.counts()
        total, correct = counts.sum(axis=(1, 2)), np.trace(counts, axis1=1, axis2=2)
        return np.asarray(np.where(total > 0, 1.0 - correct / np.maximum(total, 1), 0.0))

    @classmethod
    def includes(cls, labels: Labels, codes: Sequence[int]) -> Flags:
        """Return whether any pixel of an image has one of the classes."""
        return np.array([bool(np.isin(mask, list(codes)).any()) for mask in labels])

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return pixel accuracy, and recall and false positive rate of each class.

        Pixels count, so that a class that fills an image weighs more there than one that hardly shows.
        """
        counts_NKK = p.counts().astype(np.float64)
        hit_NK = np.diagonal(counts_NKK, axis1=1, axis2=2)
        true_NK, total_N = counts_NKK.sum(2), counts_NKK.sum((1, 2))
        false_NK = counts_NKK.sum(1) - hit_NK
        found = [FairnessMetric("pixel accuracy", "equal accuracy", hit_NK.sum(1), total_N, better=1)]
        if len(p.classes) <= MOST_CLASSES:
            for k, name in enumerate(p.classes):
                asked = f"equal opportunity of {name}", f"predictive equality of {name}"
                rest = total_N - true_NK[:, k]
                found += [
                    FairnessMetric(
                        f"recall of {name}", asked[0], hit_NK[:, k], true_NK[:, k], TPR, per_class=True
                    ),
                    FairnessMetric(
                        f"false positive rate of {name}", asked[1], false_NK[:, k], rest, FPR, per_class=True
                    ),
                ]
        return found

    # Explanation

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return the class whose share varies most over the rows, for all of them."""
        shares = self.scores(torch.from_numpy(outputs)).double().mean(dim=(2, 3)).numpy()
        return np.full(len(outputs), int(shares.std(axis=0).argmax()), np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the share (B,) of the image given to the explained classes."""
        shares_BK = self.scores(outputs).mean(dim=(2, 3))
        return shares_BK.gather(1, explained[:, None]).squeeze(1)

    def explained_name(self, explained: int) -> str:
        """Return the class's name."""
        return self.classes[explained]

    @classmethod
    def certainty(cls, p: Predictions) -> Array:
        """Return the share of wrong pixels, negative."""
        return -np.asarray((p.labels != p.targets).mean(axis=(1, 2)), np.float64)

    # Columns and words

    @classmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return that it is an image."""
        return "an image"

    @classmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return the masks."""
        return list(labels)

    @classmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return masks as PNG images of class numbers (255: none)."""
        return TableColumn([to_png(codes) for codes in labels], "bytes")

    @classmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return masks (N, H, W) uint8."""
        return np.stack(read_masks(pd.Series(cells, name="mask", dtype=object), None, IGNORE_INDEX))

    def served_scores(self, scores: Array) -> dict[str, Array]:
        """Return each class's mean probability, as ``share:<class>``."""
        return {f"share:{name}": scores[:, k] for k, name in enumerate(self.classes)}

    # Baseline

    def fit_baseline(
        self, settings: BaselineSettings, frames: Mapping[str, pd.DataFrame], encoder: Encoder, seed: int
    ) -> FittedBaseline:
        """Fit boosting of what is seen around each place of a grid."""
        return fit_pixel_classifier(settings, frames, encoder, self, seed)


def ious(counts: NDArray[Any]) -> Array:
    """Compute each class's intersection over union from (true, predicted) counts of pixels (..., K, K)."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    return ratio(hit, counts.sum(axis=-1) + counts.sum(axis=-2) - hit)


def miou(p: Predictions) -> float:
    """Compute the mean over the classes that occur of the intersection over union of all pixels."""
    return float(mean_defined(ious(p.counts().sum(axis=0, keepdims=True)))[0])


def iou_of(k: int) -> Metric:
    """Return the metric: intersection over union of class k."""

    def of_class(p: Predictions) -> float:
        return float(ious(p.counts().sum(axis=0))[k])

    return of_class


def pixel_accuracy(p: Predictions) -> float:
    """Compute the share of correct pixels among those with a class."""
    table = p.counts().sum(axis=0)
    return float(np.trace(table) / table.sum()) if table.any() else float("nan")


def _overlaps(classes: Sequence[str]) -> Statistic:
    """Return intersection over union and recall of pixels, from the counts of each mask (resampled as a whole)."""
    k = len(classes)
    names = ["miou", "pixel_accuracy", "mean_class_accuracy"]
    names += [f"{metric}_{name}" for metric in ("iou", "recall") for name in classes]

    def columns(p: Predictions) -> Array:
        return p.counts().reshape(len(p), k * k).astype(np.float64)

    def combine(sums: Array) -> Array:
        table_RKK = sums.reshape(-1, k, k)
        hit, truth = np.diagonal(table_RKK, axis1=1, axis2=2), table_RKK.sum(axis=2)
        iou, recall = ious(table_RKK), ratio(hit, truth)
        correct = ratio(hit.sum(axis=1), truth.sum(axis=1))
        return np.column_stack([mean_defined(iou), correct, mean_defined(recall), iou, recall])

    return summed(names, columns, combine)


def _interpolated(maps: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps.float()
    return functional.interpolate(maps.float(), tuple(size), mode="bilinear", align_corners=False)
