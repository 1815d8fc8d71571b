"""The studies of a grading run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.evaluation.study import StudyResult, EvaluationContext, Study
    from education.config import Grading

GRADES = ("binary", "multiclass", "ordinal")


def studies(kind: str, task: Grading) -> dict[str, Study]:
    """Name the studies of a target of this kind; those of texts look only where there is a text."""
    from education.grading.agreement import agreement
    from education.grading.gaming_detection import gaming
    from education.grading.length_bias import length_bias
    from education.grading.human_review import human_review
    from education.grading.word_attribution import moving_words

    if kind not in (*GRADES, "regression"):
        return {}
    found: dict[str, Study] = {"agreement": agreement(task)}
    if kind in GRADES:
        found["human review"] = human_review(task)
    if task.name != "performance":
        found |= {"length": _of_text(length_bias(task)), "gaming": _of_text(gaming(task))}
        if kind in GRADES:
            found["words"] = _of_text(moving_words())
    return found


def _of_text(study: Study) -> Study:
    def looked(held: EvaluationContext) -> StudyResult:
        from core.evaluation.study import StudyResult

        if len(held.dataset.roles.text) != 1:
            return StudyResult("Not measured: the data do not name one text column.")
        return study(held)

    return looked
