"""The verb ``feedback`` and its configuration. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from core.cli.application import Application
from core.config import MISSING, field
from core.domain import Domain


@dataclass
class FeedbackConfig:
    """Grade and explain raw answers with a saved run, one JSON line each."""

    run: str = field(MISSING, "folder of a finished run of answers or essays")
    input: str = field(MISSING, "table of answers (CSV, TSV, JSONL, Parquet; gz, xz, zst)")
    output: str = field("feedback.jsonl", "JSON lines to write")
    words: int = field(5, "attributed words listed with each grade; 0 for none")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")


def feedback(domain: Domain) -> Application:
    """Return the domain's command ``feedback``: raw answers in, grades with reasons out."""
    summary = "Grade and explain raw answers with a saved run."
    return Application(
        domain,
        "feedback",
        summary,
        FeedbackConfig,
        "education.grading.feedback:feedback",
        (),
        show="education.grading.feedback:print_summary",
    )
