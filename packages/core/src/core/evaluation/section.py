"""The record's parts that evaluation fills: metrics, intervals, thresholds, calibration, curves, groups, studies."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from core.config.section import Estimate, Section
from core.fairness.section import GroupThresholds


class MetricEstimate(Estimate):
    """A metric on held-out rows."""

    resamples: int | None = None
    """Bootstrap resamples behind the interval; null without one."""
    undefined: int | None = None
    """Resamples in which the metric is undefined and left out."""


Metrics = dict[str, MetricEstimate]


class IntervalsSection(Section):
    """How the intervals were computed."""

    method: str = "percentile bootstrap"
    resampled: str = "rows"
    """rows, or units: all rows of a unit together."""
    resamples: int | None = None
    resamples_slow: int | None = None
    """Of metrics without a weighted form, and of groups."""
    confidence: float | None = None
    without_weighted_form: list[str] = Field(default_factory=list)
    """Metrics that were computed on ``resamples_slow`` resamples."""


class OperatingPoint(Section):
    """What a threshold does on one set of rows; null where a class is missing."""

    sensitivity: float | None = None
    specificity: float | None = None
    ppv: float | None = None
    npv: float | None = None
    selection_rate: float | None = None
    """Share of rows predicted positive."""


class ThresholdPoint(Section):
    """The threshold that a rule chose on validation, and what it does."""

    threshold: float
    validation: OperatingPoint | None = None
    test: OperatingPoint | None = None


class ThresholdsSection(Section):
    """From which probability on a class is predicted: chosen on validation, never on test."""

    rule: str = "none"
    """Threshold rule; ``highest probability`` where none are used, ``none`` for numbers."""
    chosen_on: str | None = None
    """Set on which they were chosen; null where none are used."""
    values: dict[str, float] = Field(default_factory=dict)
    """Class -> threshold."""
    undecided: list[str] = Field(default_factory=list)
    """Classes with the threshold 0.5, because validation has only rows with or only rows without them."""
    exponent: float | None = None
    """Of ``balanced`` and ``macro_f1``: thresholds are the classes' shares to this power."""
    prevalence: float | None = None
    """Of the positive class, for predictive values."""
    cost_false_positive: float | None = None
    cost_false_negative: float | None = None
    cost_threshold: float | None = None
    """Probability from which acting is worth its cost."""
    cuts: dict[str, float | None] = Field(default_factory=dict)
    """Rule -> threshold of the positive class that it would choose; null where validation gives none."""
    points: dict[str, ThresholdPoint] = Field(default_factory=dict)
    """Rule -> what its threshold does."""
    by_group: GroupThresholds | None = None
    """Thresholds of single groups, with fairness=threshold."""


class RecalibrationSection(Section):
    """The correction of probabilities fitted on validation: see ``core.targets.recalibration.Recalibration``."""

    method: str = "none"
    """none, platt or temperature."""
    slopes: list[float] = Field(default_factory=list)
    """Platt: of the log odds, one a decision."""
    intercepts: list[float] = Field(default_factory=list)
    temperature: float = 1.0
    """Probabilities to the power 1 / temperature."""
    reason: str = "not_requested"
    """Code: not_requested, requested, improves, no_clear_gain, too_few_rows, no_probabilities or kept_by_network."""
    gain: float | None = None
    """By how much the cross-fitted log loss on validation falls, in nats."""
    standard_error: float | None = None
    """Of the gain."""
    unfitted: list[str] = Field(default_factory=list)
    """Labels left as they are for want of rows."""
    columns: int | None = None
    """How many columns of scores are probabilities; null: all."""


class CalibrationSection(Section):
    """Whether probabilities come true."""

    recalibration: RecalibrationSection = Field(default_factory=RecalibrationSection)
    calibration_slope: MetricEstimate | None = None
    calibration_intercept: MetricEstimate | None = None
    brier: MetricEstimate | None = None
    ece: MetricEstimate | None = None
    log_loss: MetricEstimate | None = None


class DecisionCurveSection(Section):
    """Net benefit by threshold probability (Vickers and Elkin 2006), per row."""

    thresholds: list[float]
    model: list[float]
    low: list[float]
    high: list[float]
    all: list[float]
    """Of acting on everyone."""
    none: list[float]
    """Of acting on no one."""


class RocCurveSection(Section):
    """ROC curve, thinned."""

    fpr: list[float]
    tpr: list[float]


class PrCurveSection(Section):
    """Precision-recall curve, thinned."""

    recall: list[float]
    precision: list[float]
    prevalence: float
    """Precision of predicting everyone."""


class ReliabilityBin(Section):
    """One bin of the reliability diagram."""

    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share that came true, with its 95 % Wilson interval."""
    low: float
    high: float
    rows: int


class ConfusionSection(Section):
    """Confusion matrix."""

    labels: list[str]
    counts: list[list[int]] | None = None
    """[true class][predicted class] rows, of masks pixels; null for multilabel."""
    true_positive: list[int] | None = None
    """Multilabel: of each label."""
    false_positive: list[int] | None = None
    false_negative: list[int] | None = None


class ResidualsSection(Section):
    """Predicted against true values of some test rows."""

    predicted: list[float]
    truth: list[float]
    rows: int
    """Of the test set, of which at most a thousand are listed."""


class CurvesSection(Section):
    """Points of the curves that the page draws: whichever the kind of target has."""

    confusion: ConfusionSection | None = None
    roc: dict[str, RocCurveSection | None] = Field(default_factory=dict)
    """Class -> curve against all others; null where only one class occurs."""
    pr: dict[str, PrCurveSection | None] = Field(default_factory=dict)
    reliability: list[ReliabilityBin] | None = None
    residuals: ResidualsSection | None = None


class GroupSection(Section):
    """The metrics of one group."""

    rows: int
    units: int | None = None
    metrics: Metrics = Field(default_factory=dict)


class GroupTableSection(Section):
    """The metrics of the groups of one attribute, or of a pair of attributes."""

    min_group_rows: int
    """Groups with fewer rows are suppressed."""
    groups: dict[str, GroupSection] = Field(default_factory=dict)
    suppressed: list[str] = Field(default_factory=list)


class GateSection(Section):
    """A bar that the field sets, and whether this run clears it."""

    name: str
    value: float | None
    bar: str
    """In words of the field, such as ``>= 0.70``."""
    passed: bool
    meaning: str


class StudySection(Section):
    """A study of the task's own: see ``core.evaluation.study.StudyResult``."""

    summary: str
    seconds: float | None = None
    metrics: dict[str, Estimate] = Field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    """Title -> rows of the same columns."""
    gates: list[GateSection] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    """How it was done and what it doesn't say."""
    files: list[str] = Field(default_factory=list)
    """Tables in the folder of the run."""


class BaselineSection(Section):
    """The classical baseline on the same split."""

    name: str
    metrics: Metrics = Field(default_factory=dict)
    difference: Metrics = Field(default_factory=dict)
    """Model - baseline, paired: both on the same resamples."""
    thresholds: ThresholdsSection = Field(default_factory=ThresholdsSection)
    calibration: CalibrationSection = Field(default_factory=CalibrationSection)
    curves: CurvesSection = Field(default_factory=CurvesSection)
    decision_curve: DecisionCurveSection | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    """Estimator, settings, features, rows it was fitted on, seconds."""
