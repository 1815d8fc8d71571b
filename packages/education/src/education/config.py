"""What the tasks of this domain share. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field
from core.domain import Task

if TYPE_CHECKING:
    from core.targets.types import Metric

GRADE_ORDER = "grades that are not numbers, lowest first: the scale of kappa and of mean differences"
RATER_COLUMNS = "columns of single human ratings, if any; agreement is computed with the first"
SUBGROUP_COLUMNS = "columns whose values are evaluated separately, if the data have them"
TARGET_AGREEMENT = (
    "exact agreement required of grades without human review on validation; uncertain ones are reviewed"
)
GAMING_MAX_FPR = "largest false positive rate of the gaming detector on honest validation answers"


@dataclass
class GradingTask(Task):
    """Base of the tasks of this domain: a machine grade that is evaluated like that of a second rater."""

    studies_by: ClassVar[str] = "education.grading.studies:studies"
    grade_order: list[str] = field([], GRADE_ORDER)  # noqa: RUF009 - a dataclasses.field
    rater_columns: list[str] = field([], RATER_COLUMNS)  # noqa: RUF009 - a dataclasses.field
    subgroup_columns: list[str] = field([], SUBGROUP_COLUMNS)  # noqa: RUF009 - a dataclasses.field
    target_agreement: float = field(0.75, TARGET_AGREEMENT)
    gaming_max_fpr: float = field(0.05, GAMING_MAX_FPR)

    def __post_init__(self) -> None:
        """Raise ValueError for fractions that can't be right, naming the key."""
        super().__post_init__()
        if not 0 < self.target_agreement <= 1:
            raise config_error(
                "task.target_agreement", self.target_agreement, "a fraction above 0 and up to 1"
            )
        if not 0 < self.gaming_max_fpr < 1:
            raise config_error("task.gaming_max_fpr", self.gaming_max_fpr, "a fraction between 0 and 1")

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return quadratic weighted kappa and adjacent agreement, where the target does not have them."""
        from education.grading.metrics import metrics

        return metrics(kind, self.grade_order)
