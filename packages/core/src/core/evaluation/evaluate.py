"""Judge held-out predictions: recalibrate and set thresholds on validation, then measure on test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.evaluation.calibration import Scaling, choose_scaling
from core.evaluation.config import StandardEvaluation
from core.evaluation.curves import curves, decision_curve
from core.evaluation.groups import group_tables
from core.evaluation.intervals import interval, point, resample, resample_metrics, without_interval
from core.evaluation.standard import standard_statistics, vectorised
from core.evaluation.thresholds import choose_all, operating_points
from core.evaluation.types import Array, Challenge, Comparison, Evaluation, Json, Statistic
from core.targets.types import Metric, Predictions, Target


def evaluate(
    validation: Predictions,
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure held-out predictions of raw (uncalibrated) scores.

    Scaling and thresholds are fitted on ``validation`` and applied to both parts; labels are decided anew by
    ``target.labels``. Figures: the target's own first, then ``extra_metrics``, then the standard ones of its
    kind. Intervals resample units where the predictions have them, else rows.
    """
    scaling = choose_scaling(validation, config.scaling, seed)
    scaled = replace(validation, scores=scaling.apply(validation.scores, validation.kind))
    thresholds = choose_all(scaled, config)
    return _measure(
        validation, test, target, config, extra_metrics or {}, seed, _Decided(scaling, thresholds, scaled)
    )


def evaluate_saved(
    test: Predictions,
    target: Target,
    config: StandardEvaluation,
    scaling: Scaling,
    thresholds: Mapping[str, Json],
    extra_metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
    validation: Predictions | None = None,
) -> Evaluation:
    """Measure new labelled data with the scaling and thresholds a finished run has stored.

    ``test`` holds raw scores. ``validation`` is the run's own (as in its predictions.parquet: scaled
    already); operating points are taken from it. Without it they are set by the new data's figures, so
    it is asked for whenever the target is binary: ``ValueError`` otherwise.
    """
    raise NotImplementedError


@dataclass
class _Decided:
    scaling: Scaling
    thresholds: dict[str, Json]
    validation: Predictions


def _measure(*a: object) -> Evaluation:
    raise NotImplementedError
