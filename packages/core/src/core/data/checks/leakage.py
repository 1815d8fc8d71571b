"""Features that give the answer away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.labels import is_label_set, is_quantity
from core.data.types import Dataset, Finding
from core.data.coercion import to_categories, to_numbers

NEAR_PERFECT = 0.98
"""AUROC of a single feature from which it is suspected of being the answer in disguise."""
_SAMPLE = 20_000
"""About so many rows tell an AUROC well enough for a suspicion."""


def leaking_features(dataset: Dataset) -> Iterable[Finding]:
    """Find inputs that equal the target or stand for it one to one (error), or nearly tell it alone (warning)."""
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


def _quantity(dataset: Dataset, answer: NDArray[np.float64], target: str) -> Iterable[Finding]:
    for name in dataset.roles.numeric:
        feature = to_numbers(dataset.frame[name], name)
        both = ~np.isnan(feature)
        if both.sum() < 20 or np.ptp(feature[both]) == 0:
            continue
        ranks = pd.Series(feature[both]).rank().to_numpy(), pd.Series(answer[both]).rank().to_numpy()
        agreement = abs(float(np.corrcoef(*ranks)[0, 1]))
        if agreement > 1 - 1e-9:
            yield _same(name, target)
        elif agreement > 0.995:
            yield _near(name, target, f"rank correlation {agreement:.3f}")


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
    """Give a feature's own AUROC, of the class that it tells worst; categories score by their other rows' rate."""
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
        area = _auroc(score, positive)
        worst = min(worst, max(area, 1 - area) if numeric else area)
    return worst


def _auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney, 1947), ties counted half."""
    ranks = pd.Series(score).rank().to_numpy()
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return 0.5
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def _same(name: str, target: str) -> Finding:
    told = f"the input {name!r} is the target {target!r}, or stands for it one to one: leave it out (data.ignore)"
    return Finding("error", "equals target", name, told)


def _near(name: str, target: str, figure: str) -> Finding:
    told = (
        f"the input {name!r} nearly tells {target!r} by itself ({figure}): "
        "make sure that it is known before the answer is, or leave it out"
    )
    return Finding("warning", "near-perfect feature", name, told)
