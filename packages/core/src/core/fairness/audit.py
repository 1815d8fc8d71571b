"""The audit: each group against all others, with intervals that hold for all comparisons at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from numpy.typing import NDArray

from core.config.section import Estimate
from core.fairness.section import Comparison, EqualizedOdds, FairnessSection, GroupRates, WorstGroup
from core.fairness.simultaneous import difference_intervals, ratio_intervals, resample_rates, smaller_side
from core.targets.fairness_metrics import FPR, TPR, FairnessMetric
from core.targets.intersections import JOIN, attributes
from core.targets.types import Array, Predictions


@dataclass(frozen=True)
class Pair:
    """A group and those it is compared with."""

    attribute: str
    group: str
    against: str
    inside: Array
    """(N,) 1 for rows of the group, 0 for those it is compared with."""


def audit(
    test: Predictions,
    weights: Iterable[Array],
    confidence: float,
    min_group_rows: int,
    unit: str,
    intersections: bool = True,
) -> FairnessSection:
    """Compare groups on held-out rows by the fairness metrics of the target.

    ``weights``: blocks (r, N) of bootstrap counts, whose resampled ``unit`` is named. Differences have simultaneous
    intervals (see ``core.fairness.simultaneous``), and so, among themselves, have ratios; ``found`` is read from
    differences. Groups with fewer than ``min_group_rows`` rows are suppressed: named, not compared.
    """
    groups = dict(attributes(test, intersections))
    pairs, suppressed = pairs_of(groups, min_group_rows)
    metrics = test.type.fairness_metrics(test)
    by_group = {
        name: _by_group(column, [m for m in metrics if not (m.per_class and JOIN in name)], min_group_rows)
        for name, column in groups.items()
    }
    comparisons = _comparisons(comparable(pairs, metrics, unit_codes(test)), weights, confidence)
    return FairnessSection(
        confidence=confidence,
        unit=unit,
        min_group_rows=min_group_rows,
        metrics={metric.name: metric.criterion for metric in metrics},
        by_group=by_group,
        suppressed=suppressed,
        worst_off=_worst_off(by_group, metrics),
        equalized_odds=_equalized_odds(comparisons, {m.name: m.odds for m in metrics}),
        comparisons=comparisons,
    )


def unit_codes(p: Predictions) -> NDArray[np.int64]:
    """Return the unit number of each row, (N,); rows without units each stand for themselves."""
    return np.arange(len(p)) if p.units is None else np.unique(p.units, return_inverse=True)[1]


def pairs_of(
    columns: Mapping[str, NDArray[np.str_]], min_rows: int
) -> tuple[list[Pair], dict[str, list[str]]]:
    """Return each group that is large enough against all others, and by attribute those that are not."""
    pairs: list[Pair] = []
    small: dict[str, list[str]] = {}
    for attribute, groups in columns.items():
        names, counts = np.unique(groups, return_counts=True)
        kept = [str(name) for name, count in zip(names, counts, strict=True) if count >= min_rows]
        left_out = [str(name) for name, count in zip(names, counts, strict=True) if count < min_rows]
        if left_out:
            small[attribute] = left_out
        two = len(kept) == 2 and not left_out
        for name in kept[:1] if two else kept:
            inside = (groups == name).astype(np.float64)
            if 0 < inside.sum() < len(inside):
                pairs.append(Pair(attribute, name, kept[1] if two else "all others", inside))
    return pairs, small


def comparable(
    pairs: list[Pair], metrics: list[FairnessMetric], units_N: NDArray[np.int64]
) -> list[tuple[Pair, FairnessMetric, int]]:
    """Return the comparisons that have enough rows, with the units behind the smaller side.

    Metrics of single classes are not compared for pairs of attributes.
    """
    candidates = [
        (p, m, smaller_side(p, m, units_N))
        for p in pairs
        for m in metrics
        if not (m.per_class and JOIN in p.attribute)
    ]
    return [(pair, metric, units) for pair, metric, units in candidates if units]


def _by_group(
    groups: NDArray[np.str_], metrics: list[FairnessMetric], min_rows: int
) -> dict[str, GroupRates]:
    """Compute each rate of each group that is large enough, with the largest difference and smallest ratio."""
    names, counts = np.unique(groups, return_counts=True)
    large = np.isin(groups, names[counts >= min_rows])
    if not large.any():
        return {}
    numerator_NC, denominator_NC = (
        np.stack([getattr(m, part) for m in metrics], axis=1) for part in ("numerator", "denominator")
    )

    def rates(rows: NDArray[np.int64], _: NDArray[np.int64]) -> Array:
        denominator_C = denominator_NC[rows].sum(axis=0)
        unknown = np.full(len(metrics), np.nan)
        found: Array = np.divide(
            numerator_NC[rows].sum(axis=0), denominator_C, out=unknown, where=denominator_C > 0
        )
        return found

    # All rates in one pass: MetricFrame takes milliseconds for each metric of each group.
    rows = np.flatnonzero(large)
    frame = MetricFrame(
        metrics=rates, y_true=rows, y_pred=rows, sensitive_features=pd.Series(groups[large], name="group")
    )
    rates_GC = np.stack(list(frame.by_group))
    found: dict[str, GroupRates] = {}
    for c, metric in enumerate(metrics):
        own = rates_GC[:, c][np.isfinite(rates_GC[:, c])]
        lowest, highest = (own.min(), own.max()) if len(own) else (np.nan, np.nan)
        has_ratio = metric.positive and highest > 0
        found[metric.name] = GroupRates(
            groups={
                str(name): _known(value)
                for name, value in zip(frame.by_group.index, rates_GC[:, c], strict=True)
            },
            largest_difference=_known(highest - lowest),
            smallest_ratio=_known(lowest / highest) if has_ratio else None,
        )
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _worst_off(
    by_group: Mapping[str, Mapping[str, GroupRates]], metrics: list[FairnessMetric]
) -> dict[str, WorstGroup]:
    """Return the worst-off group of each attribute, by the first metric that has a better direction."""
    judged = next((m for m in metrics if m.better), None)
    worst: dict[str, WorstGroup] = {}
    for attribute, rates in by_group.items():
        if judged is None or judged.name not in rates:
            continue
        own = {group: rate for group, rate in rates[judged.name].groups.items() if rate is not None}
        if own:
            group = min(own, key=lambda name: judged.better * own[name])
            worst[attribute] = WorstGroup(group=group, metric=judged.name, rate=own[group])
    return worst


def _comparisons(
    compared: list[tuple[Pair, FairnessMetric, int]], weights: Iterable[Array], confidence: float
) -> list[Comparison]:
    if not compared:
        return []
    resampled = resample_rates(compared, weights)
    differences, ratios = (
        difference_intervals(resampled, confidence),
        ratio_intervals(resampled, confidence),
    )
    found = []
    for k, (pair, metric, _) in enumerate(compared):
        if not differences.known[k]:
            continue
        low, high = float(differences.low_C[k]), float(differences.high_C[k])
        if metric.counts_rows:  # two shares are never further apart
            low, high = max(low, -1.0), min(high, 1.0)
        ratio = None
        if ratios.known[k] and metric.positive:
            ratio = Estimate(
                value=float(ratios.value_C[k]), low=float(ratios.low_C[k]), high=float(ratios.high_C[k])
            )
        found.append(
            Comparison(
                attribute=pair.attribute,
                group=pair.group,
                against=pair.against,
                metric=metric.name,
                rate=float(resampled.inside_C[k]),
                others=float(resampled.outside_C[k]),
                difference=Estimate(value=float(differences.value_C[k]), low=low, high=high),
                ratio=ratio,
                found=low > 0 or high < 0,
            )
        )
    return sorted(found, key=lambda c: (not c.found, JOIN in c.attribute, -abs(c.difference.value or 0.0)))


def _equalized_odds(comparisons: list[Comparison], parts: Mapping[str, str]) -> list[EqualizedOdds]:
    """Return the larger disparity of true and false positive rates of each comparison that has both.

    Where the intervals of all its parts hold, so does the one returned: no further comparison is made.
    """
    together: dict[tuple[str, str, str], list[Comparison]] = {}
    for comparison in comparisons:
        if parts[comparison.metric]:
            key = (comparison.attribute, comparison.group, comparison.against)
            together.setdefault(key, []).append(comparison)
    found = []
    for (attribute, group, against), own in together.items():
        if {parts[c.metric] for c in own} != {TPR, FPR}:
            continue
        ends = [_ends(c.difference) for c in own]
        found.append(
            EqualizedOdds(
                attribute=attribute,
                group=group,
                against=against,
                value=max(abs(value) for value, _, _ in ends),
                low=max(low if low > 0 else max(-high, 0.0) for _, low, high in ends),
                high=max(max(-low, high) for _, low, high in ends),
                found=any(c.found for c in own),
            )
        )
    return found


def _ends(difference: Estimate) -> tuple[float, float, float]:
    assert difference.value is not None
    assert difference.low is not None
    assert difference.high is not None
    return difference.value, difference.low, difference.high
