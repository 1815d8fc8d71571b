"""How figures are named and written for people, on the page and on the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.report.record import Figure, Json
from core.targets.metrics import LOWER_IS_BETTER

NAMES: Mapping[str, tuple[str, str]] = {
    "auroc": ("AUROC", "chance that a positive row is ranked above a negative one; 0.5 is guessing"),
    "auprc": ("AUPRC", "average precision over all recalls; guessing gives the share of positives"),
    "accuracy": ("Accuracy", "share of rows decided right"),
    "balanced_accuracy": ("Balanced accuracy", "mean of the classes' recalls"),
    "f1": ("F1", "harmonic mean of precision and recall at the chosen threshold"),
    "macro_f1": ("Macro F1", "mean of the classes' F1"),
    "micro_f1": ("Micro F1", "F1 of all label decisions together"),
    "macro_auroc": ("Macro AUROC", "mean of the classes' AUROC, each against the rest"),
    "macro_auprc": ("Macro AUPRC", "mean of the classes' average precision"),
    "sensitivity": ("Sensitivity", "share of positives found at the chosen threshold"),
    "specificity": ("Specificity", "share of negatives spared at the chosen threshold"),
    "ppv": ("PPV", "share of alarms that are right, at the stated prevalence"),
    "npv": ("NPV", "share of all-clears that are right, at the stated prevalence"),
    "net_benefit": ("Net benefit", "true alarms less false ones at their cost, a row"),
    "log_loss": ("Log loss", "mean surprise at the truth, in nats; lower is better"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
    "ece": ("Calibration error", "mean distance of forecast and outcome over bins; lower is better"),
    "calibration_slope": ("Calibration slope", "1 is right; below 1 the forecasts are too extreme"),
    "calibration_intercept": ("Calibration intercept", "0 is right; below 0 the forecasts are too high"),
    "exact_match": ("Exact match", "share of rows with every label right"),
    "hamming_loss": ("Label errors", "share of label decisions that are wrong; lower is better"),
    "miou": (
        "Mean IoU",
        "overlap of decided and true pixels of a class over their union; mean of the classes",
    ),
    "iou": ("IoU", "overlap of decided and true pixels over their union"),
    "pixel_accuracy": ("Pixel accuracy", "share of pixels decided right"),
    "mean_class_accuracy": ("Mean class accuracy", "mean of the classes' recalls of pixels"),
    "aurc": ("AURC", "mean share of errors among the surest answers, over all coverages; lower is better"),
    "excess_aurc": ("Excess AURC", "AURC above that of an order that knows all errors; lower is better"),
    "qwk": ("Weighted kappa", "agreement beyond chance, larger slips counting more (quadratic)"),
    "adjacent": ("Adjacent agreement", "share of rows at most one step off"),
    "mae": ("Mean absolute error", "lower is better"),
    "rmse": ("RMSE", "root of the mean squared error; lower is better"),
    "bias": ("Mean error", "prediction less truth; 0 is right"),
    "r2": ("R²", "share of the truth's variance explained"),
    "pearson": ("Correlation", "Pearson's r of prediction and truth"),
}
LOWER = LOWER_IS_BETTER | {"ece", "hamming_loss"}
UNDIRECTED = {"calibration_slope": 1.0, "calibration_intercept": 0.0, "bias": 0.0}
"""Figures that are right at a value, not high or low."""

_POINT = re.compile(r"(sensitivity|specificity)_at_([\d.]+)_(sensitivity|specificity)")


def display_name(metric: str) -> str:
    """Name a metric for a reader."""
    if metric in NAMES:
        return NAMES[metric][0]
    point = _POINT.fullmatch(metric)
    if point:
        return f"{point[1].capitalize()} at {point[2]} % {point[3]}"
    head, _, rest = metric.partition("_")
    if head in NAMES and rest:
        return f"{NAMES[head][0]}, {rest}"
    text = metric.replace("_", " ")
    return text[:1].upper() + text[1:]


def metric_gloss(metric: str) -> str:
    """Say in a few words what a metric tells; empty for one that is not known here."""
    if metric in NAMES:
        return NAMES[metric][1]
    if _POINT.fullmatch(metric):
        return "at the threshold that reached it on validation"
    return ""


def format_number(value: float | None, signed: bool = False) -> str:
    """Write a figure with three decimals, or three significant digits when large; a dash where undefined."""
    if value is None:
        return "–"
    size = abs(value)
    text = f"{size:.3f}" if size < 100 else f"{size:,.0f}" if size >= 1000 else f"{size:.1f}"
    negative = value < 0 and float(text.replace(",", "")) != 0
    sign = "−" if negative else "+" if signed and float(text.replace(",", "")) != 0 else ""
    return sign + text


PREFIXES = {1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ"}


def format_si(value: float, unit: str = "") -> str:
    """Write a quantity of any size with three significant digits, its unit with a prefix where it is small or large."""
    if value == 0:
        return f"0 {unit}".rstrip()
    size = abs(value)
    if unit:
        factor = next((factor for factor in PREFIXES if size >= factor), min(PREFIXES))
        return f"{format_si(value / factor)} {PREFIXES[factor]}{unit}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 1e-3 else f"{value:.1e}"


def format_duration(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"


def format_cell(value: Json) -> str:
    """Write a value of a study's table."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_number(value)
    return ", ".join(format_cell(item) for item in value) if isinstance(value, list) else str(value)


def format_interval(figure: Figure, signed: bool = False) -> str:
    """Write an interval, or nothing where none was made."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{format_number(figure.low, signed)} to {format_number(figure.high, signed)}"


def verdict(metric: str, difference: Figure) -> str:
    """Say which of two models a paired difference favours: better, worse, or no clear difference."""
    if metric in UNDIRECTED or difference.low is None or difference.high is None:
        return ""
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    higher = difference.low > 0
    return "better" if higher != (metric in LOWER) else "worse"


def metrics_per_class(metrics: Mapping[str, Figure], classes: list[str]) -> dict[str, dict[str, str]]:
    """Sort out the figures of single classes: class -> {figure: metric's name}."""
    found: dict[str, dict[str, str]] = {}
    for name in classes:
        for head in ("iou", "auroc", "auprc", "f1", "recall", "precision"):
            if f"{head}_{name}" in metrics:
                found.setdefault(name, {})[head] = f"{head}_{name}"
    return found
