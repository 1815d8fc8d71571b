"""The page and the closing lines of a pretraining: its learning curves, what it cost, and what it read.

Not the page of a run, which is about a target's metrics, people and privacy; it shares that page's style and plots.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.atomic_io import write_atomically
from core.pretrain.record import PretrainingRecord
from core.report.formatting import format_duration, format_number, format_si
from core.report.svg import BASELINE, MODEL, THIRD, Plot, render_svg
from core.report.templates import html

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = (MODEL, BASELINE, THIRD, "#cc79a7")
"""Of Okabe and Ito (2008)."""
MARKERS = ("o", "s", "^", "D")


def plots(record: PretrainingRecord) -> list[Plot]:
    """Return a plot of the validation losses and one of the accuracies along the training."""
    validations = record.validations()
    first, last = validations[0][1], validations[-1][1]
    found = []
    for ending, title in (("loss", "Validation loss"), ("accuracy", "Validation accuracy")):
        names = [name for name in record.metrics() if name.endswith(ending)]
        if not names:
            continue

        def draw(axes: Axes, names: list[str] = names, ending: str = ending) -> None:
            for n, name in enumerate(names):
                axes.plot(
                    [step for step, _ in validations],
                    [metrics[name] for _, metrics in validations],
                    color=COLORS[n % 4],
                    marker=MARKERS[n % 4],
                    ms=3,
                    label=name.replace("_", " "),
                )
            axes.set(xlabel="optimizer step", ylabel=ending)
            axes.legend()

        alt = "; ".join(
            f"{name.replace('_', ' ')} from {format_number(first[name])} to {format_number(last[name])}"
            for name in names
        )
        subtitle = "On what was not trained on"
        found.append(render_svg(f"validation_{ending}", title, subtitle, alt, draw, (5.2, 3.6))[0])
    return found


def summary(record: PretrainingRecord) -> list[tuple[str, str]]:
    """Return question and answer of what matters most: how good, how fast, how much energy."""
    # A loss says little beside an accuracy, but for the one that is compared with others' (CIFAR-10's).
    names = [n for n in record.metrics() if not n.endswith("loss") or n == "test_loss"]
    metrics = ", ".join(f"{n.replace('_', ' ')} {format_number(record.final[n])}" for n in names)
    mfu = record.utilization.mfu
    speed = (
        f"{record.steps:,} steps in {format_duration(record.training_seconds)}, "
        f"{record.units_per_second:,.0f} {record.unit} per second"
        + (f", {mfu:.0%} of the peak (MFU)" if mfu is not None else "")
    )
    energy = f"{format_si(record.energy.wh, 'Wh')}, {format_si(record.energy.grams_co2e, 'g')} CO2e"
    return [("How good?", metrics), ("How fast?", speed), ("How much energy?", energy)]


def closing(record: PretrainingRecord) -> list[str]:
    """Return the lines that the command ends with."""
    lines = [f"{question} {answer}" for question, answer in summary(record)]
    if record.weights is not None:
        weights = record.weights
        lines.append(f"Weights: {weights.file}, {weights.bytes / 2**20:.1f} MiB, {weights.format}")
    return lines


def write_page(record: PretrainingRecord, folder: Path) -> Path:
    """Write report.html and return its path."""
    template = html().get_template("pretraining.html.j2")
    path = folder / "report.html"
    write_atomically(path, template.render(record=record, plots=plots(record), summary=summary(record)))
    return path
