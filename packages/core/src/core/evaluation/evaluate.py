"""Evaluate held-out predictions: recalibrate and set thresholds on validation, then measure on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.evaluation.calibration import choose_recalibration, recalibrated
from core.evaluation.config import StandardEvaluation
from core.evaluation.curves import curves, decision_curve
from core.evaluation.group_tables import group_tables
from core.evaluation.intervals import interval, point, resample, resample_metrics, without_interval
from core.evaluation.section import (
    BaselineSection,
    CalibrationSection,
    CurvesSection,
    IntervalsSection,
    Metrics,
    RecalibrationSection,
    ThresholdsSection,
)
from core.evaluation.thresholds import choose_thresholds, metric_settings, threshold_points
from core.evaluation.types import Comparison, Evaluation
from core.fairness.group_thresholds import decide_by_group
from core.fairness.section import GroupThresholds
from core.targets.metrics import monitored_first
from core.targets.recalibration import Recalibration
from core.targets.types import FittedBaseline, Metric, Predictions, Statistic, Target

ByGroup = Callable[[Predictions, Target, Mapping[str, float]], GroupThresholds | None]
CALIBRATION_METRICS = ("calibration_slope", "calibration_intercept", "brier", "ece", "log_loss")


def evaluate(
    validation: Predictions,
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
    by_group: ByGroup | None = None,
    monitor: str = "auto",
) -> Evaluation:
    """Measure held-out predictions of raw (not recalibrated) scores.

    Recalibration and thresholds are fitted on ``validation`` and applied to both sets; labels are decided anew by
    ``target.labels``, with ``by_group`` each group's by thresholds that it chooses on recalibrated validation
    scores. Metrics: the target's own first, ``monitor`` before all others, then ``extra_metrics`` (which go before a
    default metric of the same name), then the default ones of its kind. Intervals resample units where the
    predictions have them, else rows. Raises ``ValueError`` for an empty set.
    """
    for name, part in (("validation", validation), ("test", test)):
        if not len(part):
            raise ValueError(f"the {name} set has no rows to evaluate; change the split (data.split)")
    recalibration = choose_recalibration(validation, config.recalibration, seed)
    scaled = recalibrated(validation, recalibration)
    thresholds = choose_thresholds(scaled, config)
    if by_group is not None:
        thresholds.by_group = by_group(scaled, target, thresholds.values)
    parts = {"validation": validation, "test": test}
    return _measure(parts, target, config, extra_metrics or {}, seed, recalibration, thresholds, monitor)


def evaluate_again(
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    calibration: CalibrationSection,
    thresholds: ThresholdsSection,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
    monitor: str = "auto",
) -> Evaluation:
    """Measure raw scores of new labelled data as a finished run would decide them.

    ``calibration`` and ``thresholds`` are those of the run's record: nothing is fitted on the new data.
    """
    if not len(test):
        raise ValueError("there are no rows to evaluate; give a table with at least one labelled row")
    recalibration = Recalibration.restore(calibration.recalibration.model_dump())
    return _measure(
        {"test": test}, target, config, extra_metrics or {}, seed, recalibration, thresholds, monitor
    )


def compare(
    evaluation: Evaluation,
    baseline: FittedBaseline,
    target: Target,
    config: StandardEvaluation,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
) -> Comparison:
    """Evaluate a baseline by the same procedure and on the same resamples as the model.

    Rows must be in the model's order; groups, units and row numbers are taken from the model's predictions.
    """
    theirs = {}
    for name, raw in (("validation", baseline.validation), ("test", baseline.test)):
        ours = evaluation.parts[name]
        assert len(raw) == len(ours), f"{name}: the baseline predicted other rows than the model"
        assert np.array_equal(raw.targets, ours.targets), f"{name}: the baseline saw another ground truth"
        theirs[name] = replace(raw, groups=ours.groups, units=ours.units, index=ours.index)
    other = evaluate(theirs["validation"], theirs["test"], target, config, extra_metrics, seed)
    difference = {}
    for name, samples in evaluation.samples.items():
        value, their_value = evaluation.metrics[name].value, other.metrics[name].value
        apart = float("nan") if value is None or their_value is None else value - their_value
        paired = samples[: len(other.samples[name])] - other.samples[name][: len(samples)]
        difference[name] = interval(apart, paired, config.confidence)
    drawn = other.curves
    section = BaselineSection(
        name=baseline.name,
        metrics={name: other.metrics[name] for name in evaluation.metrics},
        difference=difference,
        thresholds=other.thresholds,
        calibration=other.calibration,
        curves=CurvesSection(roc=drawn.roc, pr=drawn.pr, reliability=drawn.reliability),
        decision_curve=other.decision_curve,
        details=baseline.details,
    )
    return Comparison(section, other)


def _measure(
    raw: Mapping[str, Predictions],
    target: Target,
    config: StandardEvaluation,
    extra: Mapping[str, Metric],
    seed: int,
    recalibration: Recalibration,
    thresholds: ThresholdsSection,
    monitor: str,
) -> Evaluation:
    parts = {}
    for name, part in raw.items():
        scores = target.recalibrate(part.scores, recalibration)
        labels = part.labels  # of dense kinds: what is kept of their scores can't decide them anew
        if not target.dense:
            labels = decide_by_group(
                target, scores, thresholds.values or None, thresholds.by_group, part.groups
            )
        parts[name] = replace(part, scores=scores, labels=labels)
    test = parts["test"]
    if thresholds.cuts:
        thresholds = thresholds.model_copy(update={"points": threshold_points(thresholds.cuts, parts)})

    statistics = target.statistics(test.classes, metric_settings(config, thresholds))
    weighted = {n for s in statistics for n in s.names} - set(extra)
    given = {**monitored_first(target, monitor), **extra}
    slow = {name: metric for name, metric in given.items() if name not in weighted}
    names = list(given) + [n for s in statistics for n in s.names if n not in given]

    samples = resample(statistics, test, config.resamples, seed)
    samples |= resample_metrics(slow, test, config.resamples_slow, seed)
    values = _values(statistics, slow, test)
    metrics = {name: interval(values[name], samples[name], config.confidence) for name in names}
    held_out = _values(statistics, slow, parts["validation"]) if "validation" in parts else {}
    prevalence = 0.5 if thresholds.prevalence is None else thresholds.prevalence
    return Evaluation(
        kind=test.kind,
        metrics=metrics,
        validation_metrics={name: without_interval(held_out[name]) for name in names if name in held_out},
        thresholds=thresholds,
        calibration=_calibration(recalibration, metrics),
        decision_curve=decision_curve(test, config, prevalence, seed),
        groups=group_tables(test, statistics, names, slow, config, seed),
        curves=curves(test, config),
        intervals=IntervalsSection(
            resampled="rows" if test.units is None else "units",
            resamples=config.resamples,
            resamples_slow=config.resamples_slow,
            confidence=config.confidence,
            without_weighted_form=sorted(slow),
        ),
        parts=parts,
        samples={name: samples[name] for name in names},
    )


def _values(
    statistics: Sequence[Statistic], slow: Mapping[str, Metric], predictions: Predictions
) -> dict[str, float]:
    """Compute all metrics; one without a weighted form counts for its name, whatever a statistic says under it."""
    return point(statistics, predictions) | {name: metric(predictions) for name, metric in slow.items()}


def _calibration(recalibration: Recalibration, metrics: Metrics) -> CalibrationSection:
    return CalibrationSection(
        recalibration=RecalibrationSection(**recalibration.state()),
        **{name: metrics[name] for name in CALIBRATION_METRICS if name in metrics},
    )
