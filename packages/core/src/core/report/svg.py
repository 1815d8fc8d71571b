"""Render a plot as SVG: a file on white paper, and the same plot for the page, in the page's colors.

Colors follow Okabe and Ito (2008), distinct to color-blind readers; model and baseline also differ in line style.
In the page a plot takes the page's own colors, so that it is right in light and dark mode.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID, PAPER = "#1f2328", "#6b7280", "#d5d9de", "#fefefe"
MODEL, BASELINE, THIRD = "#0072b2", "#d55e00", "#009e73"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--card",
    MODEL: "--model",
    BASELINE: "--baseline",
    THIRD: "--third",
}
"""Color of a plot -> CSS variable of the page that replaces it."""


@dataclass(frozen=True)
class Plot:
    """One plot."""

    name: str
    title: str
    """The plot's standard name."""
    subtitle: str
    """What it shows, in plain words."""
    alt: str
    """Description for readers who can't see it."""
    svg: str
    """An svg element that takes the page's colors and width."""
    wide: bool = False


def render_svg(
    name: str,
    title: str,
    subtitle: str,
    alt: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = (4.2, 3.6),
    wide: bool = False,
) -> tuple[Plot, str]:
    """Draw one plot; return it and the text of its file. ``size`` in inches."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # the same plot gets the same ids, different plots never share any
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
    return Plot(name, title, subtitle, alt, _for_page(text, name, alt), wide), text


def _for_page(text: str, name: str, alt: str) -> str:
    """Return the svg element alone, scaling to its container, with the page's colors and font.

    Ids are prefixed with the plot's name: several plots stand in one page.
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
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg.strip()
