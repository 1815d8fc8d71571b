"""The end of a run on the terminal: at most eight metrics and a line for each question, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.section import Estimate
from core.report.figures import confusion_labels
from core.report.formatting import format_interval, format_number
from core.report.glossary import display_name, metrics_per_class, verdict
from core.report.record import Record
from core.report.sentences import notices
from core.report.sentences.evaluation import baseline_name, headline_metric
from core.report.summary import all_items

if TYPE_CHECKING:
    from rich.console import Console

    from core.report.run import Run

ROWS = 8
"""Metrics that the terminal shows; the report has them all."""
NAME = 22
"""Width of the column of names."""
PREFERRED = (
    "auroc",
    "auprc",
    "macro_auroc",
    "qwk",
    "slot_f1",
    "intent_accuracy",
    "miou",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "sensitivity",
    "specificity",
    "rmse",
    "mae",
    "r2",
    "brier",
    "ece",
    "calibration_slope",
)
"""Metrics that come first after a task's own, where it has them."""
COMMON = frozenset(
    (*PREFERRED, "f1", "macro_auprc", "log_loss", "ppv", "npv", "net_benefit", "calibration_intercept")
)
"""Metrics that every task of a kind has; others are the task's own."""


def print_run(run: Run) -> None:
    """Print what a finished run found."""
    print_summary(run.record, run.path)


def print_summary(record: Record, folder: Path, console: Console | None = None) -> None:
    """Print the metrics that matter most beside the baseline's, the questions' headlines, and where the run is.

    The last line is the folder's path alone, so that a script can take it.
    """
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.table import Table

    out = console or Terminal()
    if record.data.simulated or record.run.simulated:
        out.print(f"[bold yellow]{notices.SIMULATED}[/] {notices.SIMULATED_DETAIL}", highlight=False)
    shown = console_metrics(record)
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = [_short(text) for text in (f"{record.run.domain}: {record.run.task}", *map(display_name, shown))]
    table.add_column(escape(names[0]), no_wrap=True, min_width=max(map(len, names)))
    table.add_column("model", justify="right", no_wrap=True)
    if record.baseline:
        table.add_column("baseline", justify="right", no_wrap=True)
        table.add_column("the model is")  # the only column that wraps where the terminal is narrow
    for name, metric in zip(names[1:], shown, strict=True):
        cells = [escape(name), _cell(record.metrics[metric])]
        if record.baseline:
            theirs, difference = record.baseline.metrics.get(metric), record.baseline.difference.get(metric)
            word = verdict(metric, difference) if difference else ""
            color = {"better": "green", "worse": "red"}.get(word, "dim")
            cells += [_cell(theirs) if theirs else "", f"[{color}]{word}[/]" if word else ""]
        table.add_row(*cells)
    out.print(table)
    if record.baseline:
        out.print(f"[dim]baseline: {escape(baseline_name(record.baseline.name))}[/]", highlight=False)
    gates = [gate for study in record.studies.values() for gate in study.gates]
    if gates:
        failed = [gate.name for gate in gates if not gate.passed]
        text = f"{len(gates) - len(failed)} of {len(gates)} gates passed"
        out.print(f"{text}[red]; failed: {escape(', '.join(failed))}[/]" if failed else text, highlight=False)
    lines = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    items = all_items(record)
    longest = max(len(item.question) for item in items)
    lines.add_column(no_wrap=True, min_width=longest)
    lines.add_column(no_wrap=True)
    for item in items:
        style = "bold" if item.measured else "dim"
        lines.add_row(f"[{style}]{item.question}[/]", escape(_short(item.headline, out.width - longest - 2)))
    out.print(lines)
    more = len(record.metrics) - len(shown)
    all_metrics = f" ({more} more metrics)" if more else ""
    out.print(f"Report{all_metrics}: {escape(str(folder / 'report.html'))}", highlight=False, soft_wrap=True)
    out.print(escape(str(folder)), highlight=False, soft_wrap=True)


def console_metrics(record: Record) -> list[str]:
    """Return at most eight metrics: the headline metric, the task's own, then the most telling of its kind.

    Metrics of single classes are left to the report.
    """
    labels = confusion_labels(record)
    by_class = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for metrics in by_class.values() for metric in metrics.values()}
    names = [m for m, estimate in record.metrics.items() if m not in single and estimate.value is not None]
    own = [m for m in names if m not in COMMON and "_at_" not in m]
    first = headline_metric(record)
    wanted = [*([first] if first else []), *own[:4], *PREFERRED, *names]
    chosen = [m for m in dict.fromkeys(wanted) if m in names][:ROWS]
    return [m for m in names if m in chosen]


def print_metrics(metrics: Mapping[str, Estimate], console: Console | None = None) -> None:
    """Print metrics with their intervals."""
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for metric, estimate in metrics.items():
        table.add_row(escape(display_name(metric)), _cell(estimate))
    (console or Terminal()).print(table)


def print_lines(*lines: str) -> None:
    """Print lines as they are, however long: what a script may take."""
    from rich.console import Console as Terminal
    from rich.markup import escape

    out = Terminal()
    for line in lines:
        out.print(escape(line), highlight=False, soft_wrap=True)


def _short(text: str, most: int = NAME) -> str:
    """Return a text that fits its column: whole words, an ellipsis for what is left out."""
    if len(text) <= most:
        return text
    words = text[:most].rpartition(" ")[0] or text[: most - 1]
    return f"{words}…"


def _cell(estimate: Estimate) -> str:
    interval = format_interval(estimate)
    interval = (
        interval if "−" in interval else interval.replace(" to ", "–")
    )  # a dash beside a minus can't be read
    value = f"[bold]{format_number(estimate.value)}[/]"
    return f"{value} [dim]{interval}[/]" if interval else value
