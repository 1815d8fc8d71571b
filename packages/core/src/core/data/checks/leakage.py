"""Label leakage: features that equal the target, or predict it almost alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from core.data.coercion import to_categories, to_numbers
from core.data.labels import is_label_set, is_quantity
from core.data.types import Dataset, Finding

NEAR_PERFECT = 0.98
"""AUROC of a single feature from which it is suspected of being the target in disguise."""
NEAR_PERFECT_RANK = 0.995
"""The same for the absolute Spearman correlation with a quantity."""
_SAMPLE = 20_000
"""About so many rows are enough to suspect a feature by its AUROC."""


def leaking_features(dataset: Dataset) -> Iterable[Finding]:
    """Yield inputs that equal the target or map to it one to one (error), or predict it nearly alone (warning)."""
    frame, roles = dataset.frame, dataset.roles
    for target in roles.target:
        values = frame[target]
        if roles.mask_classes or is_label_set(values):
            continue
        if is_quantity(values):
            yield from _quantity(dataset, to_numbers(values, target), target)
        else:
            codes, names = pd.factorize(to_categories(values))
            yield from _classes(dataset, codes, len(names), target)


def _quantity(dataset: Dataset, labels: NDArray[np.float64], target: str) -> Iterable[Finding]:
    for name in dataset.roles.numeric:
        feature = to_numbers(dataset.frame[name], name)
        both = ~np.isnan(feature)
        if both.sum() < 20 or np.ptp(feature[both]) == 0:
            continue
        correlation = abs(float(spearmanr(feature[both], labels[both]).statistic))
        if correlation > 1 - 1e-9:
            yield _same(name, target)
        elif correlation > NEAR_PERFECT_RANK:
            yield _near(name, target, f"Spearman correlation {correlation:.3f}")


def _classes(dataset: Dataset, codes: NDArray[np.int64], classes: int, target: str) -> Iterable[Finding]:
    sample = np.arange(0, len(codes), max(1, len(codes) // _SAMPLE))
    for name in (*dataset.roles.numeric, *dataset.roles.categorical):
        if name in dataset.roles.numeric:
            feature = to_numbers(dataset.frame[name], name)
            levels, numbers = pd.factorize(feature, use_na_sentinel=True)
            distinct = len(numbers)
        else:
            levels, names = pd.factorize(to_categories(dataset.frame[name]), use_na_sentinel=True)
            distinct = len(names)
            feature = levels.astype(np.float64)
        pairs = pd.DataFrame({"level": levels, "class": codes}).value_counts()
        if distinct == classes == len(pairs):
            yield _same(name, target)
            continue
        auroc = _worst_auroc(
            name in dataset.roles.numeric, feature[sample], levels[sample], codes[sample], classes
        )
        if auroc > NEAR_PERFECT:
            yield _near(name, target, f"AUROC {auroc:.3f} alone")


def _worst_auroc(
    numeric: bool, feature: NDArray[np.float64], levels: NDArray[Any], codes: NDArray[np.int64], classes: int
) -> float:
    """Return a feature's own AUROC, of its worst class; a category is scored by the class's rate in its other rows."""
    worst = 1.0
    for k in range(classes if classes > 2 else 1):
        positive = codes == k
        if numeric:
            score = np.where(
                np.isnan(feature), np.nanmedian(feature) if (~np.isnan(feature)).any() else 0.0, feature
            )
        else:
            level = levels + 1
            hits = np.bincount(level, weights=positive)[level] - positive
            others = np.bincount(level)[level] - 1
            score = (hits + positive.mean()) / (others + 1)
        area = float(roc_auc_score(positive, score)) if 0 < positive.sum() < len(positive) else 0.5
        worst = min(worst, max(area, 1 - area) if numeric else area)
    return worst


def _same(name: str, target: str) -> Finding:
    message = (
        f"the input {name!r} equals the target {target!r}, or maps to it one to one: leave it out "
        "(data.drop_columns)"
    )
    return Finding("error", "equals target", name, message)


def _near(name: str, target: str, statistic: str) -> Finding:
    message = (
        f"the input {name!r} nearly predicts {target!r} by itself ({statistic}): "
        "make sure that it is known before the target is, or leave it out"
    )
    return Finding("warning", "near-perfect feature", name, message)
