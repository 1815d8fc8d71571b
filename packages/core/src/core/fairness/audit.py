"""The audit: each group against all others, with intervals that hold for all comparisons at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from numpy.typing import NDArray

from core.fairness.criteria import FALSE, FOUND, FairnessMetric, fairness_metrics
from core.fairness.simultaneous import differences, draw, fewest, ratios
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
    minimum: int,
    unit: str,
    intersections: bool = True,
) -> dict[str, Any]:
    """Compare groups on held-out rows and give the record's ``fairness`` section.

    ``weights``: blocks (r, N) of bootstrap counts. Differences have simultaneous intervals (see
    ``core.fairness.simultaneous``), and so, among themselves, have ratios; what is found is read from differences.
    Groups with fewer than ``minimum`` rows are not compared, and are named.
    """
    groups = dict(attributes(test, intersections))
    pairs, small = pairs_of(groups, minimum)
    rates = fairness_metrics(test)
    section: dict[str, Any] = {
        "confidence": confidence,
        "notions": {notion.name: notion.asks for notion in rates},
        "by_group": {
            name: _by_group(column, [n for n in rates if not (n.single and JOIN in name)], minimum)
            for name, column in groups.items()
        },
        "suppressed": small,
        "minimum": minimum,
        "method": (
            f"each group against all others, {unit}s resampled; {100 * confidence:g} % intervals that hold for all "
            "comparisons at once (largest studentised difference)"
        ),
    }
    units_N = unit_codes(test)
    lines = _lines(comparable(pairs, rates, units_N), weights, confidence)
    section["worst"] = _worst(section["by_group"], rates)
    section["equalised_odds"] = _odds(lines, {n.name: n.odds for n in rates})
    found = [line for line in lines if line["found"]]
    return {**section, **_told(found, lines, confidence, small), "comparisons": lines}


def unit_codes(p: Predictions) -> NDArray[np.int64]:
    """Number the unit of each row, (N,); rows without units each stand for themselves."""
    return np.arange(len(p)) if p.units is None else np.unique(p.units, return_inverse=True)[1]


def pairs_of(
    columns: Mapping[str, NDArray[np.str_]], minimum: int
) -> tuple[list[Pair], dict[str, list[str]]]:
    """Set each group that is large enough against all others, and name those that are not, by attribute."""
    pairs: list[Pair] = []
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
                pairs.append(Pair(attribute, name, kept[1] if two else "all others", inside))
    return pairs, small


def comparable(
    pairs: list[Pair], rates: list[FairnessMetric], units_N: NDArray[np.int64]
) -> list[tuple[Pair, FairnessMetric, int]]:
    """Choose the comparisons that have enough rows, with the units behind the smaller side.

    Single classes are not asked of pairs of attributes.
    """
    asked = [
        (p, n, fewest(p, n, units_N)) for p in pairs for n in rates if not (n.single and JOIN in p.attribute)
    ]
    return [(pair, notion, units) for pair, notion, units in asked if units]


def _by_group(
    groups: NDArray[np.str_], rates: list[FairnessMetric], minimum: int
) -> dict[str, dict[str, float | None]]:
    """Give each rate of each group that is large enough, with the widest difference and ratio between groups."""
    names, counts = np.unique(groups, return_counts=True)
    large = np.isin(groups, names[counts >= minimum])
    if not large.any():
        return {}
    above_NC, below_NC = (np.stack([getattr(n, part) for n in rates], axis=1) for part in ("above", "below"))

    def together(rows: NDArray[np.int64], _: NDArray[np.int64]) -> Array:
        below_C = below_NC[rows].sum(axis=0)
        unknown = np.full(len(rates), np.nan)
        figures: Array = np.divide(above_NC[rows].sum(axis=0), below_C, out=unknown, where=below_C > 0)
        return figures

    # All rates in one pass: MetricFrame takes milliseconds for each metric of each group.
    rows = np.flatnonzero(large)
    frame = MetricFrame(
        metrics=together, y_true=rows, y_pred=rows, sensitive_features=pd.Series(groups[large], name="group")
    )
    figures_GC = np.stack(list(frame.by_group))
    found: dict[str, dict[str, float | None]] = {}
    for c, notion in enumerate(rates):
        own = figures_GC[:, c][np.isfinite(figures_GC[:, c])]
        lowest, highest = (own.min(), own.max()) if len(own) else (np.nan, np.nan)
        share = notion.positive and highest > 0
        found[notion.name] = {
            **{
                str(name): _known(value)
                for name, value in zip(frame.by_group.index, figures_GC[:, c], strict=True)
            },
            "widest difference": _known(highest - lowest),
            "smallest ratio": _known(lowest / highest) if share else None,
        }
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _worst(by_group: Mapping[str, Any], rates: list[FairnessMetric]) -> dict[str, dict[str, Any]]:
    """Name the group of each attribute that is served worst, by the first notion that says what is better."""
    judged = next((n for n in rates if n.better), None)
    worst: dict[str, dict[str, Any]] = {}
    for attribute, figures in by_group.items():
        if judged is None or judged.name not in figures:
            continue
        own = {
            group: rate
            for group, rate in figures[judged.name].items()
            if group not in ("widest difference", "smallest ratio") and rate is not None
        }
        if own:
            group = min(own, key=lambda name: judged.better * own[name])
            worst[attribute] = {"group": group, "notion": judged.name, "rate": own[group]}
    return worst


def _lines(
    compared: list[tuple[Pair, FairnessMetric, int]], weights: Iterable[Array], confidence: float
) -> list[dict[str, Any]]:
    if not compared:
        return []
    drawn = draw(compared, weights)
    apart, times = differences(drawn, confidence), ratios(drawn, confidence)
    lines = []
    for k, (pair, notion, _) in enumerate(compared):
        if not apart.known[k]:
            continue
        low, high = float(apart.low_C[k]), float(apart.high_C[k])
        if notion.counts_rows:  # two shares are never further apart
            low, high = max(low, -1.0), min(high, 1.0)
        share = times.known[k] and notion.positive
        lines.append(
            {
                "attribute": pair.attribute,
                "group": pair.group,
                "against": pair.against,
                "notion": notion.name,
                "rate": float(drawn.inside_C[k]),
                "others": float(drawn.outside_C[k]),
                "difference": float(apart.value_C[k]),
                "low": low,
                "high": high,
                "ratio": float(times.value_C[k]) if share else None,
                "ratio_low": float(times.low_C[k]) if share else None,
                "ratio_high": float(times.high_C[k]) if share else None,
                "found": low > 0 or high < 0,
            }
        )
    return sorted(
        lines, key=lambda line: (not line["found"], JOIN in line["attribute"], -abs(line["difference"]))
    )


def _odds(lines: list[dict[str, Any]], parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give the widest gap of true and false positive rates of each comparison that has both.

    Where the intervals of all its parts hold, so does the one given: no further comparison is made.
    """
    together: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if parts[line["notion"]]:
            together.setdefault((line["attribute"], line["group"], line["against"]), []).append(line)
    return [
        {
            "attribute": attribute,
            "group": group,
            "against": against,
            "value": max(abs(line["difference"]) for line in own),
            "low": max(line["low"] if line["low"] > 0 else max(-line["high"], 0.0) for line in own),
            "high": max(max(-line["low"], line["high"]) for line in own),
            "found": any(line["found"] for line in own),
        }
        for (attribute, group, against), own in together.items()
        if {parts[line["notion"]] for line in own} == {FOUND, FALSE}
    ]


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
