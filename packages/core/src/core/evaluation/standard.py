"""The figures that every run of a kind of target is judged by, beyond the target's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.evaluation.calibration import slope_and_intercept
from core.evaluation.config import StandardEvaluation
from core.targets.bootstrap_metrics import (
    auroc_auprc,
    brier_scores,
    calibration_error,
    log_losses,
    macro_auroc_auprc,
    mean_defined,
    means,
    per_class,
    ratio,
    summed,
    truths,
)
from core.evaluation.intervals import point, resampled_weights
from core.evaluation.types import Array, Json, Statistic
from core.targets.slot_metrics import all_right, intents, slot_counts
from core.targets.types import Metric, Predictions


def standard_statistics(
    kind: str, classes: Sequence[str], thresholds: Mapping[str, Json], config: StandardEvaluation
) -> list[Statistic]:
    """Name the figures of a kind of target, in the order a reader wants them.

    Operating points come fixed in ``thresholds`` (see ``choose_all``), set on validation.
    """
    probabilities = means({"log_loss": log_losses, "brier": brier_scores})
    if kind == "binary":
        return [
            auroc_auprc(("auroc", "auprc"), 1),
            _at_fixed_points(thresholds, config),
            probabilities,
            calibration_error(config.bins),
            slope_and_intercept(),
        ]
    if kind == "multiclass":
        return [
            means({"accuracy": _right}),
            macro_auroc_auprc(classes),
            per_class(classes, kind),
            probabilities,
            calibration_error(config.bins),
        ]
    if kind == "ordinal":
        return [
            _agreement(),
            means({"accuracy": _right, "adjacent": _near, "mae": _apart}),
            macro_auroc_auprc(classes),
            per_class(classes, kind),
            probabilities,
            calibration_error(config.bins),
        ]
    if kind == "multilabel":
        return [
            macro_auroc_auprc(classes),
            per_class(classes, kind),
            means({"exact_match": _all_right, "hamming_loss": _label_errors}),
            probabilities,
            calibration_error(config.bins),
        ]
    if kind == "mask":
        return [_overlaps(classes)]
    if kind == "regression":
        return [_errors()]
    if kind == "tokens":
        of_intents = [per_class(classes, "multiclass"), probabilities, calibration_error(config.bins)]
        whole = means({"exact_match": all_right, "intent_accuracy": _right_intents})
        return [whole, _slots(), *(_of_intents(statistic) for statistic in of_intents)]
    return []


def _of_intents(statistic: Statistic) -> Statistic:
    return Statistic(statistic.names, lambda p: statistic.prepare(intents(p)))


def _slots() -> Statistic:
    """Precision, recall and F1 of slots by span, all taken together."""

    def combine(sums: Array) -> Array:
        right, decided, true = sums.T
        return np.column_stack([ratio(2 * right, decided + true), ratio(right, decided), ratio(right, true)])

    return summed(("slot_f1", "slot_precision", "slot_recall"), slot_counts, combine)


def vectorised(
    metrics: Mapping[str, Metric], statistics: Sequence[Statistic], predictions: Predictions, seed: int
) -> set[str]:
    """Name the metrics that a statistic of the same name reproduces, so that it may resample in their place.

    Both are computed on the rows as they are and on one resample; anything but equality keeps the metric's
    own definition, and its slower way.
    """
    shared = set(metrics) & {name for statistic in statistics for name in statistic.names}
    weights = next(iter(resampled_weights(len(predictions), predictions.units, 1, seed)))[0]
    drawn = predictions.take(np.repeat(np.arange(len(weights)), weights.astype(np.int64)))
    for rows in (predictions, drawn):
        figures = point([s for s in statistics if shared & set(s.names)], rows)
        shared = {n for n in shared if np.isclose(metrics[n](rows), figures[n], 1e-7, 1e-9, equal_nan=True)}
    return shared


def share(value: float) -> str:
    """Name a floor in a metric: 0.9 -> 90, 0.975 -> 97.5."""
    return f"{100 * value:.6g}"


def _at_fixed_points(thresholds: Mapping[str, Json], config: StandardEvaluation) -> Statistic:
    """Figures of a binary target that need a decision; every cut comes from validation."""
    cuts = {}
    for rule in ("specificity", "sensitivity"):
        known = thresholds["cuts"][rule]
        cuts[rule] = float("nan") if known is None else float(known)
    prevalence, cost_cut = float(thresholds["prevalence"]), float(thresholds["cost_threshold"])
    names = (
        f"sensitivity_at_{share(config.specificity)}_specificity",
        f"specificity_at_{share(config.sensitivity)}_sensitivity",
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "f1",
        "macro_f1",
        "accuracy",
        "balanced_accuracy",
        "net_benefit",
    )

    def columns(p: Predictions) -> Array:
        truth, scores = truths(p)[:, 1], p.scores[:, 1]
        call = np.asarray(p.labels) == 1
        tests = (call, scores >= cuts["specificity"], scores >= cuts["sensitivity"], scores >= cost_cut)
        hits = [side for test in tests for side in (truth & test, ~truth & test)]
        return np.column_stack([truth, ~truth, *hits]).astype(np.float64)

    def combine(sums: Array) -> Array:
        yes, no, tp, fp, tp_spec, _, _, fp_sens, tp_cost, fp_cost = sums.T
        sensitivity, specificity = ratio(tp, yes), 1 - ratio(fp, no)
        found, spared = sensitivity * prevalence, specificity * (1 - prevalence)
        f1 = ratio(2 * tp, yes + tp + fp)
        at_spec, at_sens = ratio(tp_spec, yes), 1 - ratio(fp_sens, no)
        return np.column_stack(
            [
                at_spec if np.isfinite(cuts["specificity"]) else np.full_like(yes, np.nan),
                at_sens if np.isfinite(cuts["sensitivity"]) else np.full_like(yes, np.nan),
                sensitivity,
                specificity,
                ratio(found, found + (1 - specificity) * (1 - prevalence)),
                ratio(spared, spared + (1 - sensitivity) * prevalence),
                f1,
                mean_defined(np.column_stack([f1, ratio(2 * (no - fp), yes - tp + 2 * no - fp)])),
                ratio(tp + no - fp, yes + no),
                mean_defined(np.column_stack([sensitivity, specificity])),
                ratio(tp_cost - fp_cost * cost_cut / (1 - cost_cut), yes + no),
            ]
        )

    return summed(names, columns, combine)


def _agreement() -> Statistic:
    """Quadratically weighted kappa (Cohen 1968) of labels and truth, from moments."""

    def columns(p: Predictions) -> Array:
        t, y = np.asarray(p.targets, np.float64), np.asarray(p.labels, np.float64)
        return np.column_stack([np.ones(len(p)), t, y, t * t, y * y, t * y])

    def combine(sums: Array) -> Array:
        t, y, tt, yy, ty = ratio(sums[:, 1:], sums[:, :1]).T
        kappa = 1 - ratio(tt + yy - 2 * ty, tt + yy - 2 * t * y)
        return kappa[:, None]

    return summed(("qwk",), columns, combine)


def _errors() -> Statistic:
    """Errors of values: RMSE, MAE, mean error, R2, Pearson's r, and the line truth = a + b * prediction."""
    names = ("rmse", "mae", "bias", "r2", "pearson", "calibration_intercept", "calibration_slope")

    def columns(p: Predictions) -> Array:
        # Centred on the truth's mean: sums of squares of large values would cancel badly otherwise.
        centre = float(np.mean(p.targets)) if len(p) else 0.0
        t = np.asarray(p.targets, np.float64) - centre
        y = p.scores[:, 0] - centre
        return np.column_stack(
            [np.ones(len(p)), t, y, t * t, y * y, t * y, np.abs(y - t), np.full(len(p), centre)]
        )

    def combine(sums: Array) -> Array:
        t, y, tt, yy, ty, absolute, centre = ratio(sums[:, 1:], sums[:, :1]).T
        square = np.maximum(tt + yy - 2 * ty, 0.0)
        var_t, var_y, cov = tt - t * t, yy - y * y, ty - t * y
        var_t, var_y = _positive(var_t, tt), _positive(var_y, yy)
        slope = ratio(cov, var_y)
        return np.column_stack(
            [
                np.sqrt(square),
                absolute,
                y - t,
                1 - ratio(square, var_t),
                ratio(cov, np.sqrt(var_t * var_y)),
                (t + centre) - slope * (y + centre),
                slope,
            ]
        )

    return summed(names, columns, combine)


def _positive(variance: Array, scale: Array) -> Array:
    """Call a variance 0 that is only rounding."""
    return np.where(variance > 1e-12 * scale, variance, 0.0)


def _right_intents(p: Predictions) -> Array:
    return np.equal(p.labels[:, 0], p.targets[:, 0]).astype(np.float64)


def _overlaps(classes: Sequence[str]) -> Statistic:
    """Intersection over union and recall of pixels, from the counts of each mask (resampled as a whole)."""
    k = len(classes)
    names = ["miou", "pixel_accuracy", "mean_class_accuracy"]
    names += [f"{figure}_{name}" for figure in ("iou", "recall") for name in classes]

    def columns(p: Predictions) -> Array:
        return p.counts().reshape(len(p), k * k).astype(np.float64)

    def combine(sums: Array) -> Array:
        table_RKK = sums.reshape(-1, k, k)
        hit = np.diagonal(table_RKK, axis1=1, axis2=2)
        truth, label = table_RKK.sum(axis=2), table_RKK.sum(axis=1)
        iou, recall = ratio(hit, truth + label - hit), ratio(hit, truth)
        right = ratio(hit.sum(axis=1), truth.sum(axis=1))
        return np.column_stack([mean_defined(iou), right, mean_defined(recall), iou, recall])

    return summed(names, columns, combine)


def _right(p: Predictions) -> Array:
    return np.equal(p.labels, p.targets).astype(np.float64)


def _apart(p: Predictions) -> Array:
    apart: Array = np.asarray(p.labels, np.float64) - np.asarray(p.targets, np.float64)
    return np.abs(apart)


def _near(p: Predictions) -> Array:
    return (_apart(p) <= 1).astype(np.float64)


def _all_right(p: Predictions) -> Array:
    return np.asarray(np.equal(p.labels, p.targets).all(axis=1), np.float64)


def _label_errors(p: Predictions) -> Array:
    return np.asarray(np.not_equal(p.labels, p.targets).mean(axis=1))
