"""The field's own figures of predictions: recall where a miss hurts someone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from driving.classes import RIGHT_OF_WAY, VULNERABLE

if TYPE_CHECKING:
    from core.targets.types import Metric, Predictions


def sign_metrics(kind: str) -> dict[str, Metric]:
    """Name the figures of one sign a picture; none for other kinds of answer."""
    if kind != "multiclass":
        return {}
    return {
        "recall_vulnerable": recall_of(VULNERABLE),
        "recall_right_of_way": recall_of(RIGHT_OF_WAY),
        "worst_class_recall": worst_recall,
    }


def recall_of(names: Sequence[str]) -> Metric:
    """Make the metric: share of the rows of these classes that are decided right; NaN without such rows."""

    def recall(p: Predictions) -> float:
        codes = [k for k, name in enumerate(p.classes) if name in names]
        rows = np.isin(p.targets, codes)
        return float((p.labels[rows] == p.targets[rows]).mean()) if rows.any() else float("nan")

    return recall


def worst_recall(p: Predictions) -> float:
    """Give the lowest recall among the classes that occur."""
    counts = np.bincount(p.targets.astype(np.int64), minlength=len(p.classes))
    right = np.bincount(p.targets[p.labels == p.targets].astype(np.int64), minlength=len(p.classes))
    return float((right[counts > 0] / counts[counts > 0]).min()) if len(p) else float("nan")


def scene_metrics(kind: str) -> dict[str, Metric]:
    """Name the figures of masks; none for other kinds of answer."""
    if kind != "mask":
        return {}
    return {"recall_vulnerable": pixel_recall_of(VULNERABLE), "iou_vulnerable": pixel_iou_of(VULNERABLE)}


def _codes(p: Predictions, names: Sequence[str]) -> list[int]:
    return [k for k, name in enumerate(p.classes) if name in names]


def pixel_recall_of(names: Sequence[str]) -> Metric:
    """Make the metric: share of the pixels of these classes that are given any of them; NaN without such pixels."""

    def recall(p: Predictions) -> float:
        table, codes = p.counts().sum(axis=0), _codes(p, names)
        total = table[codes].sum()
        return float(table[np.ix_(codes, codes)].sum() / total) if total else float("nan")

    return recall


def pixel_iou_of(names: Sequence[str]) -> Metric:
    """Make the metric: intersection over union of these classes taken as one."""

    def overlap(p: Predictions) -> float:
        table, codes = p.counts().sum(axis=0), _codes(p, names)
        hit = table[np.ix_(codes, codes)].sum()
        union = table[codes].sum() + table[:, codes].sum() - hit
        return float(hit / union) if union else float("nan")

    return overlap
