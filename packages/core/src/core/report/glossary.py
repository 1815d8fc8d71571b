"""The metrics' standard names, what each means in a line, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.config.section import Estimate
from core.domain import METRIC_TERMS
from core.domain import MetricTerm as Term
from core.targets.metrics import LOWER_IS_BETTER

METRICS: Mapping[str, Term] = {
    "auroc": Term("AUROC", "chance that a positive row is ranked above a negative one; 0.5 is guessing"),
    "auprc": Term("AUPRC", "average precision over all recalls; guessing gives the prevalence"),
    "accuracy": Term("Accuracy", "share of rows classified correctly"),
    "balanced_accuracy": Term("Balanced accuracy", "mean of the classes' recalls"),
    "f1": Term("F1", "harmonic mean of precision and recall at the chosen threshold"),
    "macro_f1": Term("Macro F1", "mean of the classes' F1"),
    "micro_f1": Term("Micro F1", "F1 over all label decisions together"),
    "macro_auroc": Term("Macro AUROC", "mean of the classes' AUROC, each against the rest"),
    "macro_auprc": Term("Macro AUPRC", "mean of the classes' average precision"),
    "sensitivity": Term("Sensitivity", "share of positives detected at the chosen threshold (recall, TPR)"),
    "specificity": Term("Specificity", "share of negatives not flagged at the chosen threshold (1 - FPR)"),
    "recall": Term("Recall", "share of a class's rows that are detected"),
    "precision": Term("Precision", "share of a class's predictions that are correct"),
    "ppv": Term("PPV", "positive predictive value: precision at the stated prevalence"),
    "npv": Term("NPV", "negative predictive value at the stated prevalence"),
    "net_benefit": Term(
        "Net benefit", "true positives less false positives weighted by the threshold's odds, per row"
    ),
    "log_loss": Term("Log loss", "mean negative log-likelihood of the true class, in nats; lower is better"),
    "brier": Term("Brier score", "mean squared error of the probability; lower is better"),
    "ece": Term(
        "ECE",
        "expected calibration error: mean distance of predicted and observed over bins; lower is better",
    ),
    "calibration_slope": Term("Calibration slope", "1 is ideal; below 1 the predictions are too extreme"),
    "calibration_intercept": Term(
        "Calibration intercept", "0 is ideal; below 0 the predictions are too high"
    ),
    "exact_match": Term("Exact match", "share of rows with every label correct"),
    "hamming_loss": Term("Hamming loss", "share of label decisions that are wrong; lower is better"),
    "miou": Term("Mean IoU", "intersection over union of predicted and true pixels; mean of the classes"),
    "iou": Term("IoU", "intersection over union of predicted and true pixels"),
    "pixel_accuracy": Term("Pixel accuracy", "share of pixels classified correctly"),
    "mean_class_accuracy": Term("Mean class accuracy", "mean of the classes' recalls over pixels"),
    "aurc": Term("AURC", "area under the risk-coverage curve; lower is better"),
    "excess_aurc": Term("Excess AURC", "AURC above that of a perfect ranking by error; lower is better"),
    "qwk": Term("QWK", "quadratic weighted kappa: agreement beyond chance, larger differences count more"),
    "adjacent": Term("Adjacent agreement", "share of rows at most one step off"),
    "mae": Term("MAE", "mean absolute error; lower is better"),
    "rmse": Term("RMSE", "root mean squared error; lower is better"),
    "bias": Term("Mean error", "mean of prediction - ground truth; 0 is ideal"),
    "r2": Term("R²", "share of the target's variance that is explained"),
    "pearson": Term("Pearson's r", "linear correlation of prediction and ground truth"),
    "slot_f1": Term("Slot F1", "F1 over exact slot spans with their names"),
    "slot_precision": Term("Slot precision", "share of predicted slots that are exact"),
    "slot_recall": Term("Slot recall", "share of true slots that are found exactly"),
    "intent_accuracy": Term("Intent accuracy", "share of commands whose intent is correct"),
    "selection_rate": Term("Selection rate", "share of rows predicted positive"),
    "adjacent_agreement": Term("Adjacent agreement", "share of rows at most one step off"),
    "exact_agreement": Term("Exact agreement", "share of rows whose prediction is the label"),
    "worst_class_recall": Term("Worst class recall", "recall of the class that is detected least"),
    "relative_degradation": Term(
        "Relative degradation", "share of the metric that is lost on corrupted inputs; lower is better"
    ),
    "risk_at_full_coverage": Term("Risk at full coverage", "mean loss of all predictions; lower is better"),
    "p50_ms": Term("Latency, median", "milliseconds of one prediction; lower is better"),
    "p95_ms": Term("Latency, 95th percentile", "milliseconds of one prediction; lower is better"),
    "p99_ms": Term("Latency, 99th percentile", "milliseconds of one prediction; lower is better"),
    "model_p50_ms": Term(
        "Latency of the model, median", "milliseconds from encoded row to scores; lower is better"
    ),
    "model_p99_ms": Term(
        "Latency of the model, 99th percentile", "milliseconds from encoded row to scores; lower is better"
    ),
    "with_decoding_p50_ms": Term(
        "Latency with decoding, median", "milliseconds from raw row to scores; lower is better"
    ),
    "with_decoding_p99_ms": Term(
        "Latency with decoding, 99th percentile", "milliseconds from raw row to scores; lower is better"
    ),
    "slices_weaker_than_the_rest": Term(
        "Weaker slices", "slices whose metric is below that of the other rows; lower is better"
    ),
}
LOWER = {"ece", "hamming_loss", "aurc", "excess_aurc", "fpr"}
"""Metrics of which less is better, beside those that select models (``LOWER_IS_BETTER``)."""
UNDIRECTED: Mapping[str, float] = {"calibration_slope": 1.0, "calibration_intercept": 0.0, "bias": 0.0}
"""Metrics that are ideal at a value, neither high nor low."""

PER_CLASS = ("iou", "auroc", "auprc", "f1", "recall", "precision")
"""Metrics that a multiclass run has of each class, in the order of a table's columns."""

_POINT = re.compile(r"([a-z]+)_at_([\d.]+)_(sensitivity|specificity|fpr|tpr|recall)(?:_(.+))?")
_WORDS: Mapping[str, str] = {
    **{word: word.upper() for word in ("auroc", "auprc", "auc", "f1", "fpr", "tpr", "fnr", "ece", "qwk", "psi")},
    **{word: word.upper() for word in ("smd", "dsm", "prmse", "rmse", "mae", "ppv", "npv", "ood", "roc", "ks")},
    "iou": "IoU",
    "odd": "ODD",
}  # fmt: skip


def display_name(metric: str) -> str:
    """Return the standard name of a metric's key, or the key in readable words.

    >>> display_name("sensitivity_at_90_specificity"), display_name("auroc_mel"), display_name("card_precision")
    ('Sensitivity at 90 % specificity', 'AUROC, mel', 'Card precision')
    >>> display_name("recall_at_1_fpr"), display_name("fpr_at_95_tpr_noise"), display_name("qwk of two humans")
    ('Recall at 1 % FPR', 'FPR at 95 % TPR, noise', 'QWK of two humans')
    """
    if (term := _term(metric)) is not None:
        return term.name
    point = _POINT.fullmatch(metric)
    if point:
        name = f"{display_name(point[1])} at {point[2]} % {_WORDS.get(point[3], point[3])}"
        return f"{name}, {point[4].replace('_', ' ')}" if point[4] else name
    head, _, rest = metric.partition("_")
    if head in METRICS and rest:
        return f"{METRICS[head].name}, {rest.replace('_', ' ')}"
    text = " ".join(_WORDS.get(word, word) for word in metric.replace("_", " ").split(" "))
    return text[:1].upper() + text[1:]


def _term(metric: str) -> Term | None:
    """Return the name and meaning of a metric of core or of an imported domain."""
    return METRICS.get(metric) or METRIC_TERMS.get(metric)


def metric_gloss(metric: str) -> str:
    """Return what a metric means in a line; empty for one that is not known here."""
    if (term := _term(metric)) is not None:
        return term.gloss
    point = _POINT.fullmatch(metric)
    if point and point[3] == "fpr":
        return "largest recall on the ROC curve up to this false positive rate"
    if point:
        return "at the threshold that reached it on validation"
    return ""


def lower_is_better(metric: str) -> bool:
    """Return whether less of a metric is better.

    >>> lower_is_better("ece"), lower_is_better("auroc")
    (True, False)
    """
    return metric in LOWER or metric in LOWER_IS_BETTER


def verdict(metric: str, difference: Estimate) -> str:
    """Return which of two models a paired difference favors: better, worse, or no clear difference.

    >>> verdict("brier", Estimate(value=0.02, low=0.01, high=0.03))
    'worse'
    """
    if metric in UNDIRECTED or difference.low is None or difference.high is None:
        return ""
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    higher = difference.low > 0
    return "better" if higher != lower_is_better(metric) else "worse"


def metrics_per_class(metrics: Mapping[str, Estimate], classes: list[str]) -> dict[str, dict[str, str]]:
    """Return the metrics of single classes: class -> {metric without the class: metric's key}."""
    found: dict[str, dict[str, str]] = {}
    for name in classes:
        for head in PER_CLASS:
            if f"{head}_{name}" in metrics:
                found.setdefault(name, {})[head] = f"{head}_{name}"
    return found
