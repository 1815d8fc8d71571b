"""The names and meanings of driving's own metrics. Imports no torch."""

from __future__ import annotations

from core.domain import MetricTerm

METRICS = {
    "recall_vulnerable": MetricTerm(
        "Recall, vulnerable road users",
        "share of what concerns pedestrians, children and cyclists that is detected",
    ),
    "recall_right_of_way": MetricTerm(
        "Recall, right of way", "share of signs on the right of way that are detected"
    ),
    "iou_vulnerable": MetricTerm(
        "IoU, vulnerable road users",
        "intersection over union of pedestrians, children and cyclists taken as one class",
    ),
    "fraction_inside": MetricTerm(
        "Fraction inside the ODD", "share of test rows inside the declared operational design domain"
    ),
}
"""Metric -> name and meaning."""
