"""Human review of the grades with the lowest confidence, by a threshold chosen on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.bootstrap import estimate, row_estimates
from core.evaluation.deferral import accuracy_threshold
from core.evaluation.study import StudyResult
from core.oversight.decision_rule import DEFER_ALL
from core.targets.metrics import quadratic_kappa
from education.grading.metrics import NAN, Array, grades_of

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study
    from education.config import GradingTask


def label_probability(scores: Array, labels: NDArray[Any]) -> Array:
    """Return the probability of the predicted grade, (N,)."""
    return np.asarray(scores[np.arange(len(scores)), labels.astype(np.int64)], np.float64)


def human_review(task: GradingTask) -> Study:
    """Return the study of deferral, by the rule of the run itself (``oversight.defer=auto``)."""

    def study(context: EvaluationContext) -> StudyResult:
        v, t = context.parts["validation"], context.parts["test"]
        threshold = accuracy_threshold(
            label_probability(v.scores, v.labels), v.labels == v.targets, task.target_agreement
        )
        confidence = label_probability(t.scores, t.labels)
        grades = grades_of(t, task.grade_order)

        def statistics(rows: NDArray[np.int64]) -> dict[str, float]:
            kept = rows[confidence[rows] >= threshold]
            found = {
                "referral_rate": 1.0 - len(kept) / max(len(rows), 1),
                "exact_agreement_automated": float(np.mean(t.labels[kept] == t.targets[kept]))
                if len(kept)
                else NAN,
                "exact_agreement": float(np.mean(t.labels[rows] == t.targets[rows])),
            }
            if grades is not None:
                found["qwk_automated"] = quadratic_kappa(grades.rounded[kept], grades.human[kept])
            return found

        found = row_estimates(context, "test", statistics)
        referred = found["referral_rate"].value
        automated = found["exact_agreement_automated"].value
        curve = []
        for fraction in (0.0, 0.1, 0.2, 0.3, 0.5):
            kept = confidence >= np.quantile(confidence, fraction)
            curve.append(
                {
                    "referral rate": fraction,
                    "exact agreement, automated": float(np.mean((t.labels == t.targets)[kept])),
                }
            )
        if threshold >= DEFER_ALL:
            summary = (
                f"No threshold reaches an agreement of {task.target_agreement:g} on validation: "
                "a human grades all."
            )
        else:
            summary = (
                f"{referred:.0%} of the grades are reviewed by a human; exact agreement of the others is "
                f"{'undefined' if automated is None else f'{automated:.0%}'} (target {task.target_agreement:.0%})."
            )
        return StudyResult(
            summary,
            {"threshold": estimate(threshold), **found},
            {"Agreement by referral rate (test)": curve},
            notes=[
                "The threshold on the probability of the predicted grade is chosen on validation, never on test."
            ],
        )

    return study
