"""Which grades go to a human: those that the machine is least sure of, by a threshold chosen on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.deferral import by_agreement
from core.evaluation.study import StudyResult
from core.oversight.decision_rule import DEFER_ALL
from education.grading.metrics import NAN, Array, grades_of, qwk
from education.grading.resampling import Rows, figures, plain

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study
    from education.config import Grading


def certainty(scores: Array, labels: NDArray[Any]) -> Array:
    """Probability of the grade that was given, (N,)."""
    return np.asarray(scores[np.arange(len(scores)), labels.astype(np.int64)], np.float64)


def human_review(task: Grading) -> Study:
    """Make the study of deferral, by the rule that the run obeys too (``oversight.defer=auto``)."""

    def study(held: EvaluationContext) -> StudyResult:
        v, t = held.parts["validation"], held.parts["test"]
        threshold = by_agreement(certainty(v.scores, v.labels), v.labels == v.targets, task.review_agreement)
        sure = certainty(t.scores, t.labels)
        grades = grades_of(t, task.order)

        def of(rows: Rows) -> dict[str, float]:
            kept = rows[sure[rows] >= threshold]
            found = {
                "share to a human": 1.0 - len(kept) / max(len(rows), 1),
                "exact agreement of the rest": float(np.mean(t.labels[kept] == t.targets[kept]))
                if len(kept)
                else NAN,
                "exact agreement of all": float(np.mean(t.labels[rows] == t.targets[rows])),
            }
            if grades is not None:
                found["qwk of the rest"] = qwk(grades.rounded[kept], grades.human[kept])
            return found

        found = figures(held, "test", of)
        to_human = found["share to a human"]["value"]
        rest = found["exact agreement of the rest"]["value"]
        steps = []
        for share in (0.0, 0.1, 0.2, 0.3, 0.5):
            kept = sure >= np.quantile(sure, share)
            steps.append(
                {
                    "share to a human": share,
                    "exact agreement of the rest": float(np.mean((t.labels == t.targets)[kept])),
                }
            )
        if threshold >= DEFER_ALL:
            told = f"No threshold reaches an agreement of {task.review_agreement:g} on validation: a human grades all."
        else:
            told = (
                f"{to_human:.0%} of the grades go to a human; the rest agree exactly in "
                f"{'no case' if rest is None else f'{rest:.0%}'} (wanted {task.review_agreement:.0%})."
            )
        return StudyResult(
            told,
            {"threshold": plain(threshold), **found},
            {"Agreement of what the machine is surest of (test)": steps},
            notes=[
                "The threshold on the probability of the given grade is chosen on validation, never on test."
            ],
        )

    return study
