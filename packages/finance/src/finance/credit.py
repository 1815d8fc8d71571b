"""Task ``credit``: whether a client defaults on the next payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@register(
    "task",
    "credit",
    defaults={"backbone": "tabular"},
)
class Credit(Task):
    """Default on the next payment, from a client's record."""

    name: ClassVar[str] = "credit"
    purpose: ClassVar[str] = "To inform a decision on credit; a credit officer decides and gives the reasons."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To inform a credit officer's decision, with the reasons that speak for and against.",
        affected=("applicants and clients", "households and guarantors who depend on the credit"),
        forbidden_uses=(
            "to refuse, cut or call in a credit without a credit officer",
            "for marketing, employment, housing or insurance",
            "with attributes that the law protects among the inputs",
        ),
        human_decides=(
            "A credit officer decides every application and gives the client the reasons.",
            "A refusal is confirmed by the officer, who looks at the file and not only at the answer.",
            "What the model is unsure of is decided from the file.",
        ),
        responsible="the deciding credit officer",
        confirm_positive=True,
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")
    refuse_cost: float = field(1.0, "cost of refusing a client who would have paid")
    default_cost: float = field(5.0, "cost of lending to a client who defaults")
    equality_gap: float = field(0.05, "bar for the largest difference of false positive rates between groups")
    reasons: int = field(4, "reasons given with a refusal")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if self.reasons < 1:
            raise config_error("task.reasons", self.reasons, "a whole number of at least 1")
        for key in ("bias", "equality_gap"):
            if getattr(self, key) < 0:
                raise config_error(f"task.{key}", getattr(self, key), "zero or more")
        for key in ("refuse_cost", "default_cost"):
            if getattr(self, key) <= 0:
                raise config_error(f"task.{key}", getattr(self, key), "a cost above 0")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated clients."""
        from finance.simulate.clients import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Name the shares of defaults found at fixed shares of false alarms."""
        from finance.metrics import recall_at

        if kind != "binary":
            return {}
        return {"recall_at_1_fpr": recall_at(0.01), "recall_at_5_fpr": recall_at(0.05)}

    def studies(self, kind: str) -> dict[str, Study]:
        """Look at costs, drift, reasons, speed and groups."""
        from finance.studies import credit_studies

        return credit_studies(self) if kind == "binary" else {}
