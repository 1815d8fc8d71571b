"""Plots of a record: files in ``plots/`` on white paper, and the same drawings ready to stand in the page.

Colours follow Okabe and Ito (2008), told apart by colour-blind readers; model and baseline also differ in
line. In the page the drawings take the page's own colours, so that they are right by day and by night.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.report.record import Record
from core.atomic_io import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID, PAPER = "#1f2328", "#6b7280", "#d5d9de", "#fefefe"
MODEL, CHALLENGER, THIRD = "#0072b2", "#d55e00", "#009e73"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--card",
    MODEL: "--model",
    CHALLENGER: "--baseline",
    THIRD: "--third",
}
"""What the page puts in a drawing's colours' place."""


@dataclass(frozen=True)
class Plot:
    """One drawing."""

    name: str
    title: str
    alt: str
    """What a reader who can't see it must know."""
    svg: str
    """An svg element that takes the page's colours and width."""
    wide: bool = False


def render_svg(
    name: str,
    title: str,
    alt: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = (4.2, 3.6),
    wide: bool = False,
) -> tuple[Plot, str]:
    """Draw one plot; give it and the file's text. ``size`` in inches."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # the same drawing gets the same ids, different ones never share any
        "font.family": "sans-serif",
        "text.parse_math": False,  # a class may be called "$50K"
        "font.size": 10.5,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "axes.grid": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "lines.linewidth": 1.8,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    text = file.getvalue()
    return Plot(name, title, alt, _for_page(text, name, alt), wide), text


def write_plots(record: Record, folder: Path) -> list[Plot]:
    """Draw whatever the record has curves for, write ``plots/<name>.svg`` each, and give them for the page."""
    from core.report.figures import drawings

    target = folder / "plots"
    target.mkdir(exist_ok=True)
    plots = []
    for plot, text in drawings(record):
        write_atomically(target / f"{plot.name}.svg", text)
        plots.append(plot)
    return plots


def _for_page(text: str, name: str, alt: str) -> str:
    """Cut the svg element out, let it fill its place, and take the page's colours and letters.

    Ids get the plot's name before them: several drawings stand in one page.
    """
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>\s*", "", svg, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    svg = re.sub(r"<svg[^>]*>", f'<svg role="img" aria-label="{label}" {view[0]}>', svg, count=1)
    svg = re.sub(r'(\sid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: (bold )?([\d.]+px)[^;\"]*", r"font: \1\2 var(--sans)", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
