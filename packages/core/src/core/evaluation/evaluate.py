"""Judge held-out predictions: recalibrate and set thresholds on validation, then measure on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.evaluation.calibration import Scaling, choose_scaling
from core.evaluation.config import StandardEvaluation
from core.evaluation.curves import curves, decision_curve
from core.evaluation.group_tables import group_tables
from core.evaluation.intervals import interval, point, resample, resample_metrics, without_interval
from core.evaluation.standard import standard_statistics, vectorised
from core.evaluation.thresholds import choose_all, operating_points
from core.evaluation.types import BaselineResult, Comparison, Evaluation, Json, Statistic
from core.fairness.threshold_optimizer import decide_by_group
from core.targets.types import Metric, Predictions, Target


def evaluate(
    validation: Predictions,
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
    by_group: Callable[[Predictions, Target, Mapping[str, float]], dict[str, Json] | None] | None = None,
) -> Evaluation:
    """Measure held-out predictions of raw (not recalibrated) scores.

    Scaling and thresholds are fitted on ``validation`` and applied to both parts; labels are decided anew by
    ``target.labels``, with ``by_group`` each group's by thresholds that it chooses on recalibrated validation
    scores. Figures: the target's own first, then ``extra_metrics``, then the standard ones of its
    kind. Intervals resample units where the predictions have them, else rows. Raises ``ValueError`` for an
    empty part.
    """
    for name, part in (("validation", validation), ("test", test)):
        if not len(part):
            raise ValueError(f"the {name} part has no rows to evaluate; change the split (data.split)")
    scaling = choose_scaling(validation, config.scaling, seed)
    scaled = replace(validation, scores=scaling.apply(validation.scores, validation.kind))
    thresholds = choose_all(scaled, config)
    if by_group is not None:
        thresholds["by_group"] = by_group(scaled, target, thresholds["values"])
    return _measure(
        {"validation": validation, "test": test},
        target,
        config,
        extra_metrics or {},
        seed,
        scaling,
        thresholds,
    )


def evaluate_again(
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    calibration: Mapping[str, Json],
    thresholds: Mapping[str, Json],
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure raw scores of new labelled data as a finished run would decide them.

    ``calibration`` and ``thresholds`` are those of the run's record: nothing is fitted on the new data.
    """
    if not len(test):
        raise ValueError("there are no rows to evaluate; give a table with at least one labelled row")
    scaling = Scaling.restore(calibration["scaling"])
    return _measure({"test": test}, target, config, extra_metrics or {}, seed, scaling, dict(thresholds))


def compare(
    evaluation: Evaluation,
    challenge: BaselineResult,
    target: Target,
    config: StandardEvaluation,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
) -> Comparison:
    """Judge a baseline by the same procedure and on the same resamples as the model.

    Rows must be in the model's order; groups, units and row numbers are taken from the model's predictions.
    """
    theirs = {}
    for name, raw in (("validation", challenge.validation), ("test", challenge.test)):
        ours = evaluation.parts[name]
        assert len(raw) == len(ours), f"{name}: the baseline predicted other rows than the model"
        assert np.array_equal(raw.targets, ours.targets), f"{name}: the baseline saw another truth"
        theirs[name] = replace(raw, groups=ours.groups, units=ours.units, index=ours.index)
    other = evaluate(theirs["validation"], theirs["test"], target, config, extra_metrics, seed)
    difference = {}
    for name, samples in evaluation.samples.items():
        ours, value = evaluation.metrics[name]["value"], other.metrics[name]["value"]
        apart = float("nan") if ours is None or value is None else ours - value
        paired = samples[: len(other.samples[name])] - other.samples[name][: len(samples)]
        difference[name] = interval(apart, paired, config.confidence)
    return Comparison(challenge.name, other.metrics, difference, challenge.details, other)


def _measure(
    raw: Mapping[str, Predictions],
    target: Target,
    config: StandardEvaluation,
    extra: Mapping[str, Metric],
    seed: int,
    scaling: Scaling,
    thresholds: dict[str, Json],
) -> Evaluation:
    decisions = thresholds["values"] or None
    parts = {}
    for name, part in raw.items():
        scores = scaling.apply(part.scores, part.kind)
        # masks were decided pixel by pixel: what is kept of their scores can't decide them anew
        labels = part.labels
        if part.kind != "mask":
            labels = decide_by_group(target, scores, decisions, thresholds.get("by_group"), part.groups)
        parts[name] = replace(part, scores=scores, labels=labels)
    test = parts["test"]
    if "cuts" in thresholds:
        thresholds = {**thresholds, "points": operating_points(thresholds["cuts"], parts)}

    statistics = standard_statistics(test.kind, test.classes, thresholds, config)
    given = {**target.metrics(), **extra}
    fast = vectorised(given, statistics, test, seed)
    single = {name: metric for name, metric in given.items() if name not in fast}
    names = list(given) + [n for s in statistics for n in s.names if n not in given]

    samples = resample(statistics, test, config.resamples, seed)
    samples |= resample_metrics(single, test, config.resamples_single, seed)
    values = _values(statistics, single, test)
    metrics = {name: interval(values[name], samples[name], config.confidence) for name in names}
    held = _values(statistics, single, parts["validation"]) if "validation" in parts else {}
    return Evaluation(
        kind=test.kind,
        metrics=metrics,
        validation_metrics={name: without_interval(held[name]) for name in names if name in held},
        thresholds=thresholds,
        calibration=_calibration(scaling, metrics),
        decision_curve=decision_curve(test, config, thresholds.get("prevalence", 0.5), seed),
        groups=group_tables(test, statistics, names, single, config, seed),
        curves=curves(test, config),
        intervals={
            "method": "percentile bootstrap",
            "resampled": "rows" if test.units is None else "units",
            "resamples": config.resamples,
            "resamples_single": config.resamples_single,
            "confidence": config.confidence,
            "without_vectorised_form": sorted(single),
        },
        parts=parts,
        samples={name: samples[name] for name in names},
    )


def _values(
    statistics: Sequence[Statistic], single: Mapping[str, Metric], predictions: Predictions
) -> dict[str, float]:
    """A metric without a vectorised form speaks for its name, whatever a statistic says under it."""
    return point(statistics, predictions) | {name: metric(predictions) for name, metric in single.items()}


def _calibration(scaling: Scaling, metrics: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    figures = ("calibration_slope", "calibration_intercept", "brier", "ece", "log_loss")
    return {"scaling": scaling.state(), **{name: metrics[name] for name in figures if name in metrics}}
