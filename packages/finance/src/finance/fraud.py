"""Task ``fraud``: whether a card transaction is fraudulent, from the card's own past."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric
    from finance.schema import TransactionSchema


@register(
    "task",
    "fraud",
    defaults={"backbone": "sequence"},
    values={"encoder": {"history": 12}, "target": {"select": "auprc"}, "training": {"epochs": 8}},
)
class Fraud(Task):
    """Fraudulent card transactions, from what was known of card and terminal at that moment."""

    name: ClassVar[str] = "fraud"
    purpose: ClassVar[str] = "To raise alerts on card transactions; an investigator decides what to do."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To let genuine card transactions pass and to raise alerts that an investigator looks at.",
        affected=("card holders", "merchants", "those who bear the loss of a missed fraud"),
        forbidden_uses=(
            "to block a card or close an account without an investigator",
            "to report a person to an authority or to a shared register of suspects",
            "to set prices, limits or credit terms",
        ),
        human_decides=(
            "An investigator confirms every alert before a card is blocked.",
            "What the model is unsure of is looked at like an alert.",
        ),
        responsible="the head of fraud investigation",
        acts=True,
        confirm_positive=True,
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")
    terminal: bool = field(
        True, "simulated data: also sum up the past of terminals, over all customers (false for privacy=dp)"
    )
    capacity: int = field(100, "cards that investigators can look at in a day")
    review_cost: float = field(5.0, "cost of looking at one alert, in the unit of the amounts")
    friction_cost: float = field(10.0, "cost of stopping a genuine transaction, in the unit of the amounts")
    miss_share: float = field(1.0, "share of a missed fraud's amount that is lost")
    miss_cost: float = field(25.0, "fixed cost of a missed fraud, in the unit of the amounts")
    equality_gap: float = field(0.05, "bar for the largest difference of false positive rates between groups")
    reasons: int = field(3, "reasons given with an alert")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        for key in ("capacity", "reasons"):
            if getattr(self, key) < 1:
                raise config_error(f"task.{key}", getattr(self, key), "a whole number of at least 1")
        for key in ("bias", "review_cost", "friction_cost", "miss_share", "miss_cost", "equality_gap"):
            if getattr(self, key) < 0:
                raise config_error(f"task.{key}", getattr(self, key), "zero or more")

    def schema(self) -> TransactionSchema:
        """Name the columns of the simulated transactions."""
        from finance.simulate.transactions import SCHEMA

        return SCHEMA if self.terminal else replace(SCHEMA, terminal=None)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated card transactions."""
        from finance.simulate.transactions import simulate

        return simulate(rows, seed, self.bias, self.terminal)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Name the shares of frauds found at fixed shares of false alarms."""
        from finance.metrics import recall_at

        if kind != "binary":
            return {}
        return {"recall_at_1_fpr": recall_at(0.01), "recall_at_5_fpr": recall_at(0.05)}

    def studies(self, kind: str) -> dict[str, Study]:
        """Look at alerts, costs, drift, reasons, speed and groups."""
        from finance.studies import fraud_studies

        return fraud_studies(self) if kind == "binary" else {}
