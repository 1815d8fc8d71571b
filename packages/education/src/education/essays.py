"""Task ``essays``: score an essay on its prompt's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
from core.oversight.declaration import Oversight
from education.config import RATER_COLUMNS, SUBGROUP_COLUMNS, TARGET_AGREEMENT, GradingTask

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "essays",
    defaults={"backbone": "text", "target": "ordinal"},
    values={"encoder": {"text": {"max_length": 96, "tfidf_features": 2000}}, "training": {"epochs": 2}},
)
class Essays(GradingTask):
    """Score of an essay on its prompt's scale."""

    name: ClassVar[str] = "essays"
    purpose: ClassVar[str] = (
        "To score essays as a second rater; a human scores essays with an uncertain prediction."
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
            "An uncertain score, or one far from the human's, goes to a second human rater.",
        ),
        responsible="the chief examiner",
        accuracy_key="target_agreement",
    )
    rater_columns: list[str] = field(["rater1", "rater2"], RATER_COLUMNS)
    subgroup_columns: list[str] = field(["essay_set"], SUBGROUP_COLUMNS)
    target_agreement: float = field(0.55, TARGET_AGREEMENT)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated essays."""
        from education.simulate.essays import simulate

        return simulate(rows, seed, self.simulated_bias)
