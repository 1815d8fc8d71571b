"""Runs of one task side by side: which are on the frontier of utility, privacy, energy and fairness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.atomic_io import write_atomically
from core.config.section import Estimate
from core.fairness.section import Comparison
from core.report.formatting import format_number
from core.report.glossary import display_name, lower_is_better
from core.report.json_pointer import with_pointers
from core.report.record import Json, Record, plain, read_record
from core.report.sentences.evaluation import headline_metric
from core.report.svg import BASELINE, MODEL, MUTED, Plot, render_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("run", "metric", "value", "low", "high", "epsilon", "delta", "joules", "grams", "disparity", "disparity_low",
           "disparity_high", "disparity_of", "p50_ms", "parameters", "frontier")  # fmt: skip


@dataclass
class Point:
    """One run among those compared."""

    name: str
    record: Record
    content: Json
    """The record's plain content, each number with its pointer."""
    estimate: Estimate
    """Of the headline metric."""
    epsilon: float
    """Infinite without differential privacy."""
    joules: float | None
    disparity: Comparison | None
    """The comparison of groups with the largest difference."""
    frontier: bool = False

    @property
    def size_of_disparity(self) -> float | None:
        """The largest difference's size; None where none was measured."""
        value = self.disparity.difference.value if self.disparity else None
        return None if value is None else abs(value)


def compare(folders: Sequence[str], output: Path) -> list[Point]:
    """Write ``comparison.html`` and ``comparison.csv`` about several finished runs of one task into a folder.

    A run is on the frontier when no other is at least as good in utility, epsilon, energy and largest disparity and
    better in one of them, by the point estimates. Raises ``ValueError`` for fewer than two runs, or runs of different
    tasks.
    """
    if len(set(folders)) < 2:
        raise ValueError(
            f"runs={list(folders)!r}: give two or more folders of finished runs, such as runs=[a,b]"
        )
    points = [_point(Path(folder)) for folder in folders]
    _check_comparable(points)
    for point in points:
        point.frontier = not any(_dominates(other, point) for other in points if other is not point)
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "comparison.csv", _csv(points))
    write_atomically(output / "comparison.html", _page(points))
    return points


def _point(folder: Path) -> Point:
    record = read_record(folder)
    metric = headline_metric(record)
    if metric is None or record.metrics[metric].value is None:
        raise ValueError(f"{folder}: its record has no metric to compare by; leave it out")
    epsilon = record.privacy.epsilon if record.privacy else None
    comparisons = record.fairness.comparisons if record.fairness else []
    return Point(
        str(folder),
        record,
        with_pointers(plain(record)),
        record.metrics[metric],
        math.inf if epsilon is None else epsilon,
        record.energy.joules if record.energy else None,
        max(comparisons, key=lambda line: abs(line.difference.value or 0.0), default=None),
    )


def _check_comparable(points: Sequence[Point]) -> None:
    kinds = {(p.record.run.domain, p.record.run.task, headline_metric(p.record)): p.name for p in points}
    if len(kinds) > 1:
        found = "; ".join(
            f"{name} is {task} of {domain}, judged by {m}" for (domain, task, m), name in kinds.items()
        )
        raise ValueError(f"runs: of different tasks can't be compared ({found}); compare those of one task")


def _losses(point: Point, lower: bool) -> tuple[float, ...]:
    """Return what should be small; what was not measured counts as infinite."""
    value, disparity = float(point.estimate.value or 0.0), point.size_of_disparity
    return (
        value if lower else -value,
        point.epsilon,
        math.inf if point.joules is None else point.joules,
        math.inf if disparity is None else disparity,
    )


def _dominates(one: Point, other: Point) -> bool:
    lower = lower_is_better(headline_metric(one.record) or "")
    ours, theirs = _losses(one, lower), _losses(other, lower)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _row(point: Point) -> dict[str, Any]:
    record, disparity = point.record, point.disparity
    latency = record.performance.latency_ms if record.performance else None
    return {
        "run": point.name,
        "metric": headline_metric(record),
        "value": point.estimate.value,
        "low": point.estimate.low,
        "high": point.estimate.high,
        "epsilon": record.privacy.epsilon if record.privacy else None,
        "delta": record.privacy.delta if record.privacy else None,
        "joules": point.joules,
        "grams": record.energy.carbon.grams if record.energy else None,
        "disparity": point.size_of_disparity,
        "disparity_low": disparity.difference.low if disparity else None,
        "disparity_high": disparity.difference.high if disparity else None,
        "disparity_of": f"{disparity.metric}, {disparity.attribute} {disparity.group}" if disparity else None,
        "p50_ms": latency.p50 if latency else None,
        "parameters": record.model.parameters,
        "frontier": point.frontier,
    }


def _csv(points: Sequence[Point]) -> str:
    import csv
    import io

    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(point) for point in points)
    return file.getvalue()


def _page(points: Sequence[Point]) -> str:
    from core.report.templates import html

    key = str(headline_metric(points[0].record))
    rows = [(p.record.data.source, p.record.data.files, p.record.data.rows.get("test")) for p in points]
    text: str = (
        html()
        .get_template("compare.html.j2")
        .render(
            points=points,
            metric=display_name(key),
            key=key,
            simulated=any(p.record.data.simulated for p in points),
            alike=all(row == rows[0] for row in rows),
            plots=_plots(points, display_name(key)),
        )
    )
    return text


def _plots(points: Sequence[Point], metric: str) -> list[Plot]:
    private = [p.epsilon for p in points if math.isfinite(p.epsilon)]
    edge = 1.3 * max(private, default=0.0)
    label = "ε" if len(private) == len(points) else "ε (right of the dotted line: no formal guarantee)"
    axes: dict[str, tuple[str, list[float | None]]] = {
        "epsilon": (label, [min(p.epsilon, edge) for p in points] if private else []),
        "energy": ("energy of the run, J", [p.joules for p in points]),
        "disparity": ("largest disparity between groups", [p.size_of_disparity for p in points]),
    }
    plots = []
    for name, (label, places) in axes.items():
        if sum(place is not None for place in places) >= 2:
            line = 1.15 / 1.3 * edge if name == "epsilon" and len(private) < len(points) else None
            plots.append(_scatter(points, places, name, metric, label, line))
    return plots


def _scatter(
    points: Sequence[Point],
    places: Sequence[float | None],
    name: str,
    metric: str,
    label: str,
    line: float | None,
) -> Plot:
    known = [(n, p, x) for n, (p, x) in enumerate(zip(points, places, strict=True), start=1) if x is not None]

    def draw(axes: Axes) -> None:
        if line is not None:
            axes.axvline(line, color=MUTED, lw=1, ls=":")
        for n, point, x in known:
            color, value = (MODEL if point.frontier else BASELINE), float(point.estimate.value or 0.0)
            if point.estimate.low is not None and point.estimate.high is not None:
                axes.plot([x, x], [point.estimate.low, point.estimate.high], color=color, lw=1.4)
            axes.plot([x], [value], "o" if point.frontier else "D", color=color, ms=6)
            axes.annotate(str(n), (x, value), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel=label, ylabel=metric)

    where = [
        "no guarantee" if name == "epsilon" and math.isinf(p.epsilon) else format_number(x)
        for _, p, x in known
    ]
    listed = ", ".join(
        f"run {n} {format_number(p.estimate.value)} at {at}"
        for (n, p, _), at in zip(known, where, strict=True)
    )
    title = f"{metric} against {label}"
    return render_svg(f"compare-{name}", title, "", f"{title}: {listed}.", draw)[0]
