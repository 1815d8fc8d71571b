"""Conformal prediction: limits from validation that make sets and intervals cover, and how often they do on test.

**What is promised.** Let L_u be the share of unit u's answers (rows; pixels of a picture; labels that apply to a row)
whose nonconformity is above a limit. Take the least limit q with (sum of L_u(q) over n calibration units + 1) / (n + 1)
<= alpha. Then the set of a random answer of a new unit misses the truth with probability of at most alpha, if the
calibration units and the new one are exchangeable (conformal risk control: Angelopoulos et al. 2024, arXiv:2208.02814;
for rows of units also Lee, Barber and Willett 2023, arXiv:2306.06342). With single rows as units this is split
conformal's ceil((n + 1)(1 - alpha))-th smallest score (Papadopoulos et al. 2002; Lei et al. 2018). Of pictures, a pixel
at random is covered, not every pixel at once.

**Calibrated where.** On the whole validation part. It has also chosen the epoch, one or two numbers of recalibration
and the thresholds, so its rows are not quite exchangeable with new ones. Choosing among E epochs moves coverage by at
most about sqrt(log(2 E) / (2 n)), and usually far less (Yang and Kuchibhotla 2025, arXiv:2104.13871). Half the part
kept aside would cost every other choice half its rows and make the limits themselves 1.4 times as noisy. So the promise
is not taken on trust: coverage is measured on the test part, which chose nothing, and ``holds`` says whether it falls
short by more than the chance of both parts explains.

Too few units for any limit at this alpha (n + 1 < 1 / alpha): rows stand in for units, and nothing is promised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.dense_predictions import iter_feature_grid
from core.oversight.decision_rule import ConformalQuantiles, DecisionRule
from core.targets.prediction_sets import ResidualScale, link, nonconformity
from core.targets.types import Array, Predictions

if TYPE_CHECKING:
    import pandas as pd

    from core.targets.scorer import Scorer

Json = Any
STEPS = 5
"""Steps of the errors' tendency over the predicted number (method normalised)."""
LEAST_SPREAD = 0.1
"""Least tendency, as a share of the mean one: no interval shrinks to nothing."""


@dataclass(frozen=True)
class CalibrationScores:
    """How ill the truth fits, answer by answer: J answers of N rows."""

    score: Array
    """(J,) nonconformity of the true answer."""
    row: NDArray[np.int64]
    """(J,) the row it belongs to."""
    code: NDArray[np.int64]
    """(J,) the true class; 0 for numbers."""
    joined: NDArray[np.bool_]
    """(J,) in the set whatever the limit, as the likeliest class is."""
    rows: int

    def take(self, chosen: NDArray[np.bool_]) -> CalibrationScores:
        """Keep the answers of some rows (N,), numbering those rows anew."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.row]
        return CalibrationScores(
            self.score[kept],
            number[self.row[kept]],
            self.code[kept],
            self.joined[kept],
            int(chosen.sum()),
        )


@dataclass(frozen=True)
class PixelScores:
    """What a look at the pixels of some pictures found."""

    part: Predictions
    """Those pictures."""
    truths: CalibrationScores
    tops: tuple[Array, ...]
    """Of each picture, the probabilities (K, places) at its places, to count how many classes fit."""


def score_pixels(scorer: Scorer, frame: pd.DataFrame, part: Predictions, rows: int, seed: int, use: str) -> PixelScores:
    """Look at the pixels of up to ``rows`` pictures of a part, drawn at random."""
    rng = np.random.default_rng(derive_seed(seed, "conformal pixels", use))
    chosen = np.sort(rng.permutation(len(part))[:rows])
    score, code, joined, sizes, tops = [], [], [], [], []
    for found, _, truth in iter_feature_grid(scorer, frame, part.targets, chosen):
        for own, true in zip(found, truth, strict=True):
            flat, codes = own.reshape(len(own), -1), true.reshape(-1).astype(np.int64)
            known = np.flatnonzero(codes < len(own))
            chance = flat[codes[known], known]
            score.append(1.0 - chance)
            code.append(codes[known])
            joined.append(chance >= flat[:, known].max(axis=0))
            sizes.append(len(known))
            tops.append(flat)
    row = np.repeat(np.arange(len(chosen)), sizes)
    truths = CalibrationScores(np.concatenate(score), row, np.concatenate(code), np.concatenate(joined), len(chosen))
    return PixelScores(part.take(chosen), truths, tuple(tops))


def truths_of(rules: DecisionRule, part: Predictions) -> CalibrationScores:
    """Give the nonconformity of the truth of a part's rows; masks need ``look``."""
    n, row = len(part), np.arange(len(part))
    never = np.zeros(n, bool)
    if part.kind == "regression":
        found = link(part.scores[:, 0], rules.log)
        off = np.abs(link(part.targets, rules.log) - found) / rules.residual_scale.of(found)
        return CalibrationScores(off, row, np.zeros(n, np.int64), never, n)
    if part.kind == "multilabel":
        row, code = np.nonzero(part.targets > 0)
        return CalibrationScores(1.0 - part.scores[row, code], row, code, np.zeros(len(row), bool), n)
    assert part.kind != "mask", "masks are looked at pixel by pixel"
    scores = part.scores[:, : len(part.classes)]
    code = (part.targets[:, 0] if part.kind == "tokens" else part.targets).astype(np.int64)
    misfit = nonconformity(rules.method, scores)[row, code]
    return CalibrationScores(misfit, row, code, scores.argmax(axis=1) == code, n)


def conformal_quantile(score: Array, unit: NDArray[np.int64], units: int, alpha: float) -> float:
    """Give the least limit that misses at most ``alpha``: see the module; infinite where too few units speak.

    score, unit: (J,) each answer's nonconformity and its unit of 0 .. units - 1; a unit without answers misses none.
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
    """Tell whether so many calibration units give a limit that is not infinite."""
    return alpha * (units + 1) - 1 + 1e-9 >= 0


@dataclass(frozen=True)
class Calibration:
    """Limits and what they rest on."""

    rules: DecisionRule
    rows: int
    units: int | None
    """Units the limits count; None: rows."""
    answers: int
    """Rows, pixels or labels that apply."""
    noise: float
    """Standard error of the coverage that comes from the calibration part's chance."""
    too_few_units: int | None = None
    """Units that were too few, so that rows stand in for them and nothing is guaranteed; else None."""
    common_quantile: list[str] = field(default_factory=list)
    """Groups or classes with too few units for a quantile of their own."""


def calibrate(
    rules: DecisionRule,
    validation: Predictions,
    alpha: float,
    mondrian: str,
    least: int,
    seed: int,
    pixels: PixelScores | None = None,
) -> Calibration:
    """Choose the limits of ``rules.method`` on validation; groups or classes with under ``least`` units share one."""
    part = validation if pixels is None else pixels.part
    too_few_units = None
    common: list[str] = []
    if rules.method == "normalized":
        fitted, kept = _halves(part, seed)
        rules = replace(rules, residual_scale=fit_residual_scale(part.take(fitted), rules.log))
        part = part.take(kept)
    truths = truths_of(rules, part) if pixels is None else pixels.truths
    unit, units = _units(part)
    by_unit = part.units is not None
    if by_unit and not has_enough_units(units, alpha):
        too_few_units = units  # rows stand in for them, and nothing is guaranteed
        unit, units, by_unit = np.arange(len(part)), len(part), False
    overall = conformal_quantile(truths.score, unit[truths.row], units, alpha)
    quantiles = ConformalQuantiles(overall)
    if mondrian == "groups":
        quantiles, common = _by_group(truths, unit, part, overall, alpha, least)
    elif mondrian == "classes":
        quantiles, common = _by_class(truths, unit, part.classes, overall, alpha, least)
    rules = replace(rules, quantiles=quantiles)
    above = ~within(rules, part, truths)
    missed = np.bincount(unit[truths.row], above, units) / np.maximum(
        np.bincount(unit[truths.row], minlength=units), 1
    )
    return Calibration(
        rules,
        len(part),
        units if by_unit else None,
        len(truths.score),
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
    truths: CalibrationScores, unit: NDArray[np.int64], part: Predictions, overall: float, alpha: float, least: int
) -> tuple[ConformalQuantiles, list[str]]:
    found: dict[str, dict[str, float]] = {}
    common = []
    for attribute, names in part.groups.items():
        found[attribute] = {}
        for name in sorted(set(names.tolist())):
            inside = names == name
            code, units = _renumbered(unit[inside])
            if units < least:
                common.append(f"{attribute} {name}")
                continue
            own = truths.take(inside)
            found[attribute][name] = conformal_quantile(own.score, code[own.row], units, alpha)
    return ConformalQuantiles(overall, found), common


def _by_class(
    truths: CalibrationScores,
    unit: NDArray[np.int64],
    classes: tuple[str, ...],
    overall: float,
    alpha: float,
    least: int,
) -> tuple[ConformalQuantiles, list[str]]:
    found, common = [], []
    for k, name in enumerate(classes):
        inside = truths.code == k
        code, units = _renumbered(unit[truths.row[inside]])
        if units < least:
            common.append(name)
            found.append(overall)
            continue
        found.append(conformal_quantile(truths.score[inside], code, units, alpha))
    return ConformalQuantiles(overall, {}, tuple(found)), common


def _halves(part: Predictions, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    unit, units = _units(part)
    rng = np.random.default_rng(derive_seed(seed, "conformal halves"))
    first = rng.permutation(units) < units // 2
    return np.flatnonzero(first[unit]), np.flatnonzero(~first[unit])


def fit_residual_scale(part: Predictions, log: bool) -> ResidualScale:
    """Fit the mean absolute error by fifths of the predicted number, on the scale that was learnt."""
    found = link(part.scores[:, 0], log)
    off = np.abs(link(part.targets, log) - found)
    edges = np.unique(np.quantile(found, np.arange(1, STEPS) / STEPS))
    step = np.searchsorted(edges, found, side="right")
    counts = np.bincount(step, minlength=len(edges) + 1)
    sums = np.bincount(step, off, minlength=len(edges) + 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), off.mean())
    least = max(LEAST_SPREAD * float(off.mean()), np.finfo(np.float64).tiny)
    return ResidualScale(tuple(edges.tolist()), tuple(np.maximum(means, least).tolist()))


@dataclass(frozen=True)
class Coverage:
    """Of each of N rows: the share of its answers that are covered, and how large its set or interval is."""

    covered: Array
    """(N,) NaN where a row has no answer to cover (no label applies)."""
    exact: Array
    """(N,) the same by the limit alone, before the likeliest class joined."""
    size: Array
    """(N,) classes, or the interval's width; of masks the mean over pixels."""
    single: Array
    """(N,) 1 where one class is left; of masks the share of such pixels."""
    hit: NDArray[np.bool_]
    """(J,) answer by answer, whether it is covered."""


def within(rules: DecisionRule, part: Predictions, truths: CalibrationScores) -> NDArray[np.bool_]:
    """Tell of each true answer whether the limits take it in, (J,)."""
    limits = rules.quantiles.of(len(part), part.groups)
    row = truths.row if len(limits) > 1 else np.zeros_like(truths.row)
    column = truths.code if limits.shape[1] > 1 else np.zeros_like(truths.code)
    return np.asarray(truths.score <= limits[row, column])


def covered(rules: DecisionRule, part: Predictions, truths: CalibrationScores, pixels: PixelScores | None = None) -> Coverage:
    """Say of each row how its set does; ``part`` and ``truths`` are those of ``pixels`` for masks."""
    limits = rules.quantiles.of(len(part), part.groups)
    exact_J = within(rules, part, truths)
    counts = np.bincount(truths.row, minlength=len(part))

    def share(hit_J: NDArray[np.bool_]) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(truths.row, hit_J, len(part)) / counts)

    if part.kind == "regression":
        low, high = rules.interval(part.scores, part.groups)
        hit = share(exact_J)
        return Coverage(hit, hit, high - low, np.zeros(len(part)), exact_J)
    if pixels is not None:
        own = np.broadcast_to(limits, (len(part), limits.shape[1]))
        sizes = [
            np.maximum((1.0 - top <= cut[:, None]).sum(axis=0), 1)
            for top, cut in zip(pixels.tops, own, strict=True)
        ]
        size = np.array([each.mean() for each in sizes])
        single = np.array([(each == 1).mean() for each in sizes])
        hit_J = exact_J | truths.joined
        return Coverage(share(hit_J), share(exact_J), size, single, hit_J)
    inside = rules.sets(part.scores, part.groups)
    hit_J = inside[truths.row, truths.code]
    size = inside.sum(axis=1).astype(np.float64)
    return Coverage(share(hit_J), share(exact_J), size, (size == 1).astype(np.float64), hit_J)
