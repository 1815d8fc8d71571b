"""The record's ``fairness``: what differs between groups, what mitigated it, and how another run compares."""

from __future__ import annotations

from pydantic import Field

from core.config.section import Estimate, Section


class GroupRates(Section):
    """One fairness metric of one attribute."""

    groups: dict[str, float | None]
    """Group -> rate; null where it is undefined."""
    largest_difference: float | None
    smallest_ratio: float | None
    """Null where rates can be negative or are all 0."""


class WorstGroup(Section):
    """The group of an attribute that the model serves worst."""

    group: str
    metric: str
    """The fairness metric it is worst by: the first that has a better direction."""
    rate: float


class Comparison(Section):
    """One group against others by one fairness metric."""

    attribute: str
    group: str
    against: str
    """The other group, or all others."""
    metric: str
    rate: float
    others: float
    """The others' rate."""
    difference: Estimate
    """Group minus others, with a simultaneous interval."""
    ratio: Estimate | None
    """Group over others; null where a rate can be negative or is 0."""
    found: bool
    """The interval of the difference excludes 0."""


class EqualizedOdds(Section):
    """The larger of the disparities in true and in false positive rates (Hardt, Price and Srebro 2016)."""

    attribute: str
    group: str
    against: str
    value: float
    low: float
    high: float
    found: bool


class MitigationSection(Section):
    """What was done about disparities."""

    option: str
    """The option of ``fairness=``: reweight, dro, penalty, threshold, decorrelate."""
    attributes: list[str]
    needed_to_predict: list[str] = Field(default_factory=list)
    """Attributes that must be known of every row that is predicted."""
    settings: dict[str, float | str | dict[str, float]] = Field(default_factory=dict)
    """Keys of the option: weight, constraint, step_size, weights ..."""


class DisparityChange(Section):
    """One comparison in this run and in the reference run, on the same resamples."""

    attribute: str
    group: str
    against: str
    metric: str
    rate_here: float
    rate_there: float
    difference_here: float
    difference_there: float
    change: Estimate
    """Difference here minus difference there, with a simultaneous interval."""
    wider: bool
    found: bool
    """The interval of the change excludes 0."""


class UtilityCost(Estimate):
    """A metric here minus there, paired."""

    metric: str
    here: float | None
    there: float | None
    lower_is_better: bool


class ReferenceRun(Section):
    """This run beside another on the same held-out rows."""

    run: str
    """Its folder."""
    record: str | None
    """Seal of its record."""
    epsilon_here: float | None
    epsilon_there: float | None
    utility_costs: list[UtilityCost]
    """Of the metric that selects models, and of one of the decisions."""
    comparisons: list[DisparityChange]

    @property
    def privacy_cost(self) -> bool:
        """This run is private and the other is not: what changed is the cost of privacy by group."""
        return self.epsilon_here is not None and self.epsilon_there is None


class GroupThresholds(Section):
    """Decision thresholds of single groups, chosen on validation (the record's ``thresholds.by_group``)."""

    attributes: list[str]
    constraint: str
    weight: float
    values: dict[str, dict[str, float]]
    """Group (attributes joined) -> class -> threshold."""
    common: list[str]
    """Groups with too few validation rows, which keep the common thresholds."""
    disparity_common: float
    """On validation with the common thresholds."""
    disparity: float
    """On validation with these."""
    chosen_on: str = "validation"


class FairnessSection(Section):
    """Groups compared on the test set with intervals that hold for all comparisons at once."""

    confidence: float
    """Of all intervals together."""
    unit: str
    """What is resampled: the name of a unit, or row."""
    min_group_rows: int
    """Groups with fewer rows are not compared."""
    metrics: dict[str, str]
    """Fairness metric -> the criterion of the literature that asks for it."""
    by_group: dict[str, dict[str, GroupRates]]
    """Attribute -> fairness metric."""
    suppressed: dict[str, list[str]]
    """Attribute -> groups that are too small."""
    worst_off: dict[str, WorstGroup]
    """By attribute."""
    equalized_odds: list[EqualizedOdds]
    comparisons: list[Comparison]
    """What was found first, then by size of the difference."""
    mitigation: MitigationSection | None = None
    reference_run: ReferenceRun | None = None
