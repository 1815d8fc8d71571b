"""The options ``fairness=audit`` and ``none``, and what all options share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.config import FairnessConfig, config_error, field, register

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from core.config import RunConfig
    from core.data.encoders.decorrelated import DecorrelatedEncoder
    from core.data.encoders.columns import ColumnsEncoder
    from core.data.groups import Groups
    from core.data.types import ColumnRoles
    from core.fairness.penalty import GapPenalty
    from core.fairness.group_dro import GroupDRO
    from core.fairness.subgroups import Grouped
    from core.fairness.reweighing import Reweighing
    from core.targets.types import Array, Predictions, Target

    AnyEncoder = ColumnsEncoder | DecorrelatedEncoder
    AnyObjective = Reweighing | GroupDRO | GapPenalty


class NoMitigation(FairnessConfig):
    """What an option is asked for in a run, answered by one that changes nothing."""

    def check_run(self, config: RunConfig) -> None:
        """Refuse, before data are read, a run that this option does not fit."""

    def check_validation(self, groups: Mapping[str, NDArray[np.str_]], target: Target) -> None:
        """Refuse, before training, a target or validation groups that this option can't do with."""

    def encoder(
        self, encoder: ColumnsEncoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups
    ) -> AnyEncoder:
        """Before training: change the inputs."""
        return encoder

    def objective(self, rows: Grouped, groups: Groups, target: Target) -> AnyObjective | None:
        """In training: change the loss; None leaves it. ValueError for a target that this option does not fit."""
        return None

    def decide(
        self, validation: Predictions, target: Target, thresholds: Mapping[str, float]
    ) -> dict[str, Any] | None:
        """After training: choose thresholds of single groups on recalibrated validation scores, for the record."""
        return None

    def told(self, groups: Groups) -> dict[str, Any] | None:
        """Say what was done about differences, for the record: kind, attributes, text, needed_to_predict, settings."""
        return None


@register("fairness", "audit")
class AuditOption(NoMitigation):
    """Compare each group of the sensitive attributes with all others, by the notions that suit the target."""

    confidence: float = field(0.95, help="chance that all intervals of the audit hold at once")
    intersections: bool = field(
        True, help="also compare the pairs of attributes, such as sex and age together"
    )
    reference_run: str = field(
        "",
        help="folder of a finished run on the same rows: whose gaps grew or closed since, and at what price",
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if not 0.5 <= self.confidence < 1:
            raise config_error("fairness.confidence", self.confidence, "from 0.5 to below 1, such as 0.95")
        if self.reference_run and not (Path(self.reference_run) / "record.json").is_file():
            raise config_error(
                "fairness.reference_run",
                self.reference_run,
                "no record.json there; give a finished run's folder",
            )

    def judge(
        self, test: Predictions, weights: Iterable[Array], minimum: int, unit: str
    ) -> dict[str, Any] | None:
        """Give the record's ``fairness`` section; None where no sensitive attribute is known."""
        from core.fairness.audit import audit

        return (
            audit(test, weights, self.confidence, minimum, unit, self.intersections) if test.groups else None
        )


@register("fairness", "none")
class NoAudit(NoMitigation):
    """Compare nobody; the figures by group stay in the record."""

    reference_run: ClassVar[str] = ""

    def judge(
        self, test: Predictions, weights: Iterable[Array], minimum: int, unit: str
    ) -> dict[str, Any] | None:
        """Judge nothing."""
        return None
