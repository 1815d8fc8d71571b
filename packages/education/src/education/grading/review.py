"""Which grades go to a human: those that the machine is least sure of, by a threshold chosen on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.study import Findings
from education.grading.figures import NAN, Array, grades_of, qwk
from education.grading.resampling import Rows, figures, plain

if TYPE_CHECKING:
    from core.evaluation.study import Held, Study
    from education.settings import Grading

NOBODY = 1.01
"""A threshold that no probability reaches: every grade goes to a human."""


def certainty(scores: Array, labels: NDArray[Any]) -> Array:
    """Probability of the grade that was given, (N,)."""
    return np.asarray(scores[np.arange(len(scores)), labels.astype(np.int64)], np.float64)


def choose_threshold(sure: Array, right: NDArray[np.bool_], wanted: float) -> float:
    """Choose the lowest threshold with a share of right answers of at least ``wanted`` among those at or above it.

    ``NOBODY`` where no threshold reaches it with ten answers or more. All shapes (N,).
    """
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(sure[order][1:] < sure[order][:-1], True)  # ties stay together
    fits = np.flatnonzero(ends & (share >= wanted) & (np.arange(len(order)) >= 9))
    return float(sure[order][fits[-1]]) if len(fits) else NOBODY


def human_review(task: Grading) -> Study:
    """Make the study of deferral."""

    def study(held: Held) -> Findings:
        v, t = held.parts["validation"], held.parts["test"]
        threshold = choose_threshold(
            certainty(v.scores, v.labels), v.labels == v.targets, task.review_agreement
        )
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
        if threshold >= NOBODY:
            told = f"No threshold reaches an agreement of {task.review_agreement:g} on validation: a human grades all."
        else:
            told = (
                f"{to_human:.0%} of the grades go to a human; the rest agree exactly in "
                f"{'no case' if rest is None else f'{rest:.0%}'} (wanted {task.review_agreement:.0%})."
            )
        return Findings(
            told,
            {"threshold": plain(threshold), **found},
            {"Agreement of what the machine is surest of (test)": steps},
            notes=[
                "The threshold on the probability of the given grade is chosen on validation, never on test."
            ],
        )

    return study
