"""The names and meanings of education's own metrics. Imports no torch."""

from __future__ import annotations

from core.domain import MetricTerm

METRICS = {
    "qwk_human_human": MetricTerm(
        "QWK, human and human", "agreement of two human raters: the reference for the machine"
    ),
    "qwk_automated": MetricTerm(
        "QWK, automated", "quadratic weighted kappa of the answers that no human grades"
    ),
    "exact_agreement_human_human": MetricTerm(
        "Exact agreement, human and human", "share of answers with the same grade by two human raters"
    ),
    "exact_agreement_automated": MetricTerm(
        "Exact agreement, automated", "share of the answers graded without a human that have the human grade"
    ),
    "correlation": MetricTerm("Correlation", "Pearson correlation of the expected grade with the human one"),
    "smd": MetricTerm("SMD", "standardized mean difference of machine and human grades; 0 is ideal"),
    "prmse": MetricTerm(
        "PRMSE", "proportional reduction in mean squared error for the true grade, from two human ratings"
    ),
    "degradation": MetricTerm(
        "Degradation", "QWK of two humans minus that of machine and human; lower is better"
    ),
    "referral_rate": MetricTerm("Referral rate", "share of answers that a human grades"),
    "correlation_human": MetricTerm(
        "Correlation with length, human", "of human grades with the number of words"
    ),
    "correlation_machine": MetricTerm(
        "Correlation with length, machine", "of predicted grades with the number of words"
    ),
    "partial_correlation_machine": MetricTerm(
        "Partial correlation with length, machine",
        "of predicted grades with the number of words, given the human grade; 0 is ideal",
    ),
    "drop_attributed_words": MetricTerm(
        "Drop without attributed words",
        "loss of the predicted grade's probability without the words of highest attribution",
    ),
    "drop_random_words": MetricTerm(
        "Drop without random words", "loss of the predicted grade's probability without as many random words"
    ),
    "false_positive_rate": MetricTerm(
        "False positive rate", "share of honest answers flagged as gaming; lower is better"
    ),
}
"""Metric -> name and meaning."""
