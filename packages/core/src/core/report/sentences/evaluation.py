"""Sentences about the record's ``metrics`` and what belongs to them: intervals, baseline, thresholds, calibration."""

from __future__ import annotations

from core.report.formatting import (
    format_count,
    format_interval,
    format_number,
    format_percent,
)
from core.report.glossary import display_name, verdict
from core.report.record import Record

BASELINES = {
    "boosting": "gradient boosting",
    "logistic": "logistic regression",
    "tfidf": "TF-IDF with logistic regression",
    "tfidf_tagger": "TF-IDF and a linear tagger",
    "linear_probe": "linear probe of histograms",
}
RULES = {
    "youden": "Youden's index",
    "cost": "Least expected cost",
    "sensitivity": "Target sensitivity",
    "specificity": "Target specificity",
    "f1": "Largest F1",
    "0.5": "One half",
}
"""How a threshold is chosen -> its name."""
RECALIBRATIONS = {
    "none": "The probabilities are the model's own",
    "platt": "The probabilities were recalibrated by Platt scaling (a logistic curve fitted on validation)",
    "temperature": "The probabilities were recalibrated by temperature scaling, fitted on validation",
}


def headline_metric(record: Record) -> str | None:
    """Return the metric that the run is judged by: the first of its metrics."""
    return next(iter(record.metrics), None)


def headline(record: Record) -> str:
    """Return the headline metric and its value; empty where there is none."""
    metric = headline_metric(record)
    if metric is None or record.metrics[metric].value is None:
        return ""
    return f"{display_name(metric)} {format_number(record.metrics[metric].value)}"


def detail(record: Record) -> str:
    """Return the headline metric's interval and how the baseline does."""
    metric = headline_metric(record)
    if metric is None:
        return ""
    estimate = record.metrics[metric]
    confidence = record.intervals.confidence
    sentences = []
    if format_interval(estimate):
        kind = f"{100 * confidence:.4g} % interval" if confidence else "Interval"
        sentences.append(f"{kind} {format_interval(estimate)}, on the test set.")
    if record.baseline is not None and metric in record.baseline.metrics:
        value = format_number(record.baseline.metrics[metric].value)
        text = f"Baseline ({baseline_name(record.baseline.name)}): {value}"
        difference = record.baseline.difference.get(metric)
        word = verdict(metric, difference) if difference is not None else ""
        text += f"; {word}" if word == "no clear difference" else f"; the model is {word}" if word else ""
        sentences.append(f"{text}.")
    return " ".join(sentences)


def baseline_name(baseline: str) -> str:
    """Return a baseline's name for a reader.

    >>> baseline_name("boosting")
    'gradient boosting'
    """
    return BASELINES.get(baseline, baseline)


def rule_name(record: Record, rule: str) -> str:
    """Return the name of a rule that chooses a threshold, with the sensitivity or specificity that it holds."""
    wanted = record.run.config.get("evaluation", {}).get(f"target_{rule}")
    if wanted is not None:
        return f"{display_name(rule)} ≥ {100 * float(wanted):g} %"
    return RULES.get(rule, rule)


def method(record: Record) -> str:
    """Return how the intervals were computed."""
    intervals = record.intervals
    if intervals.confidence is None:
        return "No intervals were computed."
    unit = f"{record.data.unit_name}s" if intervals.resampled == "units" else "rows"
    paired = (
        " Model and baseline were trained on the same rows and are compared on the same resamples."
        if record.baseline
        else ""
    )
    return (
        f"Ranges are {format_percent(intervals.confidence)} intervals from {format_count(intervals.resamples)} "
        f"bootstrap resamples of the test set's {unit}.{paired}"
    )


def undefined(record: Record) -> str:
    """Return in how many resamples a metric was undefined and left out; empty where in none."""
    listed = [f"{display_name(name)} {m.undefined:,}" for name, m in record.metrics.items() if m.undefined]
    return (
        f"Resamples in which a metric is undefined and left out: {', '.join(listed[:12])}." if listed else ""
    )


def costs(record: Record) -> str:
    """Return the costs of errors and the prevalence that predictive values refer to; empty without them."""
    t = record.thresholds
    if t.cost_threshold is None:
        return ""
    return (
        f"A false negative is taken to cost {t.cost_false_negative:.3g}, a false positive {t.cost_false_positive:.3g}, "
        f"which makes acting worth it from a probability of {format_number(t.cost_threshold)}. PPV and NPV in the "
        f"table of metrics refer to a prevalence of {format_number(t.prevalence)}."
    )


def recalibration(record: Record) -> str:
    """Return whether and how the probabilities were recalibrated, and why; empty where there are none."""
    found = record.calibration.recalibration
    if found.reason == "no_probabilities" or record.curves.residuals:
        return ""
    gain = f"the cross-fitted log loss on validation changes by {format_number(-(found.gain or 0.0), signed=True)}"
    figures = f"{gain} (standard error {format_number(found.standard_error)})"
    reason = {
        "requested": "as the configuration asks",
        "improves": figures,
        "no_clear_gain": f"{figures}, no clear gain",
        "too_few_rows": "too few rows on validation, or no increasing fit",
        "kept_by_network": "those of pixels are not recalibrated",
    }.get(found.reason, "no recalibration was asked for")
    unfitted = f" Left as they are for want of rows: {', '.join(found.unfitted)}." if found.unfitted else ""
    return f"{RECALIBRATIONS.get(found.method, found.method)}: {reason}.{unfitted}"


def group_gap(record: Record) -> tuple[str, str]:
    """Return headline and detail of the largest difference of the headline metric between groups, without an audit."""
    metric = headline_metric(record)
    widest: tuple[float, str] | None = None
    for attribute, table in record.groups.items():
        if " × " in attribute or metric is None:
            continue
        found = {
            name: group.metrics[metric].value
            for name, group in table.groups.items()
            if metric in group.metrics
        }
        values = {name: value for name, value in found.items() if value is not None}
        if len(values) < 2:
            continue
        low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        gap = values[high] - values[low]
        if widest is None or gap > widest[0]:
            text = f"{attribute}: {low} {format_number(values[low])}, {high} {format_number(values[high])}"
            widest = (gap, text)
    if widest is None or metric is None:
        return "", ""
    return (
        f"{display_name(metric)} differs by {format_number(widest[0])}",
        f"Largest between groups of {widest[1]}. Described, not tested.",
    )
