"""The names and meanings of finance's own metrics. Imports no torch."""

from __future__ import annotations

from core.domain import MetricTerm

METRICS = {
    "cost_optimal_threshold": MetricTerm(
        "Cost-optimal threshold", "threshold of the lowest cost on validation"
    ),
    "cost_per_row": MetricTerm(
        "Cost per row",
        "cost of misses and false alarms per row at the cost-optimal threshold; lower is better",
    ),
    "savings": MetricTerm("Savings", "share of the cost of flagging nothing that the model saves"),
    "amount_weighted_recall": MetricTerm(
        "Amount-weighted recall", "share of the fraudulent amount in flagged transactions"
    ),
    "psi_score": MetricTerm(
        "PSI of the score", "population stability index of the score from validation to test; lower is better"
    ),
    "psi_largest_column": MetricTerm(
        "Largest PSI of a column", "population stability index of the column that moved most; lower is better"
    ),
    "event_rate_validation": MetricTerm("Event rate, validation", "share of positives in the validation set"),
    "event_rate_test": MetricTerm("Event rate, test", "share of positives in the test set"),
    "top_reason_stability": MetricTerm(
        "Stability of the first reason",
        "share of flagged rows whose first reason survives small noise in their inputs",
    ),
    "reason_jaccard": MetricTerm(
        "Jaccard index of reasons", "overlap of a row's reasons with and without small noise in its inputs"
    ),
    "explained_fraction": MetricTerm("Explained fraction", "share of flagged rows with at least one reason"),
}
"""Metric -> name and meaning."""
