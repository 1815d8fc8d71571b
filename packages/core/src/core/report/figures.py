"""The plots of a record, one function each, for ``plots/`` and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic_io import write_atomically
from core.config.section import Estimate
from core.evaluation.section import (
    BaselineSection,
    DecisionCurveSection,
    PrCurveSection,
    ReliabilityBin,
    ResidualsSection,
    RocCurveSection,
)
from core.report.formatting import format_number
from core.report.glossary import display_name, metrics_per_class
from core.report.record import Record
from core.report.sentences.evaluation import headline_metric
from core.report.svg import BASELINE, GRID, INK, MODEL, MUTED, THIRD, Plot, render_svg
from core.training.section import HistoryPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 25
"""Classes of a confusion matrix or class plot that can still be read."""

Drawing = tuple[Plot, str]


def write_plots(record: Record, folder: Path) -> list[Plot]:
    """Write ``plots/<name>.svg`` for each plot that the record has points for; return the plots for the page."""
    target = folder / "plots"
    target.mkdir(exist_ok=True)
    plots = []
    for plot, text in figures(record):
        write_atomically(target / f"{plot.name}.svg", text)
        plots.append(plot)
    return plots


def figures(record: Record) -> Iterator[Drawing]:
    """Yield the plots that the record has points for, in the page's order."""
    curves, baseline = record.curves, record.baseline or BaselineSection(name="")
    roc = [curve for curve in curves.roc.values() if curve is not None]
    if len(curves.roc) == len(roc) == 1:
        yield _roc(record, roc[0], next(iter(baseline.curves.roc.values()), None))
        pr = next(iter(curves.pr.values()))
        assert pr is not None
        yield _precision_recall(record, pr, next(iter(baseline.curves.pr.values()), None))
    labels = confusion_labels(record)
    by_class = metrics_per_class(record.metrics, labels)
    if len(labels) > 2 and by_class:
        yield _classes(record, dict(list(by_class.items())[:MOST_CLASSES]))
    if curves.reliability:
        yield _reliability(curves.reliability, baseline.curves.reliability or [])
    if record.decision_curve:
        yield _decision(record.decision_curve, baseline.decision_curve)
    if curves.confusion and curves.confusion.counts and len(labels) <= MOST_CLASSES:
        yield _confusion(labels, np.asarray(curves.confusion.counts, np.float64))
    if curves.residuals:
        yield _residuals(curves.residuals)
    if any(point.loss is not None for point in record.training.history):
        yield _learning(record.training.history)
    metric = headline_metric(record)
    if metric is not None and any(" × " not in a and t.groups for a, t in record.groups.items()):
        yield _groups(record, metric)


def confusion_labels(record: Record) -> list[str]:
    """Return the classes of the confusion matrix; empty without one."""
    return record.curves.confusion.labels if record.curves.confusion else []


def _value(metrics: Mapping[str, Estimate], name: str) -> str:
    return format_number(metrics[name].value) if name in metrics else ""


def _unit(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal", adjustable="box")


def _pair_label(record: Record, metric: str) -> tuple[str, str]:
    theirs = record.baseline.metrics if record.baseline else {}
    return f"model {_value(record.metrics, metric)}", f"baseline {_value(theirs, metric)}"


def _roc(record: Record, curve: RocCurveSection, theirs: RocCurveSection | None) -> Drawing:
    label, other = _pair_label(record, "auroc")

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", label="chance 0.500")
        if theirs:
            axes.plot(theirs.fpr, theirs.tpr, color=BASELINE, ls="--", lw=1.4, label=other)
        axes.plot(curve.fpr, curve.tpr, color=MODEL, label=label)
        axes.set(xlabel="false positive rate (1 - specificity)", ylabel="true positive rate (sensitivity)")
        _unit(axes)
        axes.legend(loc="lower right", reverse=True)

    alt = f"ROC curve on the test set: area under the curve, {label}" + (f", {other}." if theirs else ".")
    return render_svg(
        "roc", "ROC curve", "Cases detected against false alarms, over all thresholds", alt, draw
    )


def _precision_recall(record: Record, curve: PrCurveSection, theirs: PrCurveSection | None) -> Drawing:
    label, other = _pair_label(record, "auprc")
    chance = f"prevalence {format_number(curve.prevalence)}"

    def draw(axes: Axes) -> None:
        axes.axhline(curve.prevalence, color=MUTED, lw=1, ls=":", label=chance)
        if theirs:
            axes.plot(theirs.recall, theirs.precision, color=BASELINE, ls="--", lw=1.4, label=other)
        axes.plot(curve.recall, curve.precision, color=MODEL, label=label)
        axes.set(xlabel="recall (sensitivity)", ylabel="precision (PPV)")
        _unit(axes)
        axes.legend(loc="upper right", reverse=True)

    alt = f"Precision-recall curve on the test set: average precision, {label}, {chance}."
    subtitle = "Correct alarms against cases detected, over all thresholds"
    return render_svg("pr", "Precision-recall curve", subtitle, alt, draw)


def _reliability(points: list[ReliabilityBin], theirs: list[ReliabilityBin]) -> Drawing:
    def draw(axes: Axes) -> None:
        edge = max(p.high for p in points)
        edge = min(1.0, max(edge, *(p.predicted for p in points)) * 1.06)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", label="ideal")
        if theirs:
            axes.plot(
                [p.predicted for p in theirs],
                [p.observed for p in theirs],
                color=BASELINE,
                ls="--",
                lw=1.2,
                label="baseline",
            )
        x, y = [p.predicted for p in points], [p.observed for p in points]
        # At 0 and 1 rounding can put the end of Wilson's interval a hair inside the observed share.
        below = [max(p.observed - p.low, 0.0) for p in points]
        above = [max(p.high - p.observed, 0.0) for p in points]
        axes.errorbar(
            x, y, yerr=[below, above], fmt="o-", ms=4, lw=1.4, color=MODEL, elinewidth=1, label="model"
        )
        axes.set(xlim=(-0.01 * edge, edge), ylim=(-0.01 * edge, edge))
        axes.set(xlabel="predicted probability", ylabel="observed frequency")
        axes.set_aspect("equal", adjustable="box")
        axes.legend(loc="upper left")

    worst = max(points, key=lambda p: abs(p.predicted - p.observed))
    alt = (
        "Reliability diagram: predicted probabilities against observed frequencies. Largest difference where the "
        f"model predicts {format_number(worst.predicted)} and {format_number(worst.observed)} is observed."
    )
    return render_svg(
        "reliability", "Reliability diagram", "Do predicted probabilities match what is observed?", alt, draw
    )


def _decision(curve: DecisionCurveSection, theirs: DecisionCurveSection | None) -> Drawing:
    x = np.asarray(curve.thresholds)
    model, everyone = np.asarray(curve.model), np.asarray(curve.all)

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, lw=1.2, label="act on none")
        axes.plot(x, everyone, color=THIRD, lw=1.4, ls="-.", label="act on all")
        if theirs:
            axes.plot(theirs.thresholds, theirs.model, color=BASELINE, ls="--", lw=1.4, label="baseline")
        axes.fill_between(x, curve.low, curve.high, color=MODEL, alpha=0.18, lw=0)
        axes.plot(x, model, color=MODEL, label="model")
        top = max(float(model.max()), float(everyone.max()), 1e-3)
        axes.set(ylim=(-0.35 * top, 1.1 * top), xlim=(float(x[0]), float(x[-1])))
        axes.set(xlabel="threshold probability", ylabel="net benefit per row")
        axes.legend(loc="upper right")

    useful = x[(model > everyone) & (model > 0)]
    where = (
        f"from {format_number(float(useful.min()))} to {format_number(float(useful.max()))}"
        if len(useful)
        else "nowhere"
    )
    alt = (
        f"Decision curve: the model's net benefit exceeds acting on all or on none {where} of the threshold "
        "probability."
    )
    subtitle = "Is acting on the model worth more than acting on all or on none?"
    return render_svg("decision", "Decision curve (net benefit)", subtitle, alt, draw)


def _confusion(labels: list[str], counts: np.ndarray[Any, Any]) -> Drawing:
    k = len(labels)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        for row in range(k):
            for column in range(k):
                depth = 0.7 * float(share[row, column])
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=MODEL, alpha=depth, lw=0))
                if k > 7 and share[row, column] < 0.005:
                    continue  # a field of noughts hides what is confused
                text = f"{100 * share[row, column]:.0f}"
                if k <= 4:
                    text += f" %\n{int(counts[row, column]):,}"
                axes.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center",
                    fontsize=10 if k <= 7 else 7 if k <= 16 else 5.5,
                    color=INK,
                )
        longest = 18 if k <= 7 else 32
        short = [label if len(label) <= longest else f"{label[: longest - 1]}…" for label in labels]
        axes.set_xticks(range(k), short, rotation=0 if k <= 4 else 60, ha="center" if k <= 4 else "right")
        axes.set_yticks(range(k), short)
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(visible=False)
        axes.grid(visible=True, which="minor", color=GRID, lw=0.8)
        axes.tick_params(which="both", length=0)
        axes.tick_params(which="major", labelsize=10 if k <= 7 else 8)
        axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), xlabel="predicted", ylabel="true")

    kept = ", ".join(f"{label} {100 * share[i, i]:.0f} %" for i, label in enumerate(labels))
    size = (4.2, 3.6) if k <= 7 else (0.3 * k + 2.8, 0.24 * k + 2.2)
    subtitle = "Rows, and % of each true class" if k <= 4 else "% of each true class"
    alt = f"Confusion matrix. Correctly predicted: {kept}."
    return render_svg("confusion", "Confusion matrix", subtitle, alt, draw, size, wide=k > 7)


def _residuals(points: ResidualsSection) -> Drawing:
    predicted, truth = np.asarray(points.predicted), np.asarray(points.truth)

    def draw(axes: Axes) -> None:
        low, high = float(min(predicted.min(), truth.min())), float(max(predicted.max(), truth.max()))
        axes.plot([low, high], [low, high], color=MUTED, lw=1, ls=":", label="ideal")
        axes.plot(predicted, truth, "o", ms=2.5, alpha=0.45, color=MODEL, mew=0, label="test rows")
        axes.set(xlabel="predicted", ylabel="observed")
        axes.legend(loc="upper left")

    apart = format_number(float((predicted - truth).mean()), signed=True)
    alt = f"Predicted against observed values of {len(truth)} test rows; mean difference {apart}."
    return render_svg("residuals", "Predicted against observed", "A dot for each test row", alt, draw)


def _learning(history: list[HistoryPoint]) -> Drawing:
    losses = [(p.step, p.loss) for p in history if p.loss is not None]
    validations = [(p.step, p.validation) for p in history if p.validation]
    metric = next((k for k in validations[0][1] if k != "loss"), "loss") if validations else ""
    held = [(step, value) for step, found in validations if (value := found.get(metric)) is not None]

    def draw(axes: Axes) -> None:
        axes.plot(*zip(*losses, strict=True), color=MODEL, label="training loss")
        axes.set(xlabel="step", ylabel="training loss")
        lines = list(axes.get_lines())
        if held:
            right = axes.twinx()
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
            name = display_name(metric)
            lines += right.plot(
                *zip(*held, strict=True),
                color=BASELINE,
                ls="--",
                marker="o",
                ms=3,
                label=f"validation {name}",
            )
            right.set_ylabel(f"validation {name}")
        axes.legend(lines, [str(line.get_label()) for line in lines], loc="center right")

    (first, start), (last, end) = losses[0], losses[-1]
    alt = (
        f"Learning curve: training loss from {format_number(start)} at step {first} to {format_number(end)} at step "
        f"{last}."
    )
    return render_svg("learning", "Learning curve", "Training loss and validation over the steps", alt, draw)


def _classes(record: Record, classes: dict[str, dict[str, str]]) -> Drawing:
    head = next(h for h in ("iou", "auroc", "f1", "recall") if h in next(iter(classes.values())))
    rows = [(name, metrics[head]) for name, metrics in classes.items() if head in metrics]
    theirs = record.baseline.metrics if record.baseline else {}
    ours = [(name, record.metrics[metric], theirs.get(metric)) for name, metric in rows]
    title = f"{display_name(head)} by class"
    alt = f"{title}: " + ", ".join(f"{name} {format_number(m.value)}" for name, m, _ in ours) + "."
    return render_svg(
        "classes",
        title,
        "Each class against the rest, with intervals",
        alt,
        lambda axes: _intervals(axes, ours, display_name(head)),
        (4.2, 0.29 * len(ours) + 1.2),
    )


def _groups(record: Record, metric: str) -> Drawing:
    rows: list[tuple[str, Estimate, Estimate | None]] = [("overall", record.metrics[metric], None)]
    for attribute, table in record.groups.items():
        if " × " in attribute:
            continue
        for name, group in table.groups.items():
            rows.append((f"{attribute}: {name}", group.metrics.get(metric) or Estimate(), None))
    rows = rows[:40]
    title = f"{display_name(metric)} by group"
    alt = f"{title}: " + ", ".join(f"{n} {format_number(e.value)}" for n, e, _ in rows) + "."

    def draw(axes: Axes) -> None:
        _intervals(axes, rows, display_name(metric))
        if rows[0][1].value is not None:
            axes.axvline(rows[0][1].value, color=MUTED, lw=1, ls=":", zorder=1)

    subtitle = "With intervals; the dotted line is the overall value"
    return render_svg("groups", title, subtitle, alt, draw, (4.6, 0.29 * len(rows) + 1.0))


def _intervals(axes: Axes, rows: Sequence[tuple[str, Estimate, Estimate | None]], label: str) -> None:
    """Draw estimates with their intervals below each other, the baseline's beside where there is one."""
    compared = any(theirs is not None for *_, theirs in rows)
    for y, (_, ours, theirs) in enumerate(rows):
        shift = 0.16 if theirs is not None else 0.0
        for estimate, color, mark, at in ((ours, MODEL, "o", y - shift), (theirs, BASELINE, "D", y + shift)):
            if estimate is None or estimate.value is None:
                continue
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [at, at], color=color, lw=1.6, solid_capstyle="butt")
            name = ("model" if color == MODEL else "baseline") if y == 0 and compared else None
            axes.plot([estimate.value], [at], mark, color=color, ms=5 if mark == "o" else 3.8, label=name)
    names = [name if len(name) <= 26 else f"{name[:25]}…" for name, *_ in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=label)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if compared:
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)
