"""Task ``fraud``: whether a card transaction is fraudulent, from the card's own past."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from core.config import at_least_zero, config_error, field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.targets.types import Metric
    from finance.schema import TransactionSchema


@register(
    "task",
    "fraud",
    defaults={"backbone": "sequence"},
    values={"encoder": {"max_events": 12}, "training": {"epochs": 8, "monitor": "auprc"}},
)
class Fraud(Task):
    """Fraudulent card transactions, from the history of card and terminal at that moment."""

    name: ClassVar[str] = "fraud"
    studies_by: ClassVar[str] = "finance.studies:fraud_studies"
    purpose: ClassVar[str] = "To raise alerts on card transactions; an investigator decides what to do."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To let genuine card transactions pass and to raise alerts that an investigator reviews.",
        affected=("card holders", "merchants", "those who bear the loss of a missed fraud"),
        forbidden_uses=(
            "to block a card or close an account without an investigator",
            "to report a person to an authority or to a shared register of suspects",
            "to set prices, limits or credit terms",
        ),
        human_decides=(
            "An investigator confirms every alert before a card is blocked.",
            "An uncertain transaction is reviewed like an alert.",
        ),
        responsible="the head of fraud investigation",
        acts=True,
        confirm_positive=True,
    )
    terminal_features: bool = field(
        True, "simulated data: features of the terminal's history, over all customers (false for privacy=dp)"
    )
    capacity: int = field(100, "cards that investigators can review in a day (k of card precision at k)")
    review_cost: float = field(5.0, "cost of reviewing one alert, in the unit of the amounts")
    friction_cost: float = field(10.0, "cost of blocking a genuine transaction, in the unit of the amounts")
    miss_amount_fraction: float = field(1.0, "fraction of a missed fraud's amount that is lost")
    miss_cost: float = field(25.0, "fixed cost of a missed fraud, in the unit of the amounts")
    max_fpr_difference: float = field(
        0.05, "gate: largest allowed difference of false positive rates between groups (predictive equality)"
    )
    num_reasons: int = field(3, "reason codes given with an alert")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        super().__post_init__()
        for key in ("capacity", "num_reasons"):
            if getattr(self, key) < 1:
                raise config_error(f"task.{key}", getattr(self, key), "a whole number of at least 1")
        keys = ("review_cost", "friction_cost", "miss_amount_fraction", "miss_cost", "max_fpr_difference")
        at_least_zero("task", **{key: getattr(self, key) for key in keys})

    def schema(self) -> TransactionSchema:
        """Return the schema of the simulated transactions."""
        from finance.simulate.transactions import SCHEMA

        return SCHEMA if self.terminal_features else replace(SCHEMA, terminal=None)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated card transactions."""
        from finance.simulate.transactions import simulate

        return simulate(rows, seed, self.simulated_bias, self.terminal_features)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return the recall of frauds at fixed false positive rates."""
        from finance.metrics import recall_at

        of_frauds = {"recall_at_1_fpr": recall_at(0.01), "recall_at_5_fpr": recall_at(0.05)}
        return {"binary": of_frauds}.get(kind, {})
