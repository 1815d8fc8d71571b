"""``report.html``: the whole run on one page, in one file."""

from __future__ import annotations

from pathlib import Path

from core.report.record import Record


def write_page(record: Record, folder: Path) -> Path:
    """Draw the plots into ``folder/plots`` and write ``folder/report.html``; return its path."""
    raise NotImplementedError
