"""Task ``credit``: whether a client defaults on the next payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from core.config import at_least_zero, config_error, field, positive, register
from core.data.config import as_list
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.config import TargetConfig
    from core.data.types import Dataset
    from core.targets.types import Metric


@register("task", "credit", defaults={"backbone": "tabular"})
class Credit(Task):
    """Default on the next payment, from a client's record."""

    name: ClassVar[str] = "credit"
    studies_by: ClassVar[str] = "finance.studies:credit_studies"
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
            "A refusal is confirmed by the officer, who reviews the file and not only the prediction.",
            "An uncertain case is decided from the file.",
        ),
        responsible="the deciding credit officer",
        confirm_positive=True,
    )
    refuse_cost: float = field(1.0, "cost of refusing a client who would have paid")
    default_cost: float = field(5.0, "cost of lending to a client who defaults")
    max_fpr_difference: float = field(
        0.05, "gate: largest allowed difference of false positive rates between groups (predictive equality)"
    )
    num_reasons: int = field(4, "reason codes given with a refusal")
    protected_inputs: Any = field(
        [], "columns of protected attributes (sex, age, ...) that are inputs all the same; by default none is"
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        super().__post_init__()
        self.protected_inputs = as_list(self.protected_inputs)
        if self.num_reasons < 1:
            raise config_error("task.num_reasons", self.num_reasons, "a whole number of at least 1")
        at_least_zero("task", max_fpr_difference=self.max_fpr_difference)
        positive("task", refuse_cost=self.refuse_cost, default_cost=self.default_cost)

    def admit(self, dataset: Dataset, target: TargetConfig) -> Dataset:
        """Return the data without protected inputs; raises ValueError where it is not told which outcome is default."""
        from finance.protected_inputs import require_plain_outcome, without_protected

        require_plain_outcome(dataset, getattr(target, "positive", None))
        return without_protected(dataset, self.protected_inputs)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated clients."""
        from finance.simulate.clients import simulate

        return simulate(rows, seed, self.simulated_bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return the recall of defaults at fixed false positive rates."""
        from finance.metrics import recall_at

        of_defaults = {"recall_at_1_fpr": recall_at(0.01), "recall_at_5_fpr": recall_at(0.05)}
        return {"binary": of_defaults}.get(kind, {})
