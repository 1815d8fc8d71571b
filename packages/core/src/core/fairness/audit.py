"""The audit: each group against all others, with intervals that hold for all comparisons at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from numpy.typing import NDArray

from core.fairness.notions import Notion, notions
from core.targets.crossing import JOIN, attributes
from core.targets.types import Array, Predictions

FEWEST = 20
"""Rows that count for a rate (positives, for a true positive rate) below which a group is not compared by it."""


@dataclass(frozen=True)
class _Pair:
    """A group and those it is compared with."""

    attribute: str
    group: str
    against: str
    inside: Array
    outside: Array


def audit(
    test: Predictions,
    weights: Iterable[Array],
    confidence: float,
    minimum: int,
    unit: str,
    intersections: bool = True,
) -> dict[str, Any]:
    """Compare groups on held-out rows and give the record's ``fairness`` section.

    ``weights``: blocks (r, N) of bootstrap counts. Intervals are simultaneous: the studentised difference that is
    largest over all comparisons exceeds the same bound in ``1 - confidence`` of resamples (Westfall and Young 1993).
    Groups with fewer than ``minimum`` rows are not compared, and are named.
    """
    groups = dict(attributes(test, intersections))
    pairs, small = _pairs(groups, minimum)
    rates = notions(test)
    compared = [
        (pair, notion)
        for pair in pairs
        for notion in rates
        if min((pair.inside * (notion.below > 0)).sum(), (pair.outside * (notion.below > 0)).sum()) >= FEWEST
    ]
    section: dict[str, Any] = {
        "confidence": confidence,
        "notions": {notion.name: notion.asks for notion in rates},
        "by_group": {name: _by_group(column, rates, minimum) for name, column in groups.items()},
        "suppressed": small,
        "minimum": minimum,
        "method": (
            f"each group against all others, {unit}s resampled; {100 * confidence:g} % intervals that hold for all "
            "comparisons at once (largest studentised difference)"
        ),
    }
    lines = _lines(compared, weights, confidence)
    found = [line for line in lines if line["found"]]
    return {**section, **_told(found, lines, confidence, small), "comparisons": lines}


def _pairs(columns: Mapping[str, NDArray[np.str_]], minimum: int) -> tuple[list[_Pair], dict[str, list[str]]]:
    pairs: list[_Pair] = []
    small: dict[str, list[str]] = {}
    for attribute, groups in columns.items():
        names, counts = np.unique(groups, return_counts=True)
        kept = [str(name) for name, count in zip(names, counts, strict=True) if count >= minimum]
        left_out = [str(name) for name, count in zip(names, counts, strict=True) if count < minimum]
        if left_out:
            small[attribute] = left_out
        two = len(kept) == 2 and not left_out
        for name in kept[:1] if two else kept:
            inside = (groups == name).astype(np.float64)
            if 0 < inside.sum() < len(inside):
                pairs.append(_Pair(attribute, name, kept[1] if two else "all others", inside, 1 - inside))
    return pairs, small


def _by_group(
    groups: NDArray[np.str_], rates: list[Notion], minimum: int
) -> dict[str, dict[str, float | None]]:
    """Give each rate of each group that is large enough, with the widest difference and ratio between groups."""
    names, counts = np.unique(groups, return_counts=True)
    large = np.isin(groups, names[counts >= minimum])
    found: dict[str, dict[str, float | None]] = {}
    if not large.any():
        return found
    for notion in rates:
        frame = MetricFrame(
            metrics=_ratio,
            y_true=notion.below[large],
            y_pred=notion.above[large],
            sensitive_features=pd.Series(groups[large], name="group"),
        )
        figures = {str(name): _known(value) for name, value in frame.by_group.items()}
        found[notion.name] = {
            **figures,
            "widest difference": _known(frame.difference()),
            "smallest ratio": _known(frame.ratio()) if (notion.above >= 0).all() else None,
        }
    return found


def _ratio(below: Array, above: Array) -> float:
    total = float(np.sum(below))
    return float(np.sum(above)) / total if total else float("nan")


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _lines(
    compared: list[tuple[_Pair, Notion]], weights: Iterable[Array], confidence: float
) -> list[dict[str, Any]]:
    if not compared:
        return []
    columns_N4C = np.stack(
        [
            np.stack(
                [n.above * p.inside, n.below * p.inside, n.above * p.outside, n.below * p.outside], axis=1
            )
            for p, n in compared
        ],
        axis=2,
    )
    n, _, c = columns_N4C.shape
    flat = columns_N4C.reshape(n, 4 * c)

    def rates(weights_RN: Array) -> tuple[Array, Array]:
        sums = (weights_RN @ flat).reshape(len(weights_RN), 4, c)
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]

    inside_1C, outside_1C = rates(np.ones((1, n)))
    difference_C = (inside_1C - outside_1C)[0]
    drawn_RC = np.concatenate([np.subtract(*rates(block)) for block in weights])
    defined = np.isfinite(drawn_RC).all(axis=0)
    spread_C = np.where(defined, drawn_RC.std(axis=0, ddof=1), 0.0)
    varies = spread_C > 1e-12
    with np.errstate(invalid="ignore", divide="ignore"):
        studentised_RC = np.where(varies, np.abs(drawn_RC - difference_C) / spread_C, 0.0)
    bound = float(np.quantile(studentised_RC.max(axis=1), confidence))
    lines = []
    for k, (pair, notion) in enumerate(compared):
        if not varies[k]:
            continue
        low, high = difference_C[k] - bound * spread_C[k], difference_C[k] + bound * spread_C[k]
        lines.append(
            {
                "attribute": pair.attribute,
                "group": pair.group,
                "against": pair.against,
                "notion": notion.name,
                "rate": float(inside_1C[0, k]),
                "others": float(outside_1C[0, k]),
                "difference": float(difference_C[k]),
                "low": float(low),
                "high": float(high),
                "found": bool(low > 0 or high < 0),
            }
        )
    return sorted(
        lines, key=lambda line: (not line["found"], JOIN in line["attribute"], -abs(line["difference"]))
    )


def _told(
    found: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    confidence: float,
    small: Mapping[str, list[str]],
) -> dict[str, str]:
    unseen = sum(len(names) for names in small.values())
    rest = f" {unseen} groups are too small to compare." if unseen else ""
    if not lines:
        return {"headline": "Groups too small to compare", "detail": rest.strip()}
    many = f"{len(lines)} comparisons at {100 * confidence:g} % over all"
    if not found:
        widest = max(max(abs(line["low"]), abs(line["high"])) for line in lines)
        return {
            "headline": "No difference found",
            "detail": f"{many}; differences of up to {widest:.2g} can't be excluded.{rest}",
        }
    first = found[0]
    return {
        "headline": f"{len(found)} difference{'s' * (len(found) > 1)} found",
        "detail": (
            f"Widest: {first['notion']} {first['rate']:.2f} for {first['attribute']} {first['group']}, "
            f"{first['others']:.2f} for {first['against']}. {many}.{rest}"
        ),
    }
