"""Task ``performance``: a pupil's final grade from what the school knows early."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
from core.domain import Task
from core.oversight.declaration import Oversight
from education.config import AGREEMENT, BIAS, FALSE_ALARMS, ORDER, RATERS, check_grading

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@register(
    "task",
    "performance",
    defaults={"backbone": "tabular", "target": "regression"},
)
class Performance(Task):
    """Final grade of a pupil."""

    name: ClassVar[str] = "performance"
    purpose: ClassVar[str] = "To offer help to pupils early; never to refuse one anything."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To offer help early to pupils who may need it.",
        affected=("pupils", "pupils who are not offered help because others seem to need it more"),
        forbidden_uses=(
            "to refuse a pupil a course, a school or a stipend",
            "to grade",
            "to judge teachers or schools",
        ),
        human_decides=(
            "A teacher or counsellor decides whom to offer help, and the pupil whether to take it.",
        ),
        responsible="the school's counsellor",
    )
    bias: float = field(1.0, BIAS)
    order: list[str] = field([], ORDER)
    raters: list[str] = field([], RATERS)
    by: list[str] = field(["subject"], "columns whose values are judged apart, where the data have them")
    review_agreement: float = field(0.75, AGREEMENT)
    false_alarms: float = field(0.05, FALSE_ALARMS)

    def check(self) -> None:
        """Refuse values that can't be meant."""
        check_grading(self.review_agreement, self.false_alarms)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated pupils."""
        from education.simulate.performance import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add quadratic weighted kappa and adjacent agreement of rounded grades."""
        from education.grading.metrics import metrics

        return metrics(kind, self.order)

    def studies(self, kind: str) -> dict[str, Study]:
        """Compare predicted with given grades as raters are compared, overall and by group."""
        from education.grading.studies import studies

        return studies(kind, self)
