"""Sentences about the record's ``metrics`` and what belongs to them: intervals, baseline, thresholds, calibration."""

from __future__ import annotations

from core.report.formatting import (
    format_count,
    format_interval,
    format_number,
    format_percent,
)
from core.report.glossary import display_name, verdict
from core.report.record import Record, plain

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
SCALINGS = {
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
    confidence = plain(record.intervals).get("confidence")
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
        return f"{display_name(rule)} >= {100 * float(wanted):g} %"
    return RULES.get(rule, rule)


def method(record: Record) -> str:
    """Return on which rows the metrics were measured and how their intervals were computed."""
    intervals = plain(record.intervals)
    if not intervals.get("confidence"):
        return "No intervals were computed."
    unit = f"{record.data.unit_name}s" if intervals["resampled"] == "units" else "rows"
    paired = (
        " Model and baseline were trained on the same rows and are compared on the same resamples."
        if record.baseline
        else ""
    )
    return (
        f"Ranges are {format_percent(intervals['confidence'])} intervals from {format_count(intervals['resamples'])} "
        f"bootstrap resamples of the test set's {unit}.{paired}"
    )


def undefined(record: Record) -> str:
    """Return in how many resamples a metric was undefined and left out; empty where in none."""
    counts = {name: plain(metric).get("undefined") or 0 for name, metric in record.metrics.items()}
    listed = [f"{display_name(name)} {count:,}" for name, count in counts.items() if count]
    return f"Resamples in which a metric is undefined and left out: {', '.join(listed[:12])}." if listed else ""


def costs(record: Record) -> str:
    """Return the costs of errors and the prevalence that predictive values refer to; empty without them."""
    thresholds = plain(record.thresholds)
    if thresholds.get("cost_threshold") is None:
        return ""
    return (
        f"A false negative is taken to cost {thresholds['cost_false_negative']:g}, a false positive "
        f"{thresholds['cost_false_positive']:g}, which makes acting worth it from a probability of "
        f"{format_number(thresholds['cost_threshold'])}. PPV and NPV in the table of metrics refer to a prevalence of "
        f"{format_number(thresholds['prevalence'])}."
    )


def recalibration(record: Record) -> str:
    """Return whether and how the probabilities were recalibrated; empty where there are none."""
    scaling = plain(record.calibration).get("scaling")
    if not scaling or plain(record.curves).get("residuals"):
        return ""
    return f"{SCALINGS.get(scaling['method'], scaling['method'])}: {scaling['reason']}."


def group_gap(record: Record) -> tuple[str, str]:
    """Return headline and detail of the largest difference of the headline metric between groups, without an audit."""
    metric = headline_metric(record)
    widest: tuple[float, str] | None = None
    for attribute, table in plain(record.groups).items():
        if " × " in attribute or metric is None:
            continue
        values = {
            name: group["metrics"][metric]["value"]
            for name, group in table["groups"].items()
            if (group["metrics"].get(metric) or {}).get("value") is not None
        }
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
