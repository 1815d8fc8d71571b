"""From which probability on a class is predicted: chosen on validation, never on test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from core.config import config_error
from core.evaluation.config import StandardEvaluation
from core.evaluation.section import OperatingPoint, ThresholdPoint, ThresholdsSection
from core.targets.metrics import macro_f1
from core.targets.roc import RocCurve
from core.targets.types import Array, Flags, MetricSettings, Predictions

POINT_RULES = ("youden", "cost", "sensitivity", "specificity", "f1", "0.5")
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def choose_threshold(
    rule: str, scores: Array, truth: Flags, config: StandardEvaluation, cost_ratio: float
) -> float:
    """Choose t of "positive where score >= t" for one class; NaN where only one class occurs.

    ``cost_ratio`` is the cost of a false negative over that of a false positive. youden: largest sensitivity +
    specificity (Youden 1950). cost: least total cost. sensitivity, specificity: that target is reached and the other
    is as high as can be. f1: largest F1. Thresholds lie halfway between neighboring scores.

    >>> scores, truth = np.array([0.1, 0.3, 0.6, 0.9]), np.array([False, False, True, True])
    >>> round(choose_threshold("youden", scores, truth, StandardEvaluation(), 1.0), 3)
    0.45
    """
    if rule == "0.5":
        return 0.5
    curve = RocCurve(scores, truth)
    tp_RT, fp_RT = curve.counts(np.ones((1, len(scores))))
    tp, fp = np.append(0.0, tp_RT[0]), np.append(0.0, fp_RT[0])  # first: nobody is predicted positive
    yes, no = tp[-1], fp[-1]
    if yes == 0 or no == 0:
        return float("nan")
    sensitivity, specificity = tp / yes, 1 - fp / no
    if rule == "youden":
        worth = sensitivity + specificity
    elif rule == "cost":
        worth = -(fp + cost_ratio * (yes - tp))
    elif rule == "sensitivity":
        worth = np.where(sensitivity >= config.target_sensitivity, specificity, -1.0)
    elif rule == "specificity":
        worth = np.where(specificity >= config.target_specificity, sensitivity, -1.0)
    else:
        worth = 2 * tp / (tp + fp + yes)
    best = int(np.argmax(worth))
    cuts = curve.thresholds
    if best == 0:
        return float(np.nextafter(max(cuts[0], 1.0), 2.0))
    here = float(cuts[best - 1])
    return (here + float(cuts[best])) / 2 if best < len(cuts) else here


def choose_thresholds(validation: Predictions, config: StandardEvaluation) -> ThresholdsSection:
    """Choose the threshold of every yes/no decision on recalibrated scores of the validation set.

    Kinds with one positive class also get the threshold of every other rule under ``cuts``. Kinds without yes/no
    decisions are decided by the highest probability and get none.
    """
    kind = validation.type
    if config.threshold_rule in ("balanced", "macro_f1"):
        return balance_classes(validation, config.threshold_rule)
    decisions = kind.binary_decisions(validation)
    if not decisions:
        return ThresholdsSection(rule=kind.decided_by)
    rule = kind.binary_threshold_rule if config.threshold_rule == "auto" else config.threshold_rule
    prevalence = prevalence_of(validation, config)
    ratio = cost_ratio(config, prevalence)
    chosen = ThresholdsSection(rule=rule, chosen_on="validation")
    for name, (scores, truth) in decisions.items():
        cut = choose_threshold(rule, scores, truth, config, ratio)
        if np.isnan(cut):
            chosen.undecided.append(name)
            cut = 0.5
        chosen.values[name] = cut
    outcome = kind.outcome(validation)
    if outcome is not None:
        chosen.prevalence = prevalence
        chosen.cost_false_positive = config.cost_false_positive
        chosen.cost_false_negative = config.cost_false_positive * ratio
        chosen.cost_threshold = 1 / (1 + ratio)
        chosen.cuts = {each: _known(choose_threshold(each, *outcome, config, ratio)) for each in POINT_RULES}
    return chosen


def prevalence_of(validation: Predictions, config: StandardEvaluation) -> float | None:
    """Return the prevalence of the one positive class: as configured, else validation's own; None without one."""
    outcome = validation.type.outcome(validation)
    if outcome is None:
        return None
    return float(outcome[1].mean()) if config.prevalence is None else config.prevalence


def cost_ratio(config: StandardEvaluation, prevalence: float | None) -> float:
    """Return the cost of a false negative in false positives.

    As configured; else negatives per positive at the prevalence, or 1 where there is no prevalence between 0 and 1.
    """
    if config.cost_false_negative is not None:
        return config.cost_false_negative / config.cost_false_positive
    return (1 - prevalence) / prevalence if prevalence is not None and 0 < prevalence < 1 else 1.0


def balance_classes(validation: Predictions, rule: str = "balanced") -> ThresholdsSection:
    """Choose t of "the class with the largest score / t_k" as t_k = share_k ** exponent, for the best mean recall.

    Shares are those of the classes on validation; the exponent is the one of EXPONENTS with the highest balanced
    accuracy there, or macro-F1 with ``rule="macro_f1"`` (the smallest of equals). Source: Menon et al. (ICLR 2021),
    post-hoc logit adjustment.
    Raises ValueError for a target that is not one of several classes.
    """
    if not validation.type.balances_classes:
        raise config_error(
            "evaluation.threshold_rule",
            rule,
            f"needs several classes, not a {validation.kind} target; use auto",
        )
    truth = validation.targets.astype(np.int64)
    counts = np.bincount(truth, minlength=len(validation.classes))
    # A class that validation does not have is weighted like one that it has once.
    shares = np.maximum(counts, 1) / len(truth)

    def mean_recall(exponent: float) -> float:
        correct = (validation.scores / shares**exponent).argmax(axis=1) == truth
        return float(np.mean([correct[truth == k].mean() for k in np.flatnonzero(counts)]))

    def mean_f1(exponent: float) -> float:
        labels = (validation.scores / shares**exponent).argmax(axis=1)
        return macro_f1(replace(validation, labels=labels))

    best = max(EXPONENTS, key=mean_recall if rule == "balanced" else mean_f1)
    values = {name: float(t) for name, t in zip(validation.classes, shares**best, strict=True)}
    return ThresholdsSection(rule=rule, chosen_on="validation", exponent=best, values=values)


def metric_settings(config: StandardEvaluation, thresholds: ThresholdsSection) -> MetricSettings:
    """Return what default metrics depend on, with the thresholds chosen on validation."""
    prevalence, cost = thresholds.prevalence, thresholds.cost_threshold
    return MetricSettings(
        bins=config.bins,
        target_sensitivity=config.target_sensitivity,
        target_specificity=config.target_specificity,
        cuts=thresholds.cuts,
        prevalence=0.5 if prevalence is None else prevalence,
        cost_threshold=0.5 if cost is None else cost,
    )


def _known(cut: float) -> float | None:
    return None if np.isnan(cut) else cut


def threshold_points(
    cuts: Mapping[str, float | None], parts: Mapping[str, Predictions]
) -> dict[str, ThresholdPoint]:
    """Return what each rule's threshold of the positive class does on each set."""
    return {
        rule: ThresholdPoint(threshold=cut, **{name: operating_point(p, cut) for name, p in parts.items()})
        for rule, cut in cuts.items()
        if cut is not None
    }


def operating_point(p: Predictions, cut: float) -> OperatingPoint:
    """Compute sensitivity, specificity and predictive values of a threshold of the positive class."""
    outcome = p.type.outcome(p)
    assert outcome is not None, f"a {p.kind} target has no positive class"
    scores, truth = outcome
    positive = scores >= cut
    tp, fp = int((truth & positive).sum()), int((~truth & positive).sum())
    fn, tn = int((truth & ~positive).sum()), int((~truth & ~positive).sum())
    return OperatingPoint(
        sensitivity=_share(tp, tp + fn),
        specificity=_share(tn, tn + fp),
        ppv=_share(tp, tp + fp),
        npv=_share(tn, tn + fn),
        selection_rate=_share(tp + fp, len(p)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
