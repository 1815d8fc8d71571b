"""Sentences about throughput, latency and memory: the record's ``performance``."""

from __future__ import annotations

from core.energy.section import PerformanceSection
from core.report.formatting import format_si


def headline(section: PerformanceSection) -> str:
    """Return the median latency of one prediction."""
    if section.latency_ms is None:
        return "Not measured"
    return f"{format_si(section.latency_ms.p50 / 1e3, 's')} per prediction"


def detail(section: PerformanceSection) -> str:
    """Return the throughput of training and of prediction, and the latency of single rows."""
    parts = []
    if section.train_rows_per_second is not None and section.train_steps != 0:
        parts.append(f"Training processed {section.train_rows_per_second:,.0f} rows per second.")
    if section.predict_rows_per_second is not None and section.latency_ms is not None:
        latency = section.latency_ms
        parts.append(
            f"Held-out rows were predicted at {section.predict_rows_per_second:,.0f} per second, one at a time in "
            f"{format_si(latency.p50 / 1e3, 's')} (median; {format_si(latency.p99 / 1e3, 's')} at the 99th percentile "
            f"of {latency.calls} calls)."
        )
    return " ".join(parts)


def method(section: PerformanceSection) -> str:
    """Return how throughput, latency, operations and memory were measured."""
    return (
        "Throughput of training from the loop's own clock (none where it would reveal batch sizes that are private); "
        "latency from encoded row to recalibrated scores in the training framework, whatever else the machine was "
        "doing; operations: multiplications and additions of matrix products and convolutions, counted by torch; "
        "memory: the peak that the process held."
    )
