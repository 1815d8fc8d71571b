"""Sentences about the record's ``training``: how the network was optimized."""

from __future__ import annotations

from core.report.formatting import format_duration
from core.report.record import TrainingSection


def headline(training: TrainingSection) -> str:
    """Return how many optimizer steps were taken; empty where none were recorded."""
    return "" if training.steps is None else f"{training.steps:,} steps"


def detail(training: TrainingSection) -> str:
    """Return the precision, the time and why training ended."""
    reason = getattr(training, "reason", None)
    facts = [
        f"precision {training.precision}" if training.precision else "",
        f"took {format_duration(training.seconds)}" if training.seconds is not None else "",
        f"ended because {reason}" if reason else "",
    ]
    text = "; ".join(fact for fact in facts if fact)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
