"""The end of a run on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.report.record import Record

if TYPE_CHECKING:
    from rich.console import Console


def summarise(record: Record, folder: Path, console: Console | None = None) -> None:
    """Print the metrics with their intervals beside the challenger's, and where the run is."""
    raise NotImplementedError
