"""The options of ``fairness=``. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import option, setting, wrong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.targets.types import Array, Predictions


@option("fairness", "audit")
class AuditOption:
    """Compare each group of the sensitive attributes with all others, by the notions that suit the target."""

    confidence: float = setting(0.95, help="chance that all intervals of the audit hold at once")
    intersections: bool = setting(
        True, help="also compare the pairs of attributes, such as sex and age together"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if not 0.5 <= self.confidence < 1:
            raise wrong("fairness.confidence", self.confidence, "from 0.5 to below 1, such as 0.95")

    def judge(
        self, test: Predictions, weights: Iterable[Array], minimum: int, unit: str
    ) -> dict[str, Any] | None:
        """Give the record's ``fairness`` section; None where no sensitive attribute is known."""
        from core.fairness.audit import audit

        return (
            audit(test, weights, self.confidence, minimum, unit, self.intersections) if test.groups else None
        )


@option("fairness", "none")
class NoAudit:
    """Compare nobody; the figures by group stay in the record."""

    def judge(
        self, test: Predictions, weights: Iterable[Array], minimum: int, unit: str
    ) -> dict[str, Any] | None:
        """Judge nothing."""
        return None
