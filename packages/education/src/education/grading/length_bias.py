"""Does the machine pay for length? Grades against the number of words, beyond what humans give for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.data.text_similarity import WORD
from core.data.coercion import to_texts
from core.evaluation.study import StudyResult
from education.grading.agreement import correlation
from education.grading.metrics import NAN, Array, grades_of
from education.grading.resampling import Rows, figures

if TYPE_CHECKING:
    import pandas as pd

    from core.evaluation.study import EvaluationContext, Study
    from education.config import Grading


def word_counts(frame: pd.DataFrame, column: str) -> Array:
    """Count the words of each text, (N,)."""
    return np.array([float(len(WORD.findall(t))) for t in to_texts(frame[column])])


def length_bias(task: Grading) -> Study:
    """Make the study of length."""

    def study(held: EvaluationContext) -> StudyResult:
        grades = grades_of(held.parts["test"], task.order)
        column = held.dataset.roles.text[0]
        if grades is None:
            return StudyResult(
                "The classes have no order (task.order), so grades can't be held against length."
            )
        words = np.log1p(word_counts(held.frames["test"], column))

        def of(rows: Rows) -> dict[str, float]:
            human, machine, length = grades.human[rows], grades.raw[rows], words[rows]
            return {
                "length with human grade": correlation(length, human),
                "length with machine grade": correlation(length, machine),
                "length with machine grade at equal human grade": partial(length, machine, human),
            }

        found = figures(held, "test", of)
        edges = np.quantile(word_counts(held.frames["validation"], column), [0.25, 0.5, 0.75])
        counts = word_counts(held.frames["test"], column)
        quarter = np.searchsorted(edges, counts, side="left")
        names = [f"up to {edges[0]:g}", f"to {edges[1]:g}", f"to {edges[2]:g}", "longer"]
        rows = [
            {
                "words": names[k],
                "rows": int((quarter == k).sum()),
                "human mean": float(grades.human[quarter == k].mean()),
                "machine mean": float(grades.raw[quarter == k].mean()),
            }
            for k in range(4)
            if (quarter == k).any()
        ]
        own = found["length with machine grade at equal human grade"]
        certain = own["low"] is not None and (own["low"] > 0 or own["high"] < 0)
        told = "undefined" if own["value"] is None else f"{own['value']:+.2f}"
        return StudyResult(
            f"At equal human grade the machine's grade correlates {told} with length"
            + (", more than chance." if certain else ", no more than chance."),
            found,
            {"Grades by length": rows},
            notes=["Length is log(1 + words); quarters are those of the validation answers."],
        )

    return study


def partial(a: Array, b: Array, given: Array) -> float:
    """Partial correlation of a and b at equal ``given`` (Yule 1907); NaN where undefined."""
    ab, ag, bg = correlation(a, b), correlation(a, given), correlation(b, given)
    left = (1 - ag**2) * (1 - bg**2)
    return (ab - ag * bg) / left**0.5 if np.isfinite(left) and left > 0 else NAN
