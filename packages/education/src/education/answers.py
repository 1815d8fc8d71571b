"""Task ``answers``: grade a short answer to a question against reference answers."""

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
    "answers",
    defaults={"backbone": "text"},
    values={"encoder": {"length": 32, "bag": 2000}, "training": {"epochs": 3}},
)
class Answers(Task):
    """Grade of a short answer, compared with reference answers."""

    name: ClassVar[str] = "answers"
    purpose: ClassVar[str] = (
        "To mark short answers and tell the pupil what is missing; a teacher marks what the model is unsure of."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To mark short answers in practice and tell the pupil what is missing.",
        affected=("pupils", "pupils whose way of writing is rare in the data"),
        forbidden_uses=(
            "to decide on a certificate, a place or a move to the next class",
            "to rank or to discipline pupils",
            "for questions other than those it was measured on, unseen questions included, without a new measurement",
        ),
        human_decides=(
            "A teacher marks what the model is unsure of.",
            "A teacher marks again whatever a pupil contests.",
        ),
        responsible="the teacher of the class",
        acts=True,
        accuracy_key="review_agreement",
    )
    bias: float = field(1.0, BIAS)
    order: list[str] = field(["contradictory", "incorrect", "correct"], ORDER)
    raters: list[str] = field(["rater1", "rater2"], RATERS)
    by: list[str] = field(
        ["question", "module"], "columns whose values are judged apart, where the data have them"
    )
    review_agreement: float = field(0.85, AGREEMENT)
    false_alarms: float = field(0.05, FALSE_ALARMS)

    def check(self) -> None:
        """Refuse values that can't be meant."""
        check_grading(self.review_agreement, self.false_alarms)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated answers of pupils."""
        from education.simulate.answers import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add quadratic weighted kappa and adjacent agreement in the order of the grades."""
        from education.grading.metrics import metrics

        return metrics(kind, self.order)

    def studies(self, kind: str) -> dict[str, Study]:
        """Judge as a second rater is judged: agreement, length, gaming, review by humans, words that moved grades."""
        from education.grading.studies import studies

        return studies(kind, self)
