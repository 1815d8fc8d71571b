"""The record's ``uncertainty``: how often sets cover, how large they are, and what deferring brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from core.config.section import Estimate
from core.evaluation.conformal import Calibration, Coverage, PixelScores, coverage
from core.evaluation.intervals import binomial_interval, interval, resampled_weights
from core.evaluation.section import MetricEstimate
from core.evaluation.selective import bin_by_confidence, least_aurc, risk_curve, risks_at_coverages
from core.oversight.section import (
    ClassCoverage,
    CoverageRisk,
    Deferral,
    GroupDeferral,
    GroupSetQuality,
    Guarantee,
    RiskCoverage,
    UncertaintyMeasures,
    UncertaintySection,
)
from core.targets.bootstrap_metrics import ratio
from core.targets.intersections import attributes
from core.targets.types import Array, Predictions

if TYPE_CHECKING:
    from core.evaluation.config import StandardEvaluation
    from core.oversight.decision_rule import DecisionRule
    from core.targets.prediction_sets import CalibrationScores


@dataclass(frozen=True)
class UncertaintyTerms:
    """What uncertainty is measured against."""

    alpha: float
    cost: float
    """Of a human's decision, a wrong prediction costing 1."""
    error_unit: float
    """Numbers: the error that counts 1."""
    by_unit: bool
    """The quantiles count units, so coverage does too."""
    standard_error: float
    """Of the coverage, from the chance of the calibration set."""


def terms_of(section: UncertaintySection) -> UncertaintyTerms:
    """Return the terms that a record's ``uncertainty`` was measured against."""
    return UncertaintyTerms(
        section.alpha,
        section.threshold.cost_of_deferral,
        section.threshold.error_unit,
        section.calibration.units is not None,
        section.calibration.standard_error,
    )


def terms(calibration: Calibration, alpha: float, cost: float, error_unit: float) -> UncertaintyTerms:
    """Return the terms of a fresh calibration."""
    return UncertaintyTerms(
        alpha, cost, error_unit, calibration.units is not None, calibration.standard_error
    )


def measure(
    rule: DecisionRule,
    part: Predictions,
    against: UncertaintyTerms,
    config: StandardEvaluation,
    seed: int,
    pixels: PixelScores | None = None,
) -> UncertaintyMeasures:
    """Measure prediction sets and deferral on held-out rows.

    Intervals resample units where the rows have them, else rows; the coverage of single rows gets Clopper and Pearson's
    exact one. ``pixels``: of dense kinds, scored pixels of some of the images, on which sets are measured.
    """
    scored = part if pixels is None else pixels.part
    scores = part.type.calibration_scores(part, rule.conformal) if pixels is None else pixels.scores
    found = coverage(rule, scored, scores, pixels)
    names = dict(attributes(part, pairs=False))
    by_group: dict[str, dict[str, GroupSetQuality]] = {}
    deferral_by_group: dict[str, dict[str, GroupDeferral]] = {}
    for attribute in names:
        sets_by: dict[str, GroupSetQuality] = {}
        deferred_by: dict[str, GroupDeferral] = {}
        for name in sorted(set(names[attribute].tolist())):
            inside = scored.groups[attribute] == name
            if inside.sum() >= config.min_group_rows or (pixels is not None and inside.sum() >= 10):
                rows = np.flatnonzero(inside)
                own = _sets(scored.take(rows), found.take(rows), against, config, seed, brief=True)
                sets_by[name] = GroupSetQuality(rows=len(rows), **own)
            rows = np.flatnonzero(names[attribute] == name)
            if len(rows) >= config.min_group_rows:
                estimates = _deferred(rule, part.take(rows), against, config, seed, brief=True)
                deferred_by[name] = GroupDeferral(rows=len(rows), **estimates)
        by_group[attribute], deferral_by_group[attribute] = sets_by, deferred_by
    return UncertaintyMeasures(
        rows=len(scored),
        by_class=_by_class(scored, scores, found, config, seed),
        by_group=by_group,
        deferral=Deferral(**_deferred(rule, part, against, config, seed), by_group=deferral_by_group),
        risk_coverage=_risk_coverage(rule, part, against, config, seed),
        **_sets(scored, found, against, config, seed),
    )


def _by_class(
    part: Predictions, scores: CalibrationScores, found: Coverage, config: StandardEvaluation, seed: int
) -> dict[str, ClassCoverage]:
    """Return each true class's coverage, where enough rows have it."""
    n, classes = len(part), len(part.classes)
    if not classes:
        return {}
    place = scores.row * classes + scores.code
    above, below = (
        np.bincount(place, counts, n * classes).reshape(n, classes).astype(np.float64)
        for counts in (found.hit, np.ones(len(place)))
    )
    shown = np.flatnonzero((below > 0).sum(axis=0) >= min(config.min_group_rows, 20))
    if not len(shown):
        return {}
    columns = np.column_stack([above[:, shown], below[:, shown]])

    def shares(sums: Array) -> Array:
        return ratio(sums[:, : len(shown)], sums[:, len(shown) :])

    point = shares(columns.sum(axis=0, keepdims=True))[0]
    samples = _resampled(part, shares, columns, config.resamples_slow, seed)
    return {
        part.classes[k]: ClassCoverage(
            labels=int(below[:, k].sum()),
            coverage=_estimate(interval(point[j], samples[:, j], config.confidence)),
        )
        for j, k in enumerate(shown)
    }


def _resampled(
    part: Predictions,
    combine: Callable[[Array], Array],
    columns_NC: Array,
    resamples: int,
    seed: int,
) -> Array:
    blocks = resampled_weights(len(part), part.units, resamples, seed)
    return np.concatenate([combine(weights @ columns_NC) for weights in blocks])


def _sets(
    part: Predictions,
    found: Coverage,
    against: UncertaintyTerms,
    config: StandardEvaluation,
    seed: int,
    brief: bool = False,
) -> dict[str, Any]:
    """Return the fields of a ``SetQuality``."""
    weight = _weights(part) if against.by_unit else np.ones(len(part))
    # a row without a label to cover (none applies) misses none: that is how the quantiles count it
    hit, exact = (np.nan_to_num(each, nan=1.0) for each in (found.covered, found.exact))
    single = np.zeros(len(part)) if found.single is None else found.single
    columns = np.column_stack([np.ones(len(part)), weight * hit, weight * exact, weight, found.size, single])

    def shares(sums: Array) -> Array:
        return np.column_stack(
            [ratio(sums[:, 1], sums[:, 3]), ratio(sums[:, 2], sums[:, 3]), ratio(sums[:, 4], sums[:, 0]),
             ratio(sums[:, 5], sums[:, 0])]
        )  # fmt: skip

    point = shares(columns.sum(axis=0, keepdims=True))[0]
    resamples = config.resamples_slow if brief else config.resamples
    samples = _resampled(part, shares, columns, resamples, seed)
    covered = _estimate(interval(point[0], samples[:, 0], config.confidence))
    if part.units is None and np.isin(hit, (0, 1)).all():
        low, high = binomial_interval(int(hit.sum()), len(part), config.confidence)
        covered = Estimate(value=float(point[0]), low=low, high=high)
    kept: dict[str, Any] = {
        "coverage": covered,
        "size": _estimate(interval(point[2], samples[:, 2], config.confidence)),
    }
    if found.single is not None:
        kept["single"] = _estimate(interval(point[3], samples[:, 3], config.confidence))
    # By the quantiles alone, before the likeliest class joins, coverage is 1 - alpha up to the chance of both sets:
    # ``within``. What is guaranteed of the sets as they are served is at least that: ``holds``.
    chance = against.alpha * (1 - against.alpha) / len(part) if part.units is None else 0.0
    error = float(np.sqrt(max(samples[:, 1].var(), chance) + against.standard_error**2))
    half = float(norm.ppf((1 + config.confidence) / 2)) * error
    kept["guarantee"] = Guarantee(
        nominal=1 - against.alpha,
        value=float(point[1]),
        low=float(point[1] - half),
        high=float(point[1] + half),
        within=bool(abs(point[1] - (1 - against.alpha)) <= half),
        holds=bool(point[0] + half >= 1 - against.alpha),
    )
    return kept


def _weights(part: Predictions) -> Array:
    """Return weights of rows under which every unit counts once."""
    if part.units is None:
        return np.ones(len(part))
    code = np.unique(part.units, return_inverse=True)[1]
    return np.asarray(1.0 / np.bincount(code)[code])


def _deferred(
    rule: DecisionRule,
    part: Predictions,
    against: UncertaintyTerms,
    config: StandardEvaluation,
    seed: int,
    brief: bool = False,
) -> dict[str, Estimate]:
    """Return the fields of a ``Deferral``; those of a ``GroupDeferral`` where brief."""
    sure = rule.confidence(part.scores, part.labels, part.sure)
    loss = part.type.row_losses(part, against.error_unit)
    kept = (sure >= rule.threshold).astype(np.float64)
    columns = np.column_stack([np.ones(len(part)), kept, loss * kept, loss, loss * (1 - kept)])

    def costs(sums: Array) -> Array:
        all_, own, lost, whole, rest = sums.T
        with_human = (lost + against.cost * (all_ - own)) / all_
        return np.column_stack(
            [own / all_, 1 - own / all_, ratio(lost, own), ratio(rest, all_ - own), whole / all_, with_human,
             whole / all_ - with_human]
        )  # fmt: skip

    names = ("coverage", "deferred", "risk_decided", "risk_deferred", "cost_without", "cost", "saved")
    point = costs(columns.sum(axis=0, keepdims=True))[0]
    samples = _resampled(part, costs, columns, config.resamples_slow if brief else config.resamples, seed)
    shown = ("deferred", "risk_decided", "cost_without") if brief else names
    return {
        name: _estimate(interval(point[k], samples[:, k], config.confidence))
        for k, name in enumerate(names)
        if name in shown
    }


def _risk_coverage(
    rule: DecisionRule, part: Predictions, against: UncertaintyTerms, config: StandardEvaluation, seed: int
) -> RiskCoverage | None:
    """Return the risk-coverage curve; None where all predictions are equally confident: there is no order."""
    if not rule.type.confidence_varies(rule.method):
        return None
    sure = rule.confidence(part.scores, part.labels, part.sure)
    loss = part.type.row_losses(part, against.error_unit)
    by_bin = bin_by_confidence(sure, loss)
    kept, risk, area = risk_curve(*by_bin(np.ones((1, len(part)))))
    areas = np.concatenate(
        [
            risk_curve(*by_bin(weights))[2]
            for weights in resampled_weights(len(part), part.units, config.resamples_slow, seed)
        ]
    )
    return RiskCoverage(
        aurc=_estimate(interval(area.item(), areas, config.confidence)),
        excess_aurc=area.item() - least_aurc(float(loss.mean())) if loss.max() <= 1 else None,
        usual=[CoverageRisk.model_validate(point) for point in risks_at_coverages(kept[0], risk[0])],
        points=_thinned(kept[0], risk[0]),
    )


def _thinned(coverage: Array, risk: Array) -> list[list[float]]:
    """Keep the curve's points where coverage moves by half a hundredth or more, and the last."""
    points: list[list[float]] = []
    for x, y in zip(coverage.tolist(), risk.tolist(), strict=True):
        if np.isfinite(y) and (not points or x >= points[-1][0] + 0.005 or x >= 1.0):
            points.append([round(x, 5), round(y, 6)])
    return points


def _estimate(metric: MetricEstimate) -> Estimate:
    return Estimate(value=metric.value, low=metric.low, high=metric.high)
