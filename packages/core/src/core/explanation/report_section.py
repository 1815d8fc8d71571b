"""The record's ``explanation`` from a report: importance, and every test with bootstrap intervals over rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from core.config.section import Estimate
from core.explanation.section import (
    CheckedRows,
    ExplanationSection,
    FaithfulnessDisparity,
    FaithfulnessSection,
    FaithfulnessTest,
    FeatureImportance,
    GroupFaithfulness,
    GroupFaithfulnessTable,
    MethodComparison,
    SanityCheck,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explain_and_test import ExplanationReport
    from core.targets.types import Array

MOST_NAMES = 20
"""Names of columns or words in the record; there is room for every patch."""
MIN_WORD_ROWS = 5
"""Explained rows that a word must occur in to be named: a rarer one may name a person."""
SANITY_BAR = 0.5
"""Rank correlation with the permuted model below which explanations count as due to the weights."""
MIN_INTERVAL_ROWS = 3


def report_section(
    report: ExplanationReport,
    weights: Array,
    confidence: float,
    groups: Mapping[str, NDArray[np.str_]],
    large_groups: Mapping[str, set[str]],
    min_group_rows: int,
) -> ExplanationSection:
    """Return what a report measured, with intervals.

    ``weights`` (R, N): bootstrap counts of the rows. ``groups``: attribute -> (N,) names; ``large_groups``: attribute
    -> groups that are large enough in the test set; ``min_group_rows``: explained rows that a group needs.
    """
    bootstrap = _Bootstrap(weights, confidence)
    masker, faithful = report.masker, report.faithfulness
    sanity = bootstrap.mean(report.sanity)
    stability = None
    if report.stability is not None:
        stability = CheckedRows(
            **bootstrap.mean(report.stability).model_dump(), rows=_count_defined(report.stability)
        )
    gradients = report.attributions.gradients
    return ExplanationSection(
        method=report.method,
        rows=len(masker),
        feature_kind=masker.feature_kind,
        explained_output=report.explained.target.explained_output,
        confidence=confidence,
        importance=_importance(report, bootstrap),
        concentration=concentration(report.effects),
        min_word_rows=MIN_WORD_ROWS,
        faithfulness=_faithfulness(report, bootstrap),
        sanity=SanityCheck(
            **sanity.model_dump(),
            rows=_count_defined(report.sanity),
            passed=None if sanity.high is None else sanity.high < SANITY_BAR,
        ),
        stability=stability,
        by_group=_by_group(
            faithful.gains(), faithful.full_effect, groups, large_groups, min_group_rows, bootstrap
        ),
        comparison={
            name: MethodComparison(unavailable=found)
            if isinstance(found, str)
            else MethodComparison(**bootstrap.mean(found).model_dump())
            for name, found in report.comparison.items()
        },
        unassigned=None if gradients is None else gradients.unassigned,
        completeness_error=None if gradients is None else gradients.completeness_error,
    )


class _Bootstrap:
    """Statistics over rows with bootstrap intervals."""

    def __init__(self, weights: Array, confidence: float) -> None:
        self.weights = weights
        self.tail = 100 * (1 - confidence) / 2

    def mean(self, values: Array) -> Estimate:
        """Return the mean of the first rows' values, those that are NaN left out."""
        return self.ratio(values, np.ones(len(values)))

    def ratio(self, numerator: Array, denominator: Array) -> Estimate:
        """Return a ratio of sums over rows; null where it is undefined."""
        known = ~(np.isnan(numerator) | np.isnan(denominator))
        numerator, denominator = numerator[known], denominator[known]
        value = None
        if len(denominator) and denominator.sum() > 0:
            value = float(numerator.sum() / denominator.sum())
        if value is None or len(numerator) < MIN_INTERVAL_ROWS:
            return Estimate(value=value)
        samples = self.samples(numerator, denominator, known)
        low, high = (float(v) for v in np.nanpercentile(samples, [self.tail, 100 - self.tail]))
        return Estimate(value=value, low=low, high=high)

    def samples(self, numerator: Array, denominator: Array, known: NDArray[np.bool_]) -> Array:
        """Return the ratio on each resample, (R,); NaN where no known row was drawn."""
        drawn = self.weights[:, : len(known)][:, known]
        sums = drawn @ denominator
        return np.where(sums > 0, drawn @ numerator / np.where(sums > 0, sums, 1.0), np.nan)


def _faithfulness(report: ExplanationReport, bootstrap: _Bootstrap) -> FaithfulnessSection:
    found, full = report.faithfulness, report.faithfulness.full_effect
    tests = []
    for gain, area, random in (
        (found.deletion_gain(), found.deletion, found.random),
        (found.insertion_gain(), found.insertion, full - found.random),
    ):
        estimate = bootstrap.ratio(gain, full)
        tests.append(
            FaithfulnessTest(
                **estimate.model_dump(),
                above_random=estimate.low is not None and estimate.low > 0,
                ratio_to_random=bootstrap.ratio(area, random),
                random=bootstrap.ratio(random, full),
            )
        )
    deletion, insertion = tests
    return FaithfulnessSection(
        deletion=deletion,
        insertion=insertion,
        above_random=deletion.above_random and insertion.above_random,
    )


def _importance(report: ExplanationReport, bootstrap: _Bootstrap) -> list[FeatureImportance]:
    """Rank features by their mean absolute effect over all rows; a feature that a row lacks counts 0 there."""
    masker = report.masker
    n = len(masker)
    totals: dict[str, Array] = {}
    present: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for row in range(n):
        here: dict[str, float] = {}
        names = masker.feature_names(row)
        kinds.update(zip(names, masker.feature_kinds(), strict=True))
        for name, effect in zip(names, report.effects[row], strict=True):
            if not np.isnan(effect):
                here[name] = here.get(name, 0.0) + float(effect)
        for name, effect in here.items():
            totals.setdefault(name, np.zeros(n))[row] = abs(effect)
            present[name] = present.get(name, 0) + 1
    kept = [name for name in totals if kinds[name] != "word" or present[name] >= MIN_WORD_ROWS]
    if masker.feature_kind not in ("patch", "segment"):
        kept = sorted(kept, key=lambda name: -totals[name].mean())[:MOST_NAMES]
    found = []
    for name in kept:
        estimate = bootstrap.mean(totals[name])
        found.append(
            FeatureImportance(
                name=name,
                kind=kinds[name],
                mean_abs=float(totals[name].mean()),
                low=estimate.low,
                high=estimate.high,
            )
        )
    return found


def concentration(effects: Array) -> float | None:
    """Compute the share of the absolute effect that the strongest quarter of a row's features carries, mean over rows.

    ``effects`` (N, P); NaN where a row has no such feature. None where there are no effects.

    >>> concentration(np.array([[3.0, 1.0, 0.0, np.nan, 0.0]]))
    0.75
    """
    shares = []
    for row in effects:
        sizes = np.sort(np.abs(row[~np.isnan(row)]))[::-1]
        if sizes.sum() > 0:
            shares.append(sizes[: -(-len(sizes) // 4)].sum() / sizes.sum())
    return float(np.mean(shares)) if shares else None


def _by_group(
    gains: Array,
    full: Array,
    groups: Mapping[str, NDArray[np.str_]],
    large_groups: Mapping[str, set[str]],
    min_group_rows: int,
    bootstrap: _Bootstrap,
) -> dict[str, GroupFaithfulnessTable]:
    """Compare how far explanations are above random in each group; the disparity's interval allows for all pairs."""
    found: dict[str, GroupFaithfulnessTable] = {}
    for attribute, names in groups.items():
        shown: dict[str, GroupFaithfulness] = {}
        values: dict[str, float] = {}
        samples: dict[str, Array] = {}
        suppressed = []
        for name in sorted(set(names.tolist())):
            known = (names == name) & ~np.isnan(gains)
            if known.sum() < min_group_rows or name not in large_groups[attribute]:
                suppressed.append(name)
                continue
            inside = np.where(known, 1.0, np.nan)
            estimate = bootstrap.ratio(gains * inside, full * inside)
            shown[name] = GroupFaithfulness(**estimate.model_dump(), rows=int(known.sum()))
            if estimate.value is not None:
                values[name] = estimate.value
                samples[name] = bootstrap.samples(gains[known], full[known], known)
        pairs = list(combinations(values, 2))
        disparity = None
        if pairs:
            a, b = max(pairs, key=lambda p: abs(values[p[0]] - values[p[1]]))
            if values[a] < values[b]:
                a, b = b, a
            apart = values[a] - values[b]
            quantile = NormalDist().inv_cdf(1 - bootstrap.tail / 100 / len(pairs))
            half = quantile * float(np.nanstd(samples[a] - samples[b]))
            disparity = FaithfulnessDisparity(
                value=apart, low=apart - half, high=apart + half, between=[a, b]
            )
        found[attribute] = GroupFaithfulnessTable(groups=shown, suppressed=suppressed, disparity=disparity)
    return found


def _count_defined(values: Array) -> int:
    return int((~np.isnan(values)).sum())
