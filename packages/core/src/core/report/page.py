"""``report.html``: the whole run on one page, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.atomic_io import write_atomically
from core.report.figures import confusion_labels, write_plots
from core.report.formatting import format_duration
from core.report.glossary import PER_CLASS, display_name, metric_gloss, metrics_per_class, verdict
from core.report.html_filters import count, general, with_field
from core.report.json_pointer import to_pointer, with_pointers
from core.report.record import Json, Record, plain
from core.report.sentences.evaluation import baseline_name, headline_metric, rule_name
from core.report.sentences.index import MODULES, sentences
from core.report.summary import architecture, optimization, responsible, speed, summary_items
from core.report.svg import Plot

if TYPE_CHECKING:
    from markupsafe import Markup

GROUP_METRICS = 5
"""Metrics of a group that fit a table; the record has them all."""
PLOTTED = {
    "roc": "/curves/roc",
    "pr": "/curves/pr",
    "reliability": "/curves/reliability",
    "decision": "/decision_curve",
    "confusion": "/curves/confusion",
    "residuals": "/curves/residuals",
    "learning": "/training/history",
    "groups": "/groups",
    "classes": "/metrics",
}
"""Plot -> pointer to its points."""
TRAINING = {
    "Ended because": "stop_reason",
    "Weights kept": "weights",
    "Precision": "precision",
    "Feature cache": "feature_cache",
    "Linear probe first": "linear_probe",
    "Notes": "notes",
}
"""Fact -> the function of ``sentences.training`` that words it."""


def write_page(record: Record, folder: Path) -> Path:
    """Draw the plots into ``folder/plots`` and write ``folder/report.html``; return its path.

    The page needs no server and loads nothing. Every number in it carries the JSON pointer of its field, and every
    sentence the name of the function that words it.
    """
    path = folder / "report.html"
    write_atomically(path, page(record, write_plots(record, folder)))
    return path


def page(record: Record, plots: list[Plot]) -> str:
    """Return the page as text."""
    from core.report.templates import html

    content = with_pointers(plain(record))
    labels = confusion_labels(record)
    classes = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for metrics in classes.values() for metric in metrics.values()}
    shown = [metric for metric in record.metrics if metric not in single]
    return (
        html()
        .get_template("page.html.j2")
        .render(
            record=content,
            typed=record,
            words=MODULES,
            say=_say(record),
            simulated=record.data.simulated or record.run.simulated,
            summary=[*summary_items(record), responsible(record)],
            technical=[architecture(record), optimization(record), speed(record)],
            baseline_name=baseline_name(record.baseline.name) if record.baseline else "",
            rows=[_row(record, content, metric) for metric in shown],
            classes=classes,
            class_heads=[h for h in PER_CLASS if any(h in metrics for metrics in classes.values())],
            plots=sorted((plot for plot in plots if plot.name != "groups"), key=lambda plot: plot.wide),
            group_plots=[plot for plot in plots if plot.name == "groups"],
            plotted=PLOTTED,
            points=operating_points(record, content),
            group_metrics=_group_metrics(record, shown),
            has_units=_has_units(content),
            glossary=_glossary(record, shown, bool(classes)),
            model=model_facts(record, content),
            config=sorted(_flat(record.run.config).items()),
            environment=environment_facts(record),
            files=file_hashes(record),
            at=to_pointer,
        )
    )


def _say(record: Record) -> Any:
    """Return the template's function that writes a sentence by its name, marked with that name."""

    def say(name: str) -> Markup:
        from markupsafe import Markup

        spans = [
            Markup('<span data-sentence="{}">{}</span>').format(name, text)
            for text in sentences(record, name)
        ]
        return Markup(" ").join(spans)

    return say


def _row(record: Record, content: Json, metric: str) -> dict[str, Any]:
    baseline = record.baseline
    difference = baseline.difference.get(metric) if baseline else None
    theirs = content["baseline"] or {"metrics": {}, "difference": {}}
    return {
        "name": display_name(metric),
        "gloss": metric_gloss(metric),
        "ours": content["metrics"][metric],
        "theirs": theirs["metrics"].get(metric),
        "difference": theirs["difference"].get(metric),
        "verdict": verdict(metric, difference) if difference else "",
    }


def operating_points(record: Record, content: Json) -> list[dict[str, Any]]:
    """Return the thresholds that the rules would choose, with what they do on the test set."""
    thresholds = content["thresholds"]
    return [
        {
            "rule": rule_name(record, rule),
            "chosen": rule == thresholds.get("rule"),
            "threshold": point["threshold"],
            "test": point["test"],
        }
        for rule, point in (thresholds.get("points") or {}).items()
    ]


def _group_metrics(record: Record, shown: list[str]) -> list[str]:
    wanted = [headline_metric(record), "sensitivity", "specificity", "ppv", "calibration_slope"]
    kept = [m for m in dict.fromkeys(wanted) if m is not None and m in shown]
    return (kept + [m for m in shown if m not in kept])[:GROUP_METRICS]


def _has_units(content: Json) -> bool:
    groups = [group for table in content["groups"].values() for group in table["groups"].values()]
    return any(group["units"] is not None and group["units"] != group["rows"] for group in groups)


def _glossary(record: Record, shown: list[str], by_class: bool) -> dict[str, str]:
    """Return name -> definition of the metrics that stand on the page, but not in its first table."""
    names = [
        *(PER_CLASS if by_class else ()),
        *(m for study in record.studies.values() for m in study.metrics),
    ]
    glosses = {name: metric_gloss(name) for name in dict.fromkeys(names) if name not in shown}
    return {display_name(name): gloss for name, gloss in glosses.items() if gloss}


def model_facts(record: Record, content: Json) -> list[tuple[str, Markup]]:
    """Return what was trained and how, as names and values."""
    m, t, run = content["model"], content["training"], content["run"]
    facts: list[tuple[str, Markup | None]] = [
        ("Backbone", _text(m["backbone"], "/model/backbone")),
        ("Adapter", _text(m["adapter"], "/model/adapter")),
        ("Parameters", count(m["parameters"]) if m["parameters"] is not None else None),
        ("Trainable parameters", count(m["trainable"]) if m["trainable"] is not None else None),
        ("Optimizer", _config(record, "optimizer", "option")),
        ("Epochs", general(t["epochs"]) if t["epochs"] is not None else None),
        ("Steps", count(t["steps"]) if t["steps"] is not None else None),
        *((name, _sentence(record, f"training.{function}")) for name, function in TRAINING.items()),
        (
            "Training time",
            with_field(format_duration(t["seconds"]), "/training/seconds")
            if t["seconds"] is not None
            else None,
        ),
        ("Seed", with_field(str(run["seed"]), "/run/seed") if run["seed"] is not None else None),
        ("Baseline", _baseline(record, content)),
        ("Command", _text(run["command"], "/run/command")),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _sentence(record: Record, name: str) -> Markup | None:
    return _say(record)(name) or None


def _text(value: str | None, where: str) -> Markup | None:
    return None if value is None else with_field(value, where)


def _config(record: Record, group: str, key: str) -> Markup | None:
    value = record.run.config.get(group, {}).get(key)
    return None if value is None else with_field(str(value), to_pointer("run", "config", group, key))


def _baseline(record: Record, content: Json) -> Markup | None:
    from markupsafe import Markup

    if record.baseline is None:
        return None
    name = baseline_name(record.baseline.name)
    details = content["baseline"].get("details") or {}
    if details.get("rows") is None:
        return Markup("{}").format(name)
    return Markup("{} ({}), fitted on {} of {} training rows").format(
        name, details["estimator"], count(details["rows"]), count(details["rows_available"])
    )


def environment_facts(record: Record) -> list[tuple[str, Markup]]:
    """Return where the run was executed, as names and values."""
    found = plain(record.environment).items()
    return [
        (k.capitalize(), with_field(str(v), to_pointer("environment", k))) for k, v in found if v is not None
    ]


def file_hashes(record: Record) -> list[tuple[str, Markup]]:
    """Return the files that were read and written, with their sha256."""
    read = [(name, with_field(v, to_pointer("data", "files", name))) for name, v in record.data.files.items()]
    written = [(name, with_field(v, to_pointer("files", name))) for name, v in record.files.items()]
    return sorted([*read, *written])


def _flat(config: Mapping[str, Json], above: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """Return each setting by its dotted name: its value as text and the pointer to it."""
    flat: dict[str, tuple[str, str]] = {}
    for key, value in config.items():
        steps = (*above, key)
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, steps)
        else:
            flat[".".join(steps)] = (str(value), to_pointer("run", "config", *steps))
    return flat
