"""Task ``answers``: grade a short answer to a question against reference answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
from core.oversight.declaration import Oversight
from education.config import GRADE_ORDER, RATER_COLUMNS, SUBGROUP_COLUMNS, TARGET_AGREEMENT, GradingTask

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "answers",
    defaults={"backbone": "text"},
    values={"encoder": {"text": {"max_length": 32, "tfidf_features": 2000}}, "training": {"epochs": 3}},
)
class Answers(GradingTask):
    """Grade of a short answer, compared with reference answers."""

    name: ClassVar[str] = "answers"
    purpose: ClassVar[str] = (
        "To grade short answers and show the pupil what is missing; a teacher grades uncertain answers."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To grade short answers in practice and show the pupil what is missing.",
        affected=("pupils", "pupils whose way of writing is rare in the data"),
        forbidden_uses=(
            "to decide on a certificate, a place or a move to the next class",
            "to rank or to discipline pupils",
            "for questions other than those it was evaluated on, unseen questions included, without a new evaluation",
        ),
        human_decides=(
            "A teacher grades answers with an uncertain prediction.",
            "A teacher regrades whatever a pupil contests.",
        ),
        responsible="the teacher of the class",
        acts=True,
        accuracy_key="target_agreement",
    )
    grade_order: list[str] = field(["contradictory", "incorrect", "correct"], GRADE_ORDER)
    rater_columns: list[str] = field(["rater1", "rater2"], RATER_COLUMNS)
    subgroup_columns: list[str] = field(["question", "module"], SUBGROUP_COLUMNS)
    target_agreement: float = field(0.85, TARGET_AGREEMENT)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated answers of pupils."""
        from education.simulate.answers import simulate

        return simulate(rows, seed, self.simulated_bias)
