"""Task ``essays``: score an essay on its prompt's scale."""

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
    "essays",
    defaults={"backbone": "text", "target": "ordinal"},
    values={"encoder": {"length": 96, "bag": 2000}, "training": {"epochs": 2}},
)
class Essays(Task):
    """Score of an essay on its prompt's scale."""

    name: ClassVar[str] = "essays"
    purpose: ClassVar[str] = (
        "To score essays beside a human rater; a human scores what the model is unsure of."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To score essays as a second rater beside a human one.",
        affected=("pupils", "pupils who write in a second language or in an unusual way"),
        forbidden_uses=(
            "as the only score of an examination",
            "to detect cheating or to judge a character",
            "for prompts that it was not trained on",
        ),
        human_decides=(
            "A human rater scores every essay; the two scores are compared.",
            "What the model is unsure of, or far from the human's score, goes to a second human rater.",
        ),
        responsible="the chief examiner",
        accuracy_key="review_agreement",
    )
    bias: float = field(1.0, BIAS)
    order: list[str] = field([], ORDER)
    raters: list[str] = field(["rater1", "rater2"], RATERS)
    by: list[str] = field(["essay_set"], "columns whose values are judged apart, where the data have them")
    review_agreement: float = field(0.55, AGREEMENT)
    false_alarms: float = field(0.05, FALSE_ALARMS)

    def check(self) -> None:
        """Refuse values that can't be meant."""
        check_grading(self.review_agreement, self.false_alarms)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated essays."""
        from education.simulate.essays import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add quadratic weighted kappa and adjacent agreement, where the target does not bring them."""
        from education.grading.metrics import metrics

        return metrics(kind, self.order)

    def studies(self, kind: str) -> dict[str, Study]:
        """Judge as a second rater is judged: agreement, length, gaming, review by humans, words that moved scores."""
        from education.grading.studies import studies

        return studies(kind, self)
