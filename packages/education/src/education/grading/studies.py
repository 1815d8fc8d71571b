"""The studies of a grading run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.targets.types import target_type

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study, StudyResult
    from education.config import GradingTask


def studies(kind: str, task: GradingTask) -> dict[str, Study]:
    """Return the studies of a target of this kind; those of texts need a text column."""
    from education.grading.agreement import agreement
    from education.grading.gaming_detection import gaming_detection
    from education.grading.human_review import human_review
    from education.grading.length_bias import length_bias
    from education.grading.word_attribution import word_attribution

    target = target_type(kind)
    if not target.has_row_class and not target.estimates_numbers:
        return {}
    found: dict[str, Study] = {"agreement": agreement(task)}
    if target.has_row_class:
        found["human_review"] = human_review(task)
    if task.name != "performance":
        found |= {
            "length_bias": _of_text(length_bias(task)),
            "gaming_detection": _of_text(gaming_detection(task)),
        }
        if target.has_row_class:
            found["word_attribution"] = _of_text(word_attribution())
    return found


def _of_text(study: Study) -> Study:
    def study_of_text(context: EvaluationContext) -> StudyResult:
        from core.evaluation.study import StudyResult

        if len(context.dataset.roles.text) != 1:
            return StudyResult("Not measured: the data do not have exactly one text column.")
        return study(context)

    return study_of_text
