"""What the gate says: a table for people, a Markdown summary, JUnit XML."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from core.regression.comparison import VERDICTS, Comparison

ORDER = {verdict: place for place, verdict in enumerate(VERDICTS)}


def number(value: float | None) -> str:
    """Return a value for a table: four significant digits, a dash where there is none.

    >>> number(0.84021), number(30483.0), number(None)
    ('0.8402', '30483', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4g}"


def change(comparison: Comparison) -> str:
    """Return the drop with its 95 % interval, in the units of its margin; a minus means better."""
    c = comparison
    if math.isnan(c.drop):
        return "lost"
    if c.relative:
        return f"{c.drop:+.1%}"
    if not c.standard_error:
        return f"{c.drop:+.4g}" if c.drop else "0"
    return (
        f"{c.drop:+.3f} ({c.drop - 1.96 * c.standard_error:+.3f} to {c.drop + 1.96 * c.standard_error:+.3f})"
    )


def headline(comparisons: Sequence[Comparison]) -> str:
    """Return the verdict of the whole call in one line."""
    counted = Counter(c.verdict for c in comparisons)
    failed = counted["regression"]
    among = "1 comparison" if len(comparisons) == 1 else f"{len(comparisons)} comparisons"
    rest = ", ".join(f"{counted[v]} {v}" for v in VERDICTS if counted[v] and v != "regression")
    if failed:
        what = "regression" if failed == 1 else "regressions"
        return f"{failed} {what} in {among} ({rest or 'nothing else'})"
    return f"no regression in {among} ({rest})"


def table(comparisons: Sequence[Comparison], *, everything: bool = False, width: int = 80) -> str:
    """Return the table for people: what changed, the worst first; ``everything``: what did not, too."""
    shown = [c for c in comparisons if everything or c.verdict not in ("same", "noise")]
    lines = []
    for c in sorted(shown, key=lambda c: (ORDER[c.verdict], c.name)):
        left = f"{c.verdict:<19}  {c.domain} {c.task}: {c.quantity}"
        values = f"{number(c.before)} -> {number(c.now)}, drop {change(c)}, margin {number(c.margin)}"
        lines.append(left if len(left) <= width else left[: width - 1] + "…")
        lines.append(f"{'':<21}{values}"[:width])
        if c.failed and c.reason:
            lines += [f"{'':<21}{line}" for line in wrapped(c.reason, width - 21)]
    return "\n".join([*lines, headline(comparisons)])


def wrapped(text: str, width: int) -> list[str]:
    """Return a sentence as lines of at most ``width`` characters."""
    return textwrap.wrap(text, width)


def markdown(comparisons: Sequence[Comparison], left_out: Sequence[str] = ()) -> str:
    """Return the summary that a CI shows beside a change."""
    lines = [f"## Gate: {headline(comparisons)}", ""]
    shown = [c for c in comparisons if c.verdict not in ("same", "noise")]
    if shown:
        lines += [
            "| verdict | domain, task | quantity | before | now | drop (95 %) | margin |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {'**regression**' if c.failed else c.verdict} | {c.domain} {c.task} | {c.quantity} "
            f"| {number(c.before)} | {number(c.now)} | {change(c)} | {number(c.margin)} |"
            for c in sorted(shown, key=lambda c: (ORDER[c.verdict], c.name))
        ]
        lines += ["", *(f"- {c.name}: {c.reason}" for c in shown if c.failed and c.reason)]
    lines += ["", *(f"- left out: {line}" for line in left_out)] if left_out else []
    lines += ["", "A drop above 0 is worse. " + " ".join(f"*{v}*: {text}." for v, text in VERDICTS.items())]
    return "\n".join(lines) + "\n"


def junit(comparisons: Sequence[Comparison], seconds: float) -> str:
    """Return JUnit XML: a test suite a task, a test case a comparison."""
    root = ElementTree.Element(
        "testsuites",
        name="plinth gate",
        tests=str(len(comparisons)),
        failures=str(sum(c.failed for c in comparisons)),
        time=f"{seconds:.1f}",
    )
    suites: dict[tuple[str, str], list[Comparison]] = {}
    for c in comparisons:
        suites.setdefault((c.domain, c.task), []).append(c)
    for (domain, task), cases in suites.items():
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"{domain}.{task}",
            tests=str(len(cases)),
            failures=str(sum(c.failed for c in cases)),
        )
        for c in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{domain}.{task}", name=c.quantity)
            told = f"{number(c.before)} -> {number(c.now)}, drop {change(c)}, margin {number(c.margin)}, {c.verdict}"
            if c.failed:
                failure = ElementTree.SubElement(case, "failure", message=told, type="regression")
                failure.text = c.reason or VERDICTS["regression"]
            else:
                ElementTree.SubElement(case, "system-out").text = told
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
