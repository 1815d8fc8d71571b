"""``report.html``: the whole run on one page, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.report.summary import summary_items, headline_metric, baseline_name, responsible, speed
from core.report.details import environment, files, method, model, points, scaling, threshold_text, undefined
from core.report.svg import Plot, write_plots
from core.report.json_pointer import with_pointers, to_pointer
from core.report.record import Json, Record, plain
from core.report.formatting import metric_gloss, display_name, metrics_per_class, verdict
from core.atomic_io import write_atomically

GROUP_FIGURES = 5
"""Figures of a group that fit a table; the record has them all."""
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
"""Where the points of each plot stand."""


def write_page(record: Record, folder: Path) -> Path:
    """Draw the plots into ``folder/plots`` and write ``folder/report.html``; return its path.

    The page needs no server and no other address. Every figure on it carries the JSON pointer of its field.
    """
    path = folder / "report.html"
    write_atomically(path, page(record, write_plots(record, folder)))
    return path


def page(record: Record, plots: list[Plot]) -> str:
    """Give the page as text."""
    from core.report.templates import html

    content = with_pointers(plain(record))
    labels = record.curves.get("confusion", {}).get("labels", [])
    classes = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for figures in classes.values() for metric in figures.values()}
    shown = [metric for metric in record.metrics if metric not in single]
    heads = [
        h
        for h in ("iou", "auroc", "auprc", "f1", "recall", "precision")
        if any(h in f for f in classes.values())
    ]
    return (
        html()
        .get_template("page.html.j2")
        .render(
            record=content,
            simulated=record.data.simulated or record.run.simulated,
            answers=[*summary_items(record), responsible(record)],
            speed=speed(record),
            method=method(content),
            baseline_name=baseline_name(record.baseline.name) if record.baseline else "",
            rows=[_row(record, content, metric) for metric in shown],
            undefined=undefined(content),
            classes=classes,
            class_heads=heads,
            plots=plots,
            plotted=PLOTTED,
            points=points(content),
            threshold_text=threshold_text(content),
            scaling=scaling(content),
            group_metrics=_group_metrics(record, shown),
            has_units=_has_units(record),
            model=model(record, content),
            config=sorted(_flat(record.run.config).items()),
            environment=environment(record),
            files=files(record),
            at=to_pointer,
        )
    )


def _row(record: Record, content: Json, metric: str) -> dict[str, Any]:
    baseline = record.baseline
    difference = baseline.difference.get(metric) if baseline else None
    theirs = content["baseline"] or {"metrics": {}, "difference": {}}
    return {
        "name": display_name(metric),
        "meaning": metric_gloss(metric),
        "ours": content["metrics"][metric],
        "theirs": theirs["metrics"].get(metric),
        "difference": theirs["difference"].get(metric),
        "verdict": verdict(metric, difference) if difference else "",
    }


def _group_metrics(record: Record, shown: list[str]) -> list[str]:
    wanted = [headline_metric(record), "sensitivity", "specificity", "ppv", "calibration_slope"]
    kept = [m for m in dict.fromkeys(wanted) if m is not None and m in shown]
    return (kept + [m for m in shown if m not in kept])[:GROUP_FIGURES]


def _has_units(record: Record) -> bool:
    groups = [group for table in record.groups.values() for group in table["groups"].values()]
    return any(group["units"] is not None and group["units"] != group["rows"] for group in groups)


def _flat(config: Mapping[str, Json], above: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """Give each setting by its dotted name: its value as text and the pointer to it."""
    flat: dict[str, tuple[str, str]] = {}
    for key, value in config.items():
        steps = (*above, key)
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, steps)
        else:
            flat[".".join(steps)] = (str(value), to_pointer("run", "config", *steps))
    return flat
