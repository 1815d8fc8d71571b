"""The page and the closing lines of a pretraining: its curve, what it cost, and what it read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.report.svg import BASELINE, MODEL, THIRD, Plot, render_svg
from core.report.templates import html
from core.report.formatting import format_duration, format_number, format_si
from core.atomic_io import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (MODEL, BASELINE, THIRD, "#cc79a7")
"""After Okabe and Ito (2008)."""
MARKS = ("o", "s", "^", "D")


def measured(looks: list[dict[str, Any]]) -> list[str]:
    """Name the figures of the looks, losses first."""
    names = [k for k in looks[0] if k not in ("step", "seconds", "pictures", "tokens")]
    return sorted(names, key=lambda n: (not n.endswith("loss"), names.index(n)))


def curves(looks: list[dict[str, Any]]) -> list[Plot]:
    """Draw losses and shares right against the steps, a drawing each."""
    made = []
    for title, ends, words in (
        ("Loss where it was not trained", ("loss",), "loss"),
        ("Share right where it was not trained", ("accuracy", "right"), "share right"),
    ):
        names = [n for n in measured(looks) if n.rpartition("_")[2] in ends]
        if not names:
            continue

        def draw(axes: Axes, names: list[str] = names, words: str = words) -> None:
            for n, name in enumerate(names):
                axes.plot(
                    [look["step"] for look in looks],
                    [look[name] for look in looks],
                    color=COLOURS[n % 4],
                    marker=MARKS[n % 4],
                    ms=3,
                    label=name.replace("_", " "),
                )
            axes.set(xlabel="step", ylabel=words)
            axes.legend()

        told = "; ".join(
            f"{name.replace('_', ' ')} from {format_number(looks[0][name])} to {format_number(looks[-1][name])}"
            for name in names
        )
        made.append(render_svg(words.replace(" ", "_"), title, "", told, draw, (5.2, 3.6))[0])
    return made


def closing(record: dict[str, Any]) -> list[str]:
    """Say in a few lines how it went."""
    final = record["final"]
    # A loss says little beside a share, but for the one that is compared with others' (CIFAR-10's).
    told = [n for n in measured(record["looks"]) if not n.endswith("loss") or n == "test_loss"]
    figures = ", ".join(f"{n.replace('_', ' ')} {format_number(final[n])}" for n in told)
    energy, mfu = record["energy"], record["mfu"]
    lines = [
        f"How good? {figures}",
        f"How fast? {record['steps']:,} steps in {format_duration(record['training_seconds'])}, "
        f"{record['units_per_second']:,.0f} {record['unit']} a second"
        + (f", {mfu['share']:.0%} of the peak" if mfu["share"] is not None else ""),
        f"How much energy? {format_si(energy['wh'], 'Wh')}"
        + ("" if energy["grams_co2e"] is None else f", {format_si(energy['grams_co2e'], 'g')} CO2e"),
    ]
    if "weights" in record:
        weights = record["weights"]
        lines.append(f"Weights: {weights['file']}, {weights['bytes'] / 2**20:.1f} MiB, {weights['format']}")
    return lines


def write_page(record: dict[str, Any], folder: Path) -> Path:
    """Write report.html, and give its path."""
    looks = record["looks"]
    page = (
        html()
        .get_template("pretraining.html.j2")
        .render(
            record=record,
            names=measured(looks),
            looks=looks,
            plots=curves(looks),
            closing=[line.partition("? ")[::2] for line in closing(record)[:3]],
        )
    )
    path = folder / "report.html"
    write_atomically(path, page)
    return path
