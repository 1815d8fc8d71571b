"""The record's ``uncertainty`` and ``oversight``: conformal sets, deferral, and who decides what."""

from __future__ import annotations

from pydantic import Field

from core.config.section import Estimate, Section


class QuantilesSection(Section):
    """Conformal quantiles: the largest nonconformity inside a set or an interval; null is infinite."""

    overall: float | None
    by_group: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    """Attribute -> group -> quantile, with mondrian=groups."""
    by_class: list[float | None] = Field(default_factory=list)
    """One per class, with mondrian=classes."""


class ResidualScaleSection(Section):
    """Mean absolute residual by predicted value, in steps: see ``core.targets.prediction_sets.ResidualScale``."""

    edges: list[float] = Field(default_factory=list)
    sizes: list[float] = Field(default_factory=lambda: [1.0])


class RuleSection(Section):
    """The decision rule of the run, as ``predict``, ``evaluate`` and ``serve`` obey it."""

    kind: str
    classes: list[str]
    acts: bool
    """A prediction that stands takes effect; else it only advises."""
    confirm: list[str]
    """Classes that a human confirms."""
    confirm_words: list[str]
    """Words of the input text that make a human confirm."""
    method: str
    """Nonconformity score; none: no sets, nothing is deferred."""
    quantiles: QuantilesSection
    threshold: float
    """A prediction with less confidence is deferred."""
    residual_scale: ResidualScaleSection
    log: bool
    """The target was learnt on a logarithmic scale."""


class DeclarationSection(Section):
    """What the makers of the task declare about its use: ``core.oversight.declaration.Oversight``."""

    intended_use: str
    affected: list[str]
    forbidden_uses: list[str]
    human_decides: list[str]
    responsible: str
    acts: bool = False
    confirm: list[str] = Field(default_factory=list)
    confirm_positive: bool = False
    confirm_words: list[str] = Field(default_factory=list)
    accuracy_key: str | None = None


class DecisionCounts(Section):
    """Rows by who decides them."""

    rows: int
    model: int
    """The prediction stands: it takes effect, or advises."""
    unsure: int
    """Deferred to a human for want of confidence."""
    confirm: int
    """Confirmed by a human first."""

    @property
    def to_human(self) -> int:
        """Rows that a human decides or confirms."""
        return self.unsure + self.confirm

    def share(self, rows: int) -> float:
        """Return so many rows as a share of all; 0 where there are none."""
        return rows / max(self.rows, 1)


class OversightSection(Section):
    """Who is responsible, what is declared, and what the rule does on the test set."""

    declaration: DeclarationSection
    counts: DecisionCounts
    """Of the test set."""
    rule: RuleSection
    missing_confirm_classes: list[str] = Field(default_factory=list)
    """Classes whose confirmation is declared but which these data do not have."""


class Guarantee(Section):
    """Coverage against what conformal prediction guarantees."""

    nominal: float
    """1 - alpha."""
    value: float | None
    """Measured coverage by the quantiles alone, before the likeliest class joins its set."""
    low: float | None
    """Lower end of its interval, by the chance of the calibration set and of this one."""
    high: float | None
    within: bool
    """The nominal coverage lies in the interval."""
    holds: bool
    """The sets as they are served do not fall short of it by more than chance explains."""


class SetQuality(Section):
    """Coverage and size of the sets or intervals of some rows."""

    coverage: Estimate
    size: Estimate
    """Classes in a set, or the width of an interval; of masks the mean over pixels."""
    single: Estimate | None = None
    """Share of sets of one class; null of intervals."""
    guarantee: Guarantee


class GroupSetQuality(SetQuality):
    """The same of one group."""

    rows: int


class ClassCoverage(Section):
    """Coverage of one true class."""

    labels: int
    """Rows, pixels or labels of this class."""
    coverage: Estimate


class GroupDeferral(Section):
    """What deferring does in one group."""

    rows: int
    deferred: Estimate
    risk_decided: Estimate
    cost_without: Estimate


class Deferral(Section):
    """What deferring the least confident predictions brings; a loss of 1 is a wrong prediction."""

    coverage: Estimate
    """Share of rows that the model decides."""
    deferred: Estimate
    """Share of rows that go to a human."""
    risk_decided: Estimate
    """Mean loss of the predictions that stay with the model."""
    risk_deferred: Estimate
    """Mean loss the model would have had on the deferred ones."""
    cost_without: Estimate
    """Mean loss if the model decided all rows."""
    cost: Estimate
    """Mean cost with deferral, a human's decision taken to be right."""
    saved: Estimate
    by_group: dict[str, dict[str, GroupDeferral]] = Field(default_factory=dict)
    """Attribute -> group."""


class CoverageRisk(Section):
    """One point of the risk-coverage curve."""

    coverage: float
    risk: float | None


class RiskCoverage(Section):
    """Risk of the most confident predictions by the share kept (Geifman et al. 2019)."""

    aurc: Estimate
    """Area under the curve."""
    excess_aurc: float | None
    """Above an order that knows all errors; null where losses exceed 1."""
    usual: list[CoverageRisk]
    """At the usual coverages."""
    points: list[list[float]]
    """[coverage, risk], thinned."""


class UncertaintyMeasures(SetQuality):
    """Sets and deferral measured on held-out rows, with nothing chosen on them."""

    rows: int
    by_class: dict[str, ClassCoverage] = Field(default_factory=dict)
    by_group: dict[str, dict[str, GroupSetQuality]] = Field(default_factory=dict)
    """Attribute -> group."""
    deferral: Deferral
    risk_coverage: RiskCoverage | None = None
    """Null where all predictions are equally confident."""


class CalibrationSet(Section):
    """What the conformal quantiles were computed on: the validation set, after it chose epochs and thresholds."""

    rows: int
    units: int | None
    """Units that the quantiles count; null: rows."""
    unit: str
    """What is exchangeable: the name of a unit, or row."""
    labels: int
    """Rows, pixels or labels that apply."""
    standard_error: float
    """Of the coverage, from the chance of this set."""
    residual_scale_split: bool = False
    """Half of it fitted the residual scale and was not counted (method=normalized)."""
    too_few_units: int | None = None
    """Units that were too few, so that rows stand in for them and nothing is guaranteed; else null."""
    common_quantile: list[str] = Field(default_factory=list)
    """Groups or classes with too few units for a quantile of their own."""
    min_group_units: int | None = None
    """How many units that takes."""


class DeferralThreshold(Section):
    """The confidence below which predictions are deferred, and how it was chosen on validation."""

    value: float
    criterion: str
    """none, cost, fraction or accuracy."""
    target: float | None = None
    """The fraction or the accuracy asked for."""
    cost_of_deferral: float
    error_unit: float
    """Regression: the error that counts 1."""


class UncertaintySection(UncertaintyMeasures):
    """Conformal sets and deferral of the run, calibrated on validation and measured on test."""

    item: str
    """What one prediction is: class, label, intent, number or pixel."""
    alpha: float
    method: str
    mondrian: str
    calibration: CalibrationSet
    quantiles: QuantilesSection
    threshold: DeferralThreshold
