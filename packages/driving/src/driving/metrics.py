"""Safety-relevant metrics: recall of vulnerable road users and of the right of way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from driving.classes import RIGHT_OF_WAY, VULNERABLE

if TYPE_CHECKING:
    from core.targets.types import Metric, Predictions


def sign_metrics(kind: str) -> dict[str, Metric]:
    """Return the metrics of sign classification; none for other targets."""
    of_classes: dict[str, Metric] = {
        "recall_vulnerable": recall_of(VULNERABLE),
        "recall_right_of_way": recall_of(RIGHT_OF_WAY),
        "worst_class_recall": worst_recall,
    }
    return {"multiclass": of_classes}.get(kind, {})


def recall_of(names: Sequence[str]) -> Metric:
    """Return the metric micro-averaged recall of these classes; NaN without such rows."""

    def recall(p: Predictions) -> float:
        codes = [k for k, name in enumerate(p.classes) if name in names]
        rows = np.isin(p.targets, codes)
        return float((p.labels[rows] == p.targets[rows]).mean()) if rows.any() else float("nan")

    return recall


def worst_recall(p: Predictions) -> float:
    """Return the lowest recall among the classes that occur."""
    counts = np.bincount(p.targets.astype(np.int64), minlength=len(p.classes))
    right = np.bincount(p.targets[p.labels == p.targets].astype(np.int64), minlength=len(p.classes))
    return float((right[counts > 0] / counts[counts > 0]).min()) if len(p) else float("nan")


def segmentation_metrics(kind: str) -> dict[str, Metric]:
    """Return the metrics of semantic segmentation; none for other targets."""
    of_pixels = {"recall_vulnerable": pixel_recall_of(VULNERABLE), "iou_vulnerable": pixel_iou_of(VULNERABLE)}
    return {"segmentation": of_pixels}.get(kind, {})


def _codes(p: Predictions, names: Sequence[str]) -> list[int]:
    return [k for k, name in enumerate(p.classes) if name in names]


def pixel_recall_of(names: Sequence[str]) -> Metric:
    """Return the metric pixel recall of these classes taken as one; NaN without such pixels."""

    def recall(p: Predictions) -> float:
        table, codes = p.counts().sum(axis=0), _codes(p, names)
        total = table[codes].sum()
        return float(table[np.ix_(codes, codes)].sum() / total) if total else float("nan")

    return recall


def pixel_iou_of(names: Sequence[str]) -> Metric:
    """Return the metric intersection over union of these classes taken as one."""

    def overlap(p: Predictions) -> float:
        table, codes = p.counts().sum(axis=0), _codes(p, names)
        hit = table[np.ix_(codes, codes)].sum()
        union = table[codes].sum() + table[:, codes].sum() - hit
        return float(hit / union) if union else float("nan")

    return overlap
