"""The end of a run on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.report.summary import summary_items, baseline_name, responsible, speed
from core.report.record import Figure, Record
from core.report.formatting import display_name, format_number, metrics_per_class, format_interval, verdict

if TYPE_CHECKING:
    from rich.console import Console


def print_summary(record: Record, folder: Path, console: Console | None = None) -> None:
    """Print the metrics with their intervals beside the baseline's, the answers, and where the run is.

    Figures of single classes stay in the record and on the page. The last line is the folder's path alone, so
    that a script can take it.
    """
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.table import Table

    out = console or Terminal()
    if record.data.simulated or record.run.simulated:
        out.print(
            "[bold yellow]Simulated data:[/] the figures show that the tool works, nothing about real people."
        )
    labels = record.curves.get("confusion", {}).get("labels", [])
    by_class = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for figures in by_class.values() for metric in figures.values()}

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{record.run.domain} · {record.run.task}")
    table.add_column("model", justify="right", no_wrap=True)
    if record.baseline:
        table.add_column(escape(baseline_name(record.baseline.name)), justify="right", no_wrap=True)
        table.add_column("this model is", no_wrap=True)
    for metric, figure in record.metrics.items():
        if metric in single:
            continue
        cells = [escape(display_name(metric)), _cell(figure)]
        if record.baseline:
            theirs, apart = record.baseline.metrics.get(metric), record.baseline.difference.get(metric)
            cells += [_cell(theirs) if theirs else "", _coloured(verdict(metric, apart)) if apart else ""]
        table.add_row(*cells)
    out.print(table)
    gates = [gate for study in record.studies.values() for gate in study.gates]
    if gates:
        failed = [gate["name"] for gate in gates if not gate["passed"]]
        out.print(f"[bold]Gates[/] {len(gates) - len(failed)} of {len(gates)} passed", highlight=False)
        if failed:
            out.print(f"[red]failed:[/] {escape(', '.join(failed))}", highlight=False)
    lines = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for answer in (*summary_items(record), responsible(record), speed(record)):
        style = "bold" if answer.measured else "dim"
        lines.add_row(f"[{style}]{answer.question}[/]", escape(answer.headline))
    out.print(lines)
    out.print(f"Report: {escape(str(folder / 'report.html'))}", highlight=False, soft_wrap=True)
    out.print(escape(str(folder)), highlight=False, soft_wrap=True)


def print_metrics(metrics: Mapping[str, Mapping[str, float | None]], console: Console | None = None) -> None:
    """Print figures with their intervals."""
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for metric, found in metrics.items():
        table.add_row(escape(display_name(metric)), _cell(Figure(**found)))
    (console or Terminal()).print(table)


def _cell(figure: Figure) -> str:
    reach = format_interval(figure)
    reach = reach if "−" in reach else reach.replace(" to ", "–")  # a dash beside a minus can't be read
    return f"[bold]{format_number(figure.value)}[/] [dim]{reach}[/]" if reach else f"[bold]{format_number(figure.value)}[/]"


def _coloured(word: str) -> str:
    return {"better": "[green]better[/]", "worse": "[red]worse[/]"}.get(word, f"[dim]{word}[/]")
