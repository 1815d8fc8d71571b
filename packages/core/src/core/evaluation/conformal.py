"""Conformal prediction: quantiles from validation that make sets and intervals cover, and their coverage on test.

**Guarantee.** Let L_u be the share of unit u's labels (rows; pixels of an image; labels that apply to a row)
whose nonconformity is above a quantile. Take the least q with (sum of L_u(q) over n calibration units + 1) / (n + 1)
<= alpha. Then the set of a random label of a new unit misses it with probability of at most alpha, if the
calibration units and the new one are exchangeable (conformal risk control: Angelopoulos et al. 2024, arXiv:2208.02814;
for rows of units also Lee, Barber and Willett 2023, arXiv:2306.06342). With single rows as units this is split
conformal's ceil((n + 1)(1 - alpha))-th smallest score (Papadopoulos et al. 2002; Lei et al. 2018). Of images, a pixel
at random is covered, not every pixel at once.

**Calibration set.** The whole validation set. It has also chosen the epoch, one or two numbers of recalibration
and the thresholds, so its rows are not quite exchangeable with new ones. Choosing among E epochs moves coverage by at
most about sqrt(log(2 E) / (2 n)), and usually far less (Yang and Kuchibhotla 2025, arXiv:2104.13871). Half the set
kept aside would cost every other choice half its rows and make the quantiles themselves 1.4 times as variable. So the
guarantee is not taken on trust: coverage is measured on the test set, which chose nothing, and ``holds`` says whether
it falls short by more than the chance of both sets explains.

Too few units for any quantile at this alpha (n + 1 < 1 / alpha): rows stand in for units, and nothing is guaranteed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.dense_predictions import iter_feature_grid
from core.oversight.decision_rule import ConformalQuantiles, DecisionRule
from core.targets.prediction_sets import CalibrationScores, PixelRegion, Region, ResidualScale, link
from core.targets.types import Array, Flags, Predictions

if TYPE_CHECKING:
    import pandas as pd

    from core.targets.scorer import Scorer

SCALE_STEPS = 5
"""Steps of the residual scale over the predicted value (method normalized)."""
MIN_SCALE = 0.1
"""Least residual scale, as a share of the mean one: no interval shrinks to nothing."""


@dataclass(frozen=True)
class PixelScores:
    """Scored pixels of some images."""

    part: Predictions
    """Those images."""
    scores: CalibrationScores
    probabilities: tuple[Array, ...]
    """Of each image, those (K, places) at its places, to count how many classes fit."""

    def region(self, rule: DecisionRule) -> Region:
        """Return the sets of classes of each place."""
        return PixelRegion.of(self.probabilities, rule.quantiles.of(len(self.part), self.part.groups))


def score_pixels(
    scorer: Scorer, frame: pd.DataFrame, part: Predictions, rows: int, seed: int, use: str
) -> PixelScores:
    """Compute nonconformity at the pixels of up to ``rows`` images of a set, drawn at random."""
    rng = np.random.default_rng(derive_seed(seed, "conformal pixels", use))
    chosen = np.sort(rng.permutation(len(part))[:rows])
    score, code, joined, sizes, probabilities = [], [], [], [], []
    for found, _, truth in iter_feature_grid(scorer, frame, part.targets, chosen):
        for own, true in zip(found, truth, strict=True):
            flat, codes = own.reshape(len(own), -1), true.reshape(-1).astype(np.int64)
            known = np.flatnonzero(codes < len(own))
            probability = flat[codes[known], known]
            score.append(1.0 - probability)
            code.append(codes[known])
            joined.append(probability >= flat[:, known].max(axis=0))
            sizes.append(len(known))
            probabilities.append(flat)
    row = np.repeat(np.arange(len(chosen)), sizes)
    scores = CalibrationScores(
        np.concatenate(score), row, np.concatenate(code), np.concatenate(joined), len(chosen)
    )
    return PixelScores(part.take(chosen), scores, tuple(probabilities))


def conformal_quantile(score: Array, unit: NDArray[np.int64], units: int, alpha: float) -> float:
    """Compute the least quantile that misses at most ``alpha``: see the module; infinite for too few units.

    score, unit: (J,) each label's nonconformity and its unit of 0 .. units - 1; a unit without labels misses none.

    >>> conformal_quantile(np.array([0.1, 0.2, 0.3, 0.4]), np.arange(4), 4, 0.2)
    0.4
    """
    allowed = alpha * (units + 1) - 1 + 1e-9
    if allowed < 0:
        return float("inf")
    if not len(score):
        return float("-inf")
    weight = 1.0 / np.bincount(unit, minlength=units)[unit]
    order = np.argsort(score, kind="stable")
    missed = weight.sum() - np.cumsum(weight[order])
    return float(score[order][int(np.argmax(missed <= allowed))])


def has_enough_units(units: int, alpha: float) -> bool:
    """Return whether so many calibration units give a quantile that is not infinite."""
    return alpha * (units + 1) - 1 + 1e-9 >= 0


@dataclass(frozen=True)
class Calibration:
    """Conformal quantiles and what they rest on."""

    rule: DecisionRule
    rows: int
    units: int | None
    """Units that the quantiles count; None: rows."""
    labels: int
    """Rows, pixels or labels that apply."""
    standard_error: float
    """Of the coverage, from the chance of the calibration set."""
    too_few_units: int | None = None
    """Units that were too few, so that rows stand in for them and nothing is guaranteed; else None."""
    common_quantile: list[str] = field(default_factory=list)
    """Groups or classes with too few units for a quantile of their own."""


def calibrate(
    rule: DecisionRule,
    validation: Predictions,
    alpha: float,
    mondrian: str,
    min_group_units: int,
    seed: int,
    pixels: PixelScores | None = None,
) -> Calibration:
    """Compute the quantiles of ``rule.method`` on validation.

    Groups or classes with fewer than ``min_group_units`` share one. ``pixels``: of dense kinds, scored pixels of
    validation.
    """
    part = validation if pixels is None else pixels.part
    too_few_units = None
    common: list[str] = []
    if rule.method == "normalized":
        fitted, kept = _halves(part, seed)
        rule = replace(rule, residual_scale=fit_residual_scale(part.take(fitted), rule.log))
        part = part.take(kept)
    scores = part.type.calibration_scores(part, rule.conformal) if pixels is None else pixels.scores
    unit, units = _units(part)
    by_unit = part.units is not None
    if by_unit and not has_enough_units(units, alpha):
        too_few_units = units  # rows stand in for them, and nothing is guaranteed
        unit, units, by_unit = np.arange(len(part)), len(part), False
    overall = conformal_quantile(scores.score, unit[scores.row], units, alpha)
    quantiles = ConformalQuantiles(overall)
    if mondrian == "groups":
        quantiles, common = _by_group(scores, unit, part, overall, alpha, min_group_units)
    elif mondrian == "classes":
        quantiles, common = _by_class(scores, unit, part.classes, overall, alpha, min_group_units)
    rule = replace(rule, quantiles=quantiles)
    above = ~within(rule, part, scores)
    missed = np.bincount(unit[scores.row], above, units) / np.maximum(
        np.bincount(unit[scores.row], minlength=units), 1
    )
    return Calibration(
        rule,
        len(part),
        units if by_unit else None,
        len(scores.score),
        float(missed.std() / np.sqrt(max(units, 1))),
        too_few_units,
        common,
    )


def _units(part: Predictions) -> tuple[NDArray[np.int64], int]:
    if part.units is None:
        return np.arange(len(part)), len(part)
    unit = np.unique(part.units, return_inverse=True)[1]
    return unit, int(unit.max()) + 1


def _renumbered(unit: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    names, code = np.unique(unit, return_inverse=True)
    return code, len(names)


def _by_group(
    scores: CalibrationScores,
    unit: NDArray[np.int64],
    part: Predictions,
    overall: float,
    alpha: float,
    min_group_units: int,
) -> tuple[ConformalQuantiles, list[str]]:
    quantiles: dict[str, dict[str, float]] = {}
    common = []
    for attribute, names in part.groups.items():
        quantiles[attribute] = {}
        for name in sorted(set(names.tolist())):
            inside = names == name
            code, units = _renumbered(unit[inside])
            if units < min_group_units:
                common.append(f"{attribute} {name}")
                continue
            own = scores.take(inside)
            quantiles[attribute][name] = conformal_quantile(own.score, code[own.row], units, alpha)
    return ConformalQuantiles(overall, quantiles), common


def _by_class(
    scores: CalibrationScores,
    unit: NDArray[np.int64],
    classes: tuple[str, ...],
    overall: float,
    alpha: float,
    min_group_units: int,
) -> tuple[ConformalQuantiles, list[str]]:
    quantiles, common = [], []
    for k, name in enumerate(classes):
        inside = scores.code == k
        code, units = _renumbered(unit[scores.row[inside]])
        if units < min_group_units:
            common.append(name)
            quantiles.append(overall)
            continue
        quantiles.append(conformal_quantile(scores.score[inside], code, units, alpha))
    return ConformalQuantiles(overall, {}, tuple(quantiles)), common


def _halves(part: Predictions, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    unit, units = _units(part)
    rng = np.random.default_rng(derive_seed(seed, "conformal halves"))
    first = rng.permutation(units) < units // 2
    return np.flatnonzero(first[unit]), np.flatnonzero(~first[unit])


def fit_residual_scale(part: Predictions, log: bool) -> ResidualScale:
    """Fit the mean absolute residual by fifths of the predicted value, on the learnt scale."""
    predicted = link(part.scores[:, 0], log)
    residual = np.abs(link(part.targets, log) - predicted)
    edges = np.unique(np.quantile(predicted, np.arange(1, SCALE_STEPS) / SCALE_STEPS))
    step = np.searchsorted(edges, predicted, side="right")
    counts = np.bincount(step, minlength=len(edges) + 1)
    sums = np.bincount(step, residual, minlength=len(edges) + 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), residual.mean())
    least = max(MIN_SCALE * float(residual.mean()), np.finfo(np.float64).tiny)
    return ResidualScale(tuple(edges.tolist()), tuple(np.maximum(means, least).tolist()))


@dataclass(frozen=True)
class Coverage:
    """Of each of N rows: the share of its labels that are covered, and how large its set or interval is."""

    covered: Array
    """(N,) NaN where a row has no label to cover (none applies)."""
    exact: Array
    """(N,) the same by the quantile alone, before the likeliest class joined."""
    size: Array
    """(N,) classes, or the interval's width; of masks the mean over pixels."""
    single: Array | None
    """(N,) 1 where one class is left; of masks the share of such pixels; None of intervals."""
    hit: Flags
    """(J,) label by label, whether it is covered."""

    def take(self, rows: NDArray[np.int64]) -> Coverage:
        """Return some rows, without the labels one by one."""
        single = None if self.single is None else self.single[rows]
        return Coverage(self.covered[rows], self.exact[rows], self.size[rows], single, np.empty(0, bool))


def within(rule: DecisionRule, part: Predictions, scores: CalibrationScores) -> Flags:
    """Return which true labels have a nonconformity of at most their quantile, (J,)."""
    quantiles = rule.quantiles.of(len(part), part.groups)
    row = scores.row if len(quantiles) > 1 else np.zeros_like(scores.row)
    column = scores.code if quantiles.shape[1] > 1 else np.zeros_like(scores.code)
    return np.asarray(scores.score <= quantiles[row, column])


def coverage(
    rule: DecisionRule, part: Predictions, scores: CalibrationScores, pixels: PixelScores | None = None
) -> Coverage:
    """Measure each row's set; ``part`` and ``scores`` are those of ``pixels`` for dense kinds."""
    region = rule.region(part.scores, part.groups) if pixels is None else pixels.region(rule)
    assert region is not None, f"a {part.kind} target has no prediction sets"
    exact_J = within(rule, part, scores)
    counts = np.bincount(scores.row, minlength=len(part))

    def share(hit_J: Flags) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(scores.row, hit_J, len(part)) / counts)

    hit_J = region.covers(scores, exact_J)
    return Coverage(share(hit_J), share(exact_J), region.size(), region.single(), hit_J)
