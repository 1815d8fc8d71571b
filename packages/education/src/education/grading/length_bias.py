"""Length bias: correlation of grades with the number of words, beyond that of human grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.data.text_similarity import WORD
from core.evaluation.bootstrap import row_estimates
from core.evaluation.study import StudyResult
from education.grading.agreement import correlation
from education.grading.metrics import NAN, Array, grades_of

if TYPE_CHECKING:
    import pandas as pd

    from core.evaluation.study import EvaluationContext, Study
    from education.config import GradingTask


def word_counts(frame: pd.DataFrame, column: str) -> Array:
    """Return the number of words of each text, (N,)."""
    return np.array([float(len(WORD.findall(t))) for t in to_texts(frame[column])])


def length_bias(task: GradingTask) -> Study:
    """Return the study of length bias."""

    def study(context: EvaluationContext) -> StudyResult:
        grades = grades_of(context.parts["test"], task.grade_order)
        column = context.dataset.roles.text[0]
        if grades is None:
            return StudyResult(
                "The classes have no order (task.grade_order), so grades can't be compared with length."
            )
        words = np.log1p(word_counts(context.frames["test"], column))

        def statistics(rows: NDArray[np.int64]) -> dict[str, float]:
            human, machine, length = grades.human[rows], grades.raw[rows], words[rows]
            return {
                "correlation_human": correlation(length, human),
                "correlation_machine": correlation(length, machine),
                "partial_correlation_machine": partial_correlation(length, machine, human),
            }

        found = row_estimates(context, "test", statistics)
        edges = np.quantile(word_counts(context.frames["validation"], column), [0.25, 0.5, 0.75])
        counts = word_counts(context.frames["test"], column)
        quartile = np.searchsorted(edges, counts, side="left")
        names = [f"up to {edges[0]:g}", f"to {edges[1]:g}", f"to {edges[2]:g}", "longer"]
        rows = [
            {
                "words": names[k],
                "rows": int((quartile == k).sum()),
                "human mean": float(grades.human[quartile == k].mean()),
                "machine mean": float(grades.raw[quartile == k].mean()),
            }
            for k in range(4)
            if (quartile == k).any()
        ]
        own = found["partial_correlation_machine"]
        significant = own.low is not None and own.high is not None and (own.low > 0 or own.high < 0)
        shown = "undefined" if own.value is None else f"{own.value:+.2f}"
        return StudyResult(
            f"At equal human grade the machine's grade correlates {shown} with length"
            + (", significantly." if significant else ", not significantly."),
            found,
            {"Grades by length": rows},
            notes=["Length is log(1 + words); quartiles are those of the validation answers."],
        )

    return study


def partial_correlation(a: Array, b: Array, given: Array) -> float:
    """Return the partial correlation of a and b at equal ``given`` (Yule 1907); NaN where undefined."""
    ab, ag, bg = correlation(a, b), correlation(a, given), correlation(b, given)
    unexplained = (1 - ag**2) * (1 - bg**2)
    return (ab - ag * bg) / unexplained**0.5 if np.isfinite(unexplained) and unexplained > 0 else NAN
