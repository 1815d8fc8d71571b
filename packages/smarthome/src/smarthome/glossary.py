"""The names and meanings of smarthome's own metrics. Imports no torch."""

from __future__ import annotations

from core.domain import MetricTerm

METRICS = {
    "plan_success": MetricTerm(
        "Plan success", "share of commands that the home can execute whose plan has the right outcome"
    ),
    "same_outcome": MetricTerm(
        "Same outcome", "share of all commands whose plan has the right outcome, refusals included"
    ),
    "false_activation": MetricTerm(
        "False activation rate",
        "share of other commands that would change a lock, an alarm or an oven; lower is better",
    ),
    "missed_activation": MetricTerm(
        "Missed activation rate",
        "share of commands for a lock, an alarm or an oven that would not change it; lower is better",
    ),
    "opposite_activation": MetricTerm(
        "Opposite activation rate",
        "share of commands for a lock, an alarm or an oven that would do the opposite; lower is better",
    ),
    "missed_occupancy_rate": MetricTerm(
        "Missed occupancy rate", "share of occupied times taken for empty; lower is better"
    ),
    "false_occupancy_rate": MetricTerm(
        "False occupancy rate", "share of empty times taken for occupied; lower is better"
    ),
    "switches_per_day": MetricTerm("Switches per day", "changes of the predicted state in a day"),
    "accuracy_schedule_baseline": MetricTerm(
        "Accuracy of the schedule baseline", "of the usual state at the hour and day, from training"
    ),
    "rmse_persistence": MetricTerm(
        "RMSE of the persistence forecast", "of the last value as forecast; lower is better"
    ),
    "skill_score": MetricTerm(
        "Skill score", "1 - RMSE / RMSE of the persistence forecast; above 0 is better than it"
    ),
    "opposite_change_rate": MetricTerm(
        "Opposite change rate", "share of preferences that would get the opposite change; lower is better"
    ),
    "needless_change_rate": MetricTerm(
        "Needless change rate", "share of satisfied persons whose temperature would change; lower is better"
    ),
    "preference_recall": MetricTerm(
        "Recall of preferences", "share of preferences for a change that are detected"
    ),
    "joules_per_command": MetricTerm("Energy per command (J)", "modeled from CPU time; lower is better"),
    "model_mb": MetricTerm("Model size (MB)", "of the weights"),
    "parameters": MetricTerm("Parameters", "number of the model's weights"),
    "resident_mb": MetricTerm("Resident memory (MB)", "of the whole process"),
}
"""Metric -> name and meaning."""
