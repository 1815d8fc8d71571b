"""Feedback to pupils: python -m education.feedback run=FOLDER input=FILE output=feedback.jsonl.

One JSON line an answer: its grade, whether a human should see it, whether it looks gamed, the words that moved the
grade, and what of the reference answer is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.app import Application, callable_module
from core.config import MISSING, field
from education import DOMAIN

if TYPE_CHECKING:
    from core.domain import Domain


@dataclass
class FeedbackConfig:
    """Grade raw answers with a saved run and say why, one JSON line each."""

    run: str = field(MISSING, "folder of a finished run of answers or essays")
    input: str = field(MISSING, "table of answers (CSV, TSV, JSONL, Parquet; gz, xz, zst)")
    output: str = field("feedback.jsonl", "JSON lines to write")
    words: int = field(5, "words that are named as having moved the grade; 0 for none")
    device: str = field("auto", "auto, cpu, cuda, cuda:1, mps")


def _work(config: FeedbackConfig, folder: Path, domain: Domain) -> list[dict[str, Any]]:
    from education.grading.feedback import give

    return give(config.run, config.input, config.output, config.words, config.device)


main = Application(
    DOMAIN, "feedback", "Grade raw answers with a saved run and say why.", FeedbackConfig, _work, ()
).main
callable_module(__name__)

if __name__ == "__main__":
    main()
