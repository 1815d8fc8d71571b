"""The options of ``fairness=``: an audit, and mitigation before, in and after training. Imports no torch.

What mitigates is audited too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.config import FairnessConfig, config_error, field, option_name, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.config import RunConfig

NEEDS_COUNTS = "it reads training rows outside the mechanism, which privacy=dp forbids"
ATTRIBUTE = "the sensitive attribute; a+b joins two; default: the first"


@register("fairness", "audit", builds="core.fairness.mitigation:NoMitigation")
class AuditConfig(FairnessConfig):
    """Compare each group of the sensitive attributes with all others, by the criteria that suit the target."""

    not_private: ClassVar[str] = ""
    """Why the option is refused under privacy=dp; empty where it is allowed."""

    confidence: float = field(
        0.95, help="confidence that all intervals of the audit hold at once (simultaneous coverage)"
    )
    intersections: bool = field(
        True, help="also compare the pairs of attributes, such as sex and age together"
    )
    reference_run: str = field(
        "",
        help="folder of a finished run on the same rows to compare disparities with, and their utility cost",
    )

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise config_error("fairness.confidence", self.confidence, "from 0.5 to below 1, such as 0.95")
        if self.reference_run and not (Path(self.reference_run) / "record.json").is_file():
            raise config_error(
                "fairness.reference_run",
                self.reference_run,
                "no record.json there; give a finished run's folder",
            )


@register("fairness", "none", builds="core.fairness.mitigation:NoAudit")
class NoFairnessConfig(FairnessConfig):
    """Compare no groups; the metrics by group stay in the record."""


@register("fairness", "reweight", builds="core.fairness.reweighing:ReweighingMitigation")
class ReweightConfig(AuditConfig):
    """Weigh training rows so that group and class are independent, or by given weights; then audit.

    Kamiran and Calders (2012). Where rows have no single class, each group counts the same.
    """

    attribute: str = field("", help=ATTRIBUTE)
    reweigh_by: str = field(
        "auto", help="auto, group_class (group and class independent), group (all groups alike)"
    )
    weights: dict[str, float] = field(
        {},
        help="your own weight of each group, others 1 (nothing is counted, so privacy=dp allows it): "
        "+fairness.weights.female=2",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("fairness.reweigh_by", self.reweigh_by, ("auto", "group_class", "group"))
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise config_error(
                    "fairness.weights", {name: weight}, "each weight is a finite number, 0 or above"
                )
        if self.weights and not any(self.weights.values()):
            raise config_error(
                "fairness.weights", dict(self.weights), "all are 0: nothing would be learnt of these groups"
            )


@register("fairness", "dro", builds="core.fairness.group_dro:GroupDROMitigation")
class GroupDROConfig(AuditConfig):
    """Group DRO: groups (and classes) with a high loss gain weight, step by step; then audit. Not under privacy=dp.

    Sagawa, Koh, Hashimoto and Liang (2020).
    """

    not_private: ClassVar[str] = "it weighs examples by the losses of others"

    attribute: str = field("", help=ATTRIBUTE)
    by_class: bool = field(True, help="subgroups of group and class, where rows have one class")
    step_size: float = field(
        0.02, help="step size of the weights' exponentiated ascent towards the groups with the highest loss"
    )
    min_group_rows: int = field(50, help="groups (of a class) with fewer training rows keep weight 1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.step_size <= 10:
            raise config_error("fairness.step_size", self.step_size, "above 0, at most 10; 0.02 is usual")
        _at_least("min_group_rows", self.min_group_rows, 1)


@register("fairness", "penalty", builds="core.fairness.penalty:PenaltyMitigation")
class PenaltyConfig(AuditConfig):
    """A penalty on the squared disparities between groups in the training loss; then audit. Not under privacy=dp."""

    not_private: ClassVar[str] = "a disparity between groups couples examples"

    attribute: str = field("", help=ATTRIBUTE)
    constraint: str = field(
        "auto",
        help="what should be equal: equalized_odds, equal_opportunity, demographic_parity (of probabilities, where "
        "rows have one class), equal_loss (any target); auto: equalized_odds, else equal_loss",
    )
    weight: float = field(10.0, help="factor of the squared disparities; 0 penalizes nothing")
    min_group_rows: int = field(50, help="groups (of a class) with fewer training rows are not penalized")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(
            "fairness.constraint",
            self.constraint,
            ("auto", "equalized_odds", "equal_opportunity", "demographic_parity", "equal_loss"),
        )
        if not 0 <= self.weight < float("inf"):
            raise config_error("fairness.weight", self.weight, "a finite number, 0 or above; 10 is usual")
        _at_least("min_group_rows", self.min_group_rows, 1)


@register("fairness", "threshold", builds="core.fairness.threshold_optimizer:ThresholdMitigation")
class ThresholdConfig(AuditConfig):
    """Decision thresholds of their own for groups, optimized on validation after training; then audit.

    For binary, multiclass and multilabel targets. No decision is randomized. The attribute must be known of every row
    that is predicted later.
    """

    attribute: str = field("", help=ATTRIBUTE)
    constraint: str = field(
        "equalized_odds",
        help="what should be equal: equalized_odds, equal_opportunity, predictive_equality, demographic_parity",
    )
    weight: float = field(
        1.0, help="cost of a disparity of 1, in units of balanced accuracy (macro F1 of labels)"
    )
    min_group_rows: int = field(50, help="groups with fewer validation rows keep the common thresholds")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(
            "fairness.constraint",
            self.constraint,
            ("equalized_odds", "equal_opportunity", "predictive_equality", "demographic_parity"),
        )
        if not 0 < self.weight < float("inf"):
            raise config_error("fairness.weight", self.weight, "a finite number above 0; 1 is usual")
        _at_least("min_group_rows", self.min_group_rows, 20)


@register("fairness", "decorrelate", builds="core.fairness.correlation_removal:CorrelationRemovalMitigation")
class DecorrelateConfig(AuditConfig):
    """Remove from the numeric inputs what correlates with the attribute, before training; then audit. Not under dp.

    The attribute must be known of every row that is predicted later.
    """

    not_private: ClassVar[str] = NEEDS_COUNTS

    attribute: str = field("", help="the sensitive attribute; a+b removes both; default: the first")
    weight: float = field(
        1.0, help="share of the correlation that is removed (fairlearn's alpha): 0 none, 1 all"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.weight <= 1:
            raise config_error("fairness.weight", self.weight, "from 0 (nothing removed) to 1 (all)")


def validate_run(config: RunConfig) -> None:
    """Raise ``ValueError``, before data are read, for a fairness option that the run's other options exclude.

    Under privacy=dp: what couples examples or counts training rows, and a clipping that undoes weights. With
    ``fairness=threshold``: another rule for the same thresholds.
    """
    fairness, private = config.fairness, option_name(config.privacy) != "none"
    name = option_name(fairness)
    if private and isinstance(fairness, AuditConfig) and fairness.not_private:
        raise config_error(
            "fairness", name,
            f"{fairness.not_private}; under privacy=dp use fairness=threshold, or reweight with "
            "+fairness.weights.GROUP=WEIGHT",
        )  # fmt: skip
    if private and isinstance(fairness, ReweightConfig):
        if not fairness.weights:
            raise config_error(
                "fairness", name,
                f"{NEEDS_COUNTS} (it counts their groups); give +fairness.weights.GROUP=WEIGHT, known beforehand",
            )  # fmt: skip
        if getattr(config.privacy, "clipping", "flat") == "automatic":
            raise config_error(
                "privacy.clipping",
                "automatic",
                "it undoes weights (every gradient gets one length); use flat",
            )
    if isinstance(fairness, ThresholdConfig):
        rule = getattr(config.evaluation, "threshold_rule", "auto")
        if rule not in ("auto", "youden", "balanced"):
            raise config_error(
                "evaluation.threshold_rule", rule,
                "fairness=threshold chooses thresholds by balanced accuracy and disparity; use auto, or fairness=audit",
            )  # fmt: skip


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise config_error(f"fairness.{key}", value, f"a whole number of at least {least}")
