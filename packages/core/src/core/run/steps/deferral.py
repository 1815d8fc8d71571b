"""Part of step 5: which predictions a human decides, and what that brings on the test set."""

from __future__ import annotations

from dataclasses import replace

from core.config import TaskConfig, derive_seed
from core.evaluation.deferral import accuracy_threshold, cost_threshold, fraction_threshold
from core.evaluation.uncertainty import UncertaintyTerms, measure, terms
from core.oversight.config import StandardOversight, mondrian
from core.oversight.decision_rule import DecisionRule, joined_texts, missing_confirm_classes
from core.oversight.declaration import Oversight
from core.oversight.section import (
    CalibrationSet,
    DeferralThreshold,
    OversightSection,
    UncertaintyMeasures,
    UncertaintySection,
)
from core.run.state import PreparedData, RunState
from core.run.steps.conformal import ConformalResult
from core.targets.types import Predictions, Target


def assess_deferral(
    state: RunState, conformal: ConformalResult | None
) -> tuple[UncertaintySection | None, OversightSection]:
    """Choose the threshold of confidence on validation; measure sets, deferral and decisions on test.

    With ``oversight=none`` (``conformal`` is None) nothing is measured and the declaration is kept.
    """
    declared = state.task.oversight
    target, options = state.data.target, state.config.oversight
    test = state.evaluated.evaluation.parts["test"]
    texts = joined_texts(state.data.frames["test"], state.data.dataset.roles.text)
    if conformal is None or not isinstance(options, StandardOversight):
        rule = DecisionRule(target.kind, target.classes, declared.acts)
        decisions = rule.decide(test.scores, test.labels, test.groups, texts, test.sure)
        return None, OversightSection(
            declaration=declared.section(), counts=decisions.counts(), rule=rule.section()
        )
    calibration, seed = conformal.calibration, derive_seed(state.config.seed, "oversight")
    validation = state.evaluated.evaluation.parts["validation"]
    unit = validation.type.error_unit(validation)
    threshold = choose_threshold(calibration.rule, validation, options, declared, state.task, unit, target)
    rule = replace(calibration.rule, threshold=threshold.value)
    against = terms(calibration, options.alpha, options.cost_of_deferral, unit)
    measured = measure(rule, test, against, state.evaluation, seed, conformal.pixels.get("test"))
    decisions = rule.decide(test.scores, test.labels, test.groups, texts, test.sure)
    uncertainty = _uncertainty(measured, conformal, against, options, threshold, state.data)
    oversight = OversightSection(
        declaration=declared.section(),
        counts=decisions.counts(),
        rule=rule.section(),
        missing_confirm_classes=missing_confirm_classes(declared, target.classes),
    )
    return uncertainty, oversight


def choose_threshold(
    rule: DecisionRule,
    validation: Predictions,
    options: StandardOversight,
    declared: Oversight,
    task: TaskConfig,
    unit: float,
    target: Target,
) -> DeferralThreshold:
    """Choose the confidence below which predictions are deferred, on validation, by ``oversight.defer``."""
    criterion, asked, value = options.defer, None, 0.0
    accuracy = options.target_accuracy
    if criterion == "auto":
        criterion = target.deferred_by
        if declared.accuracy_key is not None and target.has_row_class:
            criterion, accuracy = "accuracy", float(getattr(task, declared.accuracy_key))
    if criterion != "none":
        confidence = rule.confidence(validation.scores, validation.labels, validation.sure)
        loss = validation.type.row_losses(validation, unit)
        if criterion == "fraction":
            asked, value = options.defer_fraction, fraction_threshold(confidence, options.defer_fraction)
        elif criterion == "accuracy":
            asked, value = accuracy, accuracy_threshold(confidence, loss == 0, accuracy)
        else:
            value = cost_threshold(confidence, loss, options.cost_of_deferral)
    return DeferralThreshold(
        value=value,
        criterion=criterion,
        target=asked,
        cost_of_deferral=options.cost_of_deferral,
        error_unit=unit,
    )


def _uncertainty(
    measured: UncertaintyMeasures,
    conformal: ConformalResult,
    against: UncertaintyTerms,
    options: StandardOversight,
    threshold: DeferralThreshold,
    prepared: PreparedData,
) -> UncertaintySection:
    calibration, target = conformal.calibration, prepared.target
    rule = calibration.rule
    return UncertaintySection(
        **dict(measured),
        item=target.item,
        alpha=against.alpha,
        method=rule.method,
        mondrian=mondrian(options, target),
        calibration=CalibrationSet(
            rows=calibration.rows,
            units=calibration.units,
            unit=prepared.dataset.unit_name if calibration.units is not None else "row",
            labels=calibration.labels,
            standard_error=calibration.standard_error,
            residual_scale_split=rule.method == "normalized",
            too_few_units=calibration.too_few_units,
            common_quantile=calibration.common_quantile,
            min_group_units=options.min_group_units,
        ),
        quantiles=rule.quantiles.section(),
        threshold=threshold,
    )
