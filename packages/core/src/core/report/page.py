"""``report.html``: the whole run on one page, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.report.answers import answers, headline_metric, plain_name
from core.report.plots import Plot, write_plots
from core.report.record import Figure, Json, Record
from core.report.wording import cell, duration, meaning, named, number, per_class, plainly, spread, verdict
from core.training.files import write_atomically

GROUP_FIGURES = 5
"""Figures of a group that fit a table; the record has them all."""
RULES = {
    "youden": "Youden's index: sensitivity and specificity together",
    "cost": "Least cost",
    "sensitivity": "Sensitivity floor",
    "specificity": "Specificity floor",
    "f1": "Largest F1",
    "0.5": "One half",
}


def write_page(record: Record, folder: Path, config: Mapping[str, Json] | None = None) -> Path:
    """Draw the plots into ``folder/plots`` and write ``folder/report.html``; return its path.

    The page needs no server and no other address. ``config`` is the composed configuration, shown as it is.
    """
    path = folder / "report.html"
    write_atomically(path, page(record, write_plots(record, folder), config or {}))
    return path


def page(record: Record, plots: list[Plot], config: Mapping[str, Json]) -> str:
    """Give the page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("core.report", ""),
        autoescape=select_autoescape(default_for_string=True, default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(
        number=number,
        spread=spread,
        named=named,
        figure=Figure.model_validate,
        cell=cell,
        plainly=plainly,
        duration=duration,
    )
    labels = record.curves.get("confusion", {}).get("labels", [])
    classes = per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for figures in classes.values() for metric in figures.values()}
    shown = [metric for metric in record.metrics if metric not in single]
    heads = [
        h
        for h in ("iou", "auroc", "auprc", "f1", "recall", "precision")
        if any(h in f for f in classes.values())
    ]
    return environment.get_template("page.html.j2").render(
        record=record,
        simulated=record.data.simulated or record.run.simulated,
        subtitle=_subtitle(record),
        answers=answers(record),
        method=_method(record),
        challenger_name=plain_name(record.challenger.name) if record.challenger else "",
        rows=[_row(record, metric) for metric in shown],
        undefined=_undefined(record),
        classes=classes,
        class_heads=heads,
        plots=plots,
        points=_points(record),
        threshold_text=_threshold_text(record),
        scaling=_scaling(record),
        group_metrics=_group_metrics(record, shown),
        has_units=_has_units(record),
        model=_model(record),
        config=sorted(_flat(config).items()),
        environment=_environment(record),
        files=sorted({**record.data.files, **record.files}.items()),
    )


def _subtitle(record: Record) -> str:
    held = record.data.rows.get("test")
    parts = [f"Data: {record.data.source}", f"backbone {record.model.backbone}"]
    if record.run.finished:
        parts.append(record.run.finished[:16].replace("T", " "))
    if held:
        parts.append(f"judged on {held:,} held-out rows")
    return " · ".join(parts)


def _method(record: Record) -> str:
    made = record.intervals
    if not made.get("confidence"):
        return "Figures of the test part, which neither training nor the choice of thresholds has seen."
    unit = f"{record.data.unit_name}s" if made["resampled"] == "units" else "rows"
    text = (
        f"Ranges are {100 * made['confidence']:.4g} % intervals from {made['resamples']:,} bootstrap resamples of "
        f"the test part's {unit}. "
    )
    if record.challenger:
        text += "Model and challenger were trained on the same rows and compared on the same resamples."
    return text


def _row(record: Record, metric: str) -> dict[str, Any]:
    challenger = record.challenger
    difference = challenger.difference.get(metric) if challenger else None
    return {
        "name": named(metric),
        "meaning": meaning(metric),
        "ours": record.metrics[metric],
        "theirs": challenger.metrics.get(metric) if challenger else None,
        "difference": difference,
        "verdict": verdict(metric, difference) if difference else "",
    }


def _undefined(record: Record) -> str:
    counts = {m: (f.model_extra or {}).get("undefined", 0) for m, f in record.metrics.items()}
    said = [f"{named(m)} {n}" for m, n in counts.items() if n]
    return f"Resamples in which a figure is undefined and left out: {', '.join(said[:12])}." if said else ""


def _points(record: Record) -> list[dict[str, Any]]:
    points = record.thresholds.get("points", {})
    used = record.thresholds.get("rule")
    return [
        {
            "rule": RULES.get(rule, rule),
            "chosen": rule == used,
            "threshold": p["threshold"],
            "test": p["test"],
        }
        for rule, p in points.items()
    ]


def _threshold_text(record: Record) -> str:
    t = record.thresholds
    if "cost_threshold" not in t:
        return ""
    return (
        f"A miss is taken to cost {number(t['cost_false_negative'] / t['cost_false_positive'])} false alarms, which "
        f"makes acting worth it from a probability of {number(t['cost_threshold'])}. PPV and NPV in the table above "
        f"are stated at a prevalence of {number(t['prevalence'])}."
    )


def _scaling(record: Record) -> str:
    scaling = record.calibration.get("scaling")
    if not scaling or "residuals" in record.curves:
        return ""
    names = {
        "none": "The probabilities are the model's own",
        "platt": "The probabilities were corrected by a logistic curve fitted on validation (Platt scaling)",
        "temperature": "The probabilities were corrected by a temperature fitted on validation",
    }
    return f"{names.get(scaling['method'], scaling['method'])}: {scaling['reason']}."


def _group_metrics(record: Record, shown: list[str]) -> list[str]:
    wanted = [headline_metric(record), "sensitivity", "specificity", "ppv", "calibration_slope"]
    kept = [m for m in dict.fromkeys(wanted) if m is not None and m in shown]
    return (kept + [m for m in shown if m not in kept])[:GROUP_FIGURES]


def _has_units(record: Record) -> bool:
    groups = [group for table in record.groups.values() for group in table["groups"].values()]
    return any(group["units"] is not None and group["units"] != group["rows"] for group in groups)


def _model(record: Record) -> list[tuple[str, str]]:
    m, t = record.model, record.training
    told: list[tuple[str, str | None]] = [
        ("Backbone", m.backbone),
        ("Adapter", m.adapter),
        ("Parameters", f"{m.parameters:,}" if m.parameters is not None else None),
        ("Trained", f"{m.trainable:,}" if m.trainable is not None else None),
        ("Epochs", f"{t.epochs:g}" if t.epochs is not None else None),
        ("Steps", f"{t.steps:,}" if t.steps is not None else None),
        ("Stopped early", {True: "yes", False: "no", None: None}[t.stopped_early]),
        ("Precision", t.precision),
        ("Training time", f"{t.seconds:,.1f} s" if t.seconds is not None else None),
        ("Seed", str(record.run.seed) if record.run.seed is not None else None),
        ("Challenger", _challenger(record)),
        ("Command", record.run.command),
    ]
    return [(name, value) for name, value in told if value is not None]


def _challenger(record: Record) -> str | None:
    if record.challenger is None:
        return None
    details = (record.challenger.model_extra or {}).get("details", {})
    text = plain_name(record.challenger.name)
    if "rows" in details:
        text += f" ({details['estimator']})"
        text += f", fitted on {details['rows']:,} of {details['rows_available']:,} training rows"
    return text


def _environment(record: Record) -> list[tuple[str, str]]:
    return [(k.capitalize(), str(v)) for k, v in record.environment.model_dump().items() if v is not None]


def _flat(config: Mapping[str, Json], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = str(value)
    return flat
