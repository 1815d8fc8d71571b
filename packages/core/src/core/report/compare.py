"""A frontier across runs: how good against how private, how frugal and how fair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.report.summary import headline_metric
from core.report.svg import BASELINE, MODEL, MUTED, Plot, render_svg
from core.report.json_pointer import with_pointers
from core.report.record import Figure, Json, Record, plain, read_record
from core.report.formatting import LOWER, display_name, format_number
from core.atomic_io import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("run", "metric", "value", "low", "high", "epsilon", "delta", "joules", "grams", "gap", "gap_low", "gap_high",
           "gap_of", "p50_ms", "parameters", "frontier")  # fmt: skip


@dataclass
class Point:
    """One run among those compared."""

    name: str
    record: Record
    content: Json
    """The record's plain content, each number knowing its place."""
    figure: Figure
    epsilon: float
    """Infinite without differential privacy."""
    joules: float | None
    gap: dict[str, Json] | None
    """The audit's comparison whose difference is widest."""
    frontier: bool = False


def compare(folders: Sequence[str], output: Path) -> list[Point]:
    """Write ``comparison.html`` and ``comparison.csv`` about several finished runs of one task into a folder.

    A run is on the frontier when no other is at least as good in utility, epsilon, energy and widest gap and better
    in one of them, by the point estimates. Raises ``ValueError`` for fewer than two runs, or runs of different tasks.
    """
    if len(set(folders)) < 2:
        raise ValueError(
            f"runs={list(folders)!r}: give two or more folders of finished runs, such as runs=[a,b]"
        )
    points = [_point(Path(folder)) for folder in folders]
    _same(points)
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
        raise ValueError(f"{folder}: its record has no figure to compare by; leave it out")
    content = with_pointers(plain(record))
    epsilon = (record.privacy or {}).get("epsilon")
    comparisons = (content["fairness"] or {}).get("comparisons") or []
    return Point(
        str(folder),
        record,
        content,
        record.metrics[metric],
        math.inf if epsilon is None else float(epsilon),
        (record.energy or {}).get("joules"),
        max(comparisons, key=lambda line: abs(line["difference"]), default=None),
    )


def _same(points: Sequence[Point]) -> None:
    kinds = {(p.record.run.domain, p.record.run.task, headline_metric(p.record)): p.name for p in points}
    if len(kinds) > 1:
        told = "; ".join(
            f"{name} is {task} of {domain}, judged by {m}" for (domain, task, m), name in kinds.items()
        )
        raise ValueError(f"runs: of different tasks can't be compared ({told}); compare those of one task")


def _losses(point: Point, lower: bool) -> tuple[float, ...]:
    """Give what should be small; what was not measured counts as infinite."""
    value = float(point.figure.value or 0.0)
    gap = math.inf if point.gap is None else abs(point.gap["difference"])
    return (
        value if lower else -value,
        point.epsilon,
        math.inf if point.joules is None else point.joules,
        gap,
    )


def _dominates(one: Point, other: Point) -> bool:
    lower = headline_metric(one.record) in LOWER
    ours, theirs = _losses(one, lower), _losses(other, lower)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _row(point: Point) -> dict[str, Any]:
    record, gap = point.record, point.gap or {}
    private, energy, speed = record.privacy or {}, record.energy or {}, record.performance or {}
    return {
        "run": point.name,
        "metric": headline_metric(record),
        "value": point.figure.value,
        "low": point.figure.low,
        "high": point.figure.high,
        "epsilon": private.get("epsilon"),
        "delta": private.get("delta"),
        "joules": point.joules,
        "grams": energy.get("carbon", {}).get("grams"),
        "gap": abs(gap["difference"]) if gap else None,
        "gap_low": gap.get("low"),
        "gap_high": gap.get("high"),
        "gap_of": f"{gap['notion']}, {gap['attribute']} {gap['group']}" if gap else None,
        "p50_ms": speed.get("latency_ms", {}).get("p50"),
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

    metric = display_name(str(headline_metric(points[0].record)))
    parts = [(p.record.data.source, p.record.data.files, p.record.data.rows.get("test")) for p in points]
    text: str = (
        html()
        .get_template("compare.html.j2")
        .render(
            points=points,
            metric=metric,
            key=headline_metric(points[0].record),
            simulated=any(p.record.data.simulated for p in points),
            alike=all(part == parts[0] for part in parts),
            plots=_plots(points, metric),
        )
    )
    return text


def _plots(points: Sequence[Point], metric: str) -> list[Plot]:
    promised = [p.epsilon for p in points if math.isfinite(p.epsilon)]
    edge = 1.3 * max(promised, default=0.0)
    promise = "ε" if len(promised) == len(points) else "ε; behind the dotted line, no promise"
    axes: dict[str, tuple[str, list[float | None]]] = {
        "epsilon": (promise, [min(p.epsilon, edge) for p in points] if promised else []),
        "energy": ("energy of the run, J", [p.joules for p in points]),
        "gap": (
            "widest difference between groups",
            [abs(p.gap["difference"]) if p.gap else None for p in points],
        ),
    }
    made = []
    for name, (label, places) in axes.items():
        if sum(place is not None for place in places) >= 2:
            line = 1.15 / 1.3 * edge if name == "epsilon" and len(promised) < len(points) else None
            made.append(_scatter(points, places, name, metric, label, line))
    return made


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
            colour, value = (MODEL if point.frontier else BASELINE), float(point.figure.value or 0.0)
            if point.figure.low is not None and point.figure.high is not None:
                axes.plot([x, x], [point.figure.low, point.figure.high], color=colour, lw=1.4)
            axes.plot([x], [value], "o" if point.frontier else "D", color=colour, ms=6)
            axes.annotate(str(n), (x, value), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel=label, ylabel=metric)

    where = ["no promise" if name == "epsilon" and math.isinf(p.epsilon) else format_number(x) for _, p, x in known]
    told = ", ".join(
        f"run {n} {format_number(p.figure.value)} at {at}" for (n, p, _), at in zip(known, where, strict=True)
    )
    return render_svg(f"compare-{name}", f"{metric} against {label}", f"{metric} against {label}: {told}.", draw)[
        0
    ]
