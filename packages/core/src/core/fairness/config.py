"""The options of ``fairness=``: an audit, and what may be done before, in and after training. Imports no torch.

Every option has the same methods (``core.fairness.audit_config.NoMitigation``), so that the steps of a run call them
without asking which it is: ``encoder`` (before), ``objective`` (in training), ``decide`` (after), ``judge`` and
``told`` (the record). What is done is always audited too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.config import OPTIONS, config_error, field, register
from core.config.validate import one_of
from core.fairness.audit_config import AuditOption as AuditOption
from core.fairness.audit_config import NoAudit as NoAudit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from core.config import RunConfig
    from core.data.encoders.columns import ColumnsEncoder
    from core.data.groups import Groups
    from core.data.types import ColumnRoles
    from core.fairness.audit_config import AnyEncoder, AnyObjective
    from core.fairness.subgroups import Grouped
    from core.targets.types import Predictions, Target

NEED_COUNTS = "it reads training rows without noise, which privacy=dp forbids"


@register("fairness", "reweight")
class Reweight(AuditOption):
    """Weigh training rows so that group and class are independent, or as you say; then audit.

    Kamiran and Calders (2012). Where rows have no single class, each group counts the same.
    """

    attribute: str = field("", help="the sensitive attribute; a+b joins two; default: the first")
    by: str = field("auto", help="auto, group_class (group and class independent), group (all groups alike)")
    weights: dict[str, float] = field(
        {},
        help="your own weight of each group, others 1 (nothing is counted, so privacy=dp allows it): "
        "+fairness.weights.female=2",
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        super().check()
        one_of("fairness.by", self.by, ("auto", "group_class", "group"))
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise config_error(
                    "fairness.weights", {name: weight}, "each weight is a finite number, 0 or above"
                )
        if self.weights and not any(self.weights.values()):
            raise config_error(
                "fairness.weights", dict(self.weights), "all are 0: nothing would be learnt of these groups"
            )

    def check_run(self, config: RunConfig) -> None:
        """Refuse counting training rows under differential privacy."""
        if not self.weights and _private(config):
            raise config_error(
                "fairness", "reweight",
                f"{NEED_COUNTS} (it counts their groups); give +fairness.weights.GROUP=WEIGHT, known beforehand",
            )  # fmt: skip
        if _private(config) and config.privacy.clipping == "automatic":
            raise config_error(
                "privacy.clipping",
                "automatic",
                "it undoes weights (every gradient gets one length); use flat",
            )

    def objective(self, rows: Grouped, groups: Groups, target: Target) -> AnyObjective:
        """Weigh each row's loss."""
        from core.fairness.subgroups import CLASSED, SubgroupIndex
        from core.fairness.reweighing import counted, given

        if self.by == "group_class" and target.kind not in CLASSED:
            raise config_error(
                "fairness.by", self.by, f"rows of a {target.kind} target have no single class; use group"
            )
        by_class = target.kind in CLASSED and self.by != "group" and not self.weights
        strata = SubgroupIndex.of(self.attribute, groups, target, by_class)
        return given(strata, self.weights) if self.weights else counted(strata, rows)

    def told(self, groups: Groups) -> dict[str, Any]:
        """Say what was done."""
        how = (
            "weights given by group"
            if self.weights
            else "weights by group and class counted on training rows"
        )
        text = f"Training rows were weighed: {how}."
        return _done("reweight", self.attribute, groups, text, {"weights": self.weights})


@register("fairness", "dro")
class Dro(AuditOption):
    """Group DRO: groups (and classes) with a high loss count more, step by step; then audit. Not under privacy=dp.

    Sagawa, Koh, Hashimoto and Liang (2020).
    """

    attribute: str = field("", help="the sensitive attribute; a+b joins two; default: the first")
    by_class: bool = field(True, help="tell the classes of a group apart, where rows have one class")
    rate: float = field(0.02, help="how fast weights move towards the groups with the highest loss")
    minimum: int = field(50, help="groups (of a class) with fewer training rows keep weight 1")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        super().check()
        if not 0 < self.rate <= 10:
            raise config_error("fairness.rate", self.rate, "above 0, at most 10; 0.02 is usual")
        _at_least("minimum", self.minimum, 1)

    def check_run(self, config: RunConfig) -> None:
        """Refuse what couples examples under differential privacy."""
        _not_private(config, "dro", "it weighs examples by the losses of others")

    def objective(self, rows: Grouped, groups: Groups, target: Target) -> AnyObjective:
        """Weigh each row's loss by what the groups' losses were."""
        from core.fairness.group_dro import GroupDRO
        from core.fairness.subgroups import CLASSED, SubgroupIndex

        strata = SubgroupIndex.of(self.attribute, groups, target, self.by_class and target.kind in CLASSED)
        counts_C = strata.counts(rows)
        if int((counts_C >= self.minimum).sum()) < 2:
            raise config_error(
                "fairness.minimum", self.minimum, "fewer than two groups have so many training rows"
            )
        return GroupDRO(strata, counts_C, self.rate, self.minimum)

    def told(self, groups: Groups) -> dict[str, Any]:
        """Say what was done."""
        text = "Groups with a higher loss counted more in training (group DRO)."
        return _done("dro", self.attribute, groups, text, {"rate": self.rate})


@register("fairness", "penalty")
class Penalty(AuditOption):
    """A penalty on the squared gaps between groups in the training loss; then audit. Not under privacy=dp."""

    attribute: str = field("", help="the sensitive attribute; a+b joins two; default: the first")
    notion: str = field(
        "auto",
        help="what should be alike: equalized_odds, equal_opportunity, demographic_parity (probabilities, where rows "
        "have one class), equal_loss (any target); auto: equalized_odds, else equal_loss",
    )
    strength: float = field(10.0, help="factor of the squared gaps; 0 penalises nothing")
    minimum: int = field(50, help="groups (of a class) with fewer training rows are left alone")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        super().check()
        one_of(
            "fairness.notion",
            self.notion,
            ("auto", "equalized_odds", "equal_opportunity", "demographic_parity", "equal_loss"),
        )
        if not 0 <= self.strength < float("inf"):
            raise config_error("fairness.strength", self.strength, "a finite number, 0 or above; 10 is usual")
        _at_least("minimum", self.minimum, 1)

    def check_run(self, config: RunConfig) -> None:
        """Refuse what couples examples under differential privacy."""
        _not_private(config, "penalty", "a gap between groups couples examples")

    def objective(self, rows: Grouped, groups: Groups, target: Target) -> AnyObjective:
        """Add the penalty to each row's loss."""
        from core.fairness.penalty import GapPenalty
        from core.fairness.subgroups import CLASSED, SubgroupIndex

        classed = target.kind in CLASSED
        if not classed and self.notion not in ("auto", "equal_loss"):
            raise config_error(
                "fairness.notion", self.notion, f"rows of a {target.kind} target have no single class; use equal_loss"
            )  # fmt: skip
        notion = self.notion if self.notion != "auto" else "equalized_odds" if classed else "equal_loss"
        strata = SubgroupIndex.of(self.attribute, groups, target, notion in ("equalized_odds", "equal_opportunity"))
        return GapPenalty(strata, strata.counts(rows), target, notion, self.strength, self.minimum)

    def told(self, groups: Groups) -> dict[str, Any]:
        """Say what was done."""
        text = "Squared gaps between groups were penalised in training."
        return _done(
            "penalty", self.attribute, groups, text, {"notion": self.notion, "strength": self.strength}
        )


@register("fairness", "threshold")
class Threshold(AuditOption):
    """Thresholds of their own for groups, chosen on validation after training; then audit.

    For binary, multiclass and multilabel targets. No answer is left to chance. The attribute must be known of every
    row that is predicted later.
    """

    attribute: str = field("", help="the sensitive attribute; a+b joins two; default: the first")
    notion: str = field(
        "equalized_odds",
        help="what should be alike: equalized_odds, equal_opportunity, predictive_equality, demographic_parity",
    )
    strength: float = field(1.0, help="what a gap costs, in points of balanced accuracy (macro F1 of labels)")
    minimum: int = field(50, help="groups with fewer validation rows keep the common thresholds")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        super().check()
        one_of(
            "fairness.notion",
            self.notion,
            ("equalized_odds", "equal_opportunity", "predictive_equality", "demographic_parity"),
        )
        if not 0 < self.strength < float("inf"):
            raise config_error("fairness.strength", self.strength, "a finite number above 0; 1 is usual")
        _at_least("minimum", self.minimum, 20)

    def check_run(self, config: RunConfig) -> None:
        """Refuse another rule for the same thresholds."""
        rule = config.evaluation.rule
        if rule not in ("auto", "youden", "balanced"):
            raise config_error(
                "evaluation.rule", rule,
                "fairness=threshold chooses thresholds by balanced accuracy and gap; use auto, or fairness=audit",
            )  # fmt: skip

    def check_validation(self, groups: Mapping[str, NDArray[np.str_]], target: Target) -> None:
        """Refuse a target that is not decided by thresholds, and groups too small to choose any for."""
        from core.fairness.threshold_optimizer import KINDS, large_groups
        from core.fairness.subgroups import select_attributes

        if target.kind not in KINDS:
            raise config_error(
                "fairness", "threshold",
                f"a {target.kind} target is not decided by thresholds; use reweight, dro or penalty",
            )  # fmt: skip
        large_groups(groups, select_attributes(self.attribute, list(groups)), self.minimum)

    def decide(
        self, validation: Predictions, target: Target, thresholds: Mapping[str, float]
    ) -> dict[str, Any]:
        """Choose each group's thresholds."""
        from core.fairness.threshold_optimizer import optimize_thresholds
        from core.fairness.subgroups import select_attributes

        attributes = select_attributes(self.attribute, list(validation.groups))
        return optimize_thresholds(validation, target, thresholds, attributes, self.notion, self.strength, self.minimum)

    def told(self, groups: Groups) -> dict[str, Any]:
        """Say what was done."""
        text = "Groups are decided by thresholds of their own, chosen on validation; none is drawn by chance."
        settings = {"notion": self.notion, "strength": self.strength}
        return _done("threshold", self.attribute, groups, text, settings, needed=True)


@register("fairness", "decorrelate")
class Decorrelate(AuditOption):
    """Take from the numeric inputs what correlates with the attribute, before training; then audit. Not under dp.

    The attribute must be known of every row that is predicted later.
    """

    attribute: str = field("", help="the sensitive attribute; a+b takes out both; default: the first")
    strength: float = field(1.0, help="share of the correlation that is taken: 0 nothing, 1 all")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        super().check()
        if not 0 <= self.strength <= 1:
            raise config_error("fairness.strength", self.strength, "from 0 (nothing taken) to 1 (all)")

    def check_run(self, config: RunConfig) -> None:
        """Refuse fitting on training rows under differential privacy."""
        _not_private(config, "decorrelate", NEED_COUNTS)

    def encoder(
        self, encoder: ColumnsEncoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups
    ) -> AnyEncoder:
        """Put the removal before the encoder."""
        from core.fairness.correlation_removal import decorrelated

        return decorrelated(encoder, train, roles, groups, self.attribute, self.strength)

    def told(self, groups: Groups) -> dict[str, Any]:
        """Say what was done."""
        text = "What correlates with the attribute was taken from the numeric inputs."
        return _done("decorrelate", self.attribute, groups, text, {"strength": self.strength}, needed=True)


def _done(
    kind: str, asked: str, groups: Groups, text: str, settings: dict[str, Any], needed: bool = False
) -> dict[str, Any]:
    from core.fairness.subgroups import select_attributes

    attributes = select_attributes(asked, list(groups.groupings))
    return {
        "kind": kind,
        "attributes": list(attributes),
        "text": text,
        "needed_to_predict": list(attributes) if needed else [],
        "settings": settings,
    }


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise config_error(f"fairness.{key}", value, f"a whole number of at least {least}")


def _private(config: RunConfig) -> bool:
    return not isinstance(config.privacy, OPTIONS["privacy", "none"])


def _not_private(config: RunConfig, name: str, why: str) -> None:
    if _private(config):
        raise config_error(
            "fairness", name,
            f"{why}; under privacy=dp use fairness=threshold, or reweight with +fairness.weights.GROUP=WEIGHT",
        )  # fmt: skip
