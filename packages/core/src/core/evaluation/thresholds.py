"""From which probability on the answer is yes: chosen on validation, never on test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.config import config_error
from core.evaluation.config import StandardEvaluation
from core.targets.bootstrap_metrics import predicted, truths
from core.targets.roc import Ranking
from core.evaluation.types import Array, Json
from core.targets.metrics import macro_f1
from core.targets.types import Predictions

POINTS = ("youden", "cost", "sensitivity", "specificity", "f1", "0.5")


def rule_of(config: StandardEvaluation, kind: str) -> str:
    """Resolve ``auto``: Youden's index for one question, F1 for many labels (rare ones need precision too)."""
    if config.rule != "auto":
        return config.rule
    return "f1" if kind == "multilabel" else "youden"


def choose(
    rule: str, scores: Array, truth: NDArray[np.bool_], config: StandardEvaluation, ratio: float
) -> float:
    """Choose t of "yes where score >= t" for one class; NaN where only one answer occurs.

    ``ratio`` is the cost of a miss over that of a false alarm. youden: largest sensitivity + specificity
    (Youden 1950). cost: least total cost. sensitivity, specificity: that floor is reached and the other is
    as high as can be. f1: largest F1. Thresholds lie halfway between neighbouring scores.
    """
    if rule == "0.5":
        return 0.5
    ranking = Ranking(scores, truth)
    tp_RT, fp_RT = ranking.counts(np.ones((1, len(scores))))
    tp, fp = np.append(0.0, tp_RT[0]), np.append(0.0, fp_RT[0])  # first: nobody is called
    yes, no = tp[-1], fp[-1]
    if yes == 0 or no == 0:
        return float("nan")
    sensitivity, specificity = tp / yes, 1 - fp / no
    if rule == "youden":
        worth = sensitivity + specificity
    elif rule == "cost":
        worth = -(fp + ratio * (yes - tp))
    elif rule == "sensitivity":
        worth = np.where(sensitivity >= config.sensitivity, specificity, -1.0)
    elif rule == "specificity":
        worth = np.where(specificity >= config.specificity, sensitivity, -1.0)
    else:
        worth = 2 * tp / (tp + fp + yes)
    best = int(np.argmax(worth))
    cuts = ranking.cuts
    if best == 0:
        return float(np.nextafter(max(cuts[0], 1.0), 2.0))
    here = float(cuts[best - 1])
    return (here + float(cuts[best])) / 2 if best < len(cuts) else here


def miss_ratio(validation: Predictions, config: StandardEvaluation) -> float:
    """Cost of a miss in false alarms: as configured, else negatives per positive on validation (1 if one-sided)."""
    if config.cost_false_negative is not None:
        return config.cost_false_negative / config.cost_false_positive
    share = prevalence_of(validation, config)
    return (1 - share) / share if 0 < share < 1 else 1.0


def prevalence_of(validation: Predictions, config: StandardEvaluation) -> float:
    """Prevalence for PPV and NPV: as configured, else validation's own (binary targets only)."""
    if config.prevalence is not None:
        return config.prevalence
    return float(truths(validation)[:, 1].mean())


def choose_all(validation: Predictions, config: StandardEvaluation) -> dict[str, Json]:
    """Choose every class's threshold: {rule, chosen_on, values {class: t}, undecided [class]}.

    Binary targets have one, for the positive class, and the cut of every other rule under ``cuts``;
    multilabel targets one a label. Others decide by the highest probability and get no values. Recalibrated
    scores are expected.
    """
    if config.rule in ("balanced", "macro_f1"):
        return balance_classes(validation, config.rule)
    if validation.kind not in ("binary", "multilabel"):
        return {"rule": "highest probability" if validation.kind != "regression" else "none", "values": {}}
    rule = rule_of(config, validation.kind)
    ratio = miss_ratio(validation, config) if validation.kind == "binary" else _label_ratio(config)
    truth = truths(validation)
    columns = [1] if validation.kind == "binary" else list(range(len(validation.classes)))
    values, undecided = {}, []
    for k in columns:
        cut = choose(rule, validation.scores[:, k], truth[:, k], config, ratio)
        if np.isnan(cut):
            undecided.append(validation.classes[k])
            cut = 0.5
        values[validation.classes[k]] = cut
    chosen: dict[str, Json] = {
        "rule": rule,
        "chosen_on": "validation",
        "values": values,
        "undecided": undecided,
    }
    if validation.kind == "binary":
        chosen |= {
            "prevalence": prevalence_of(validation, config),
            "cost_false_positive": config.cost_false_positive,
            "cost_false_negative": config.cost_false_positive * ratio,
            "cost_threshold": 1 / (1 + ratio),
            "cuts": {
                r: _known(choose(r, validation.scores[:, 1], truth[:, 1], config, ratio)) for r in POINTS
            },
        }
    return chosen


EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def balance_classes(validation: Predictions, rule: str = "balanced") -> dict[str, Json]:
    """Choose t of "the class with the largest score / t_k" as t_k = share_k ** exponent, for the best mean recall.

    Shares are those of the classes on validation; the exponent is the one of EXPONENTS with the highest balanced
    accuracy there, or macro-F1 with ``rule="macro_f1"`` (the smallest of equals). Source: Menon et al. (ICLR 2021),
    post-hoc logit adjustment.
    Raises ValueError for a target that is not one of several classes.
    """
    if validation.kind != "multiclass":
        raise config_error(
            "evaluation.rule", rule, f"needs several classes, not a {validation.kind} target; use auto"
        )
    truth = validation.targets.astype(np.int64)
    counts = np.bincount(truth, minlength=len(validation.classes))
    # A class that validation does not have is weighed like one that it has once.
    shares = np.maximum(counts, 1) / len(truth)

    def mean_recall(exponent: float) -> float:
        right = (validation.scores / shares**exponent).argmax(axis=1) == truth
        return float(np.mean([right[truth == k].mean() for k in np.flatnonzero(counts)]))

    def mean_f1(exponent: float) -> float:
        labels = (validation.scores / shares**exponent).argmax(axis=1)
        return macro_f1(replace(validation, labels=labels))

    best = max(EXPONENTS, key=mean_recall if rule == "balanced" else mean_f1)
    values = {name: float(t) for name, t in zip(validation.classes, shares**best, strict=True)}
    return {"rule": rule, "chosen_on": "validation", "exponent": best, "values": values}


def _known(cut: float) -> float | None:
    return None if np.isnan(cut) else cut


def _label_ratio(config: StandardEvaluation) -> float:
    return (config.cost_false_negative or config.cost_false_positive) / config.cost_false_positive


def operating_points(
    cuts: Mapping[str, float | None], parts: Mapping[str, Predictions]
) -> dict[str, dict[str, Json]]:
    """What each rule's threshold gives on each part of a binary target: rule -> {threshold, <part> {...}}."""
    return {
        rule: {"threshold": cut, **{name: _at(p, cut) for name, p in parts.items()}}
        for rule, cut in cuts.items()
        if cut is not None
    }


def _at(p: Predictions, cut: float) -> dict[str, Json]:
    truth, call = truths(p)[:, 1], p.scores[:, 1] >= cut
    hit = int((truth & call).sum())
    false = int((~truth & call).sum())
    missed = int((truth & ~call).sum())
    right = int((~truth & ~call).sum())
    return {
        "sensitivity": hit / (hit + missed) if hit + missed else None,
        "specificity": right / (right + false) if right + false else None,
        "ppv": hit / (hit + false) if hit + false else None,
        "npv": right / (right + missed) if right + missed else None,
        "called": (hit + false) / len(p) if len(p) else None,
    }


def confusion(p: Predictions) -> dict[str, Json]:
    """Counts of (truth, label) for single-label targets; of (yes/no, yes/no) a label for multilabel ones."""
    if p.kind == "multilabel":
        truth, call = truths(p), predicted(p)
        pairs = {
            "true_positive": truth & call,
            "false_positive": ~truth & call,
            "false_negative": truth & ~call,
        }
        return {
            "labels": list(p.classes),
            **{k: v.sum(axis=0).astype(int).tolist() for k, v in pairs.items()},
        }
    k = len(p.classes)
    flat = np.asarray(p.targets, np.int64) * k + np.asarray(p.labels, np.int64)
    return {"labels": list(p.classes), "counts": np.bincount(flat, minlength=k * k).reshape(k, k).tolist()}
