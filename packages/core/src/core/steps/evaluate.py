"""Step 4: held-out predictions, metrics with intervals, calibration, groups, and the classical baseline."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from core.config import RunConfig, build, derive_seed
from core.energy.meter import Meter
from core.evaluation.evaluate import compare, evaluate
from core.evaluation.study import EvaluationContext, StudyResult
from core.evaluation.types import Comparison, Evaluation
from core.privacy.config import is_private
from core.steps.design import ModelAndData
from core.steps.prepare import PreparedData
from core.targets.recalibration import Recalibration
from core.targets.types import FittedBaseline
from core.training.prediction import predict
from core.training.scorer import ModelScorer


@dataclass
class EvaluationResult:
    """What held-out rows say of the model and of the baseline."""

    evaluation: Evaluation
    comparison: Comparison | None
    scorer: ModelScorer
    """The model as serving would ask it: recalibrated, deciding by the run's thresholds."""
    studies: dict[str, tuple[StudyResult, float]] = field(default_factory=dict)
    """Name -> what the study found, and the seconds it took."""


def evaluate_run(
    config: RunConfig, prepared: PreparedData, designed: ModelAndData, meter: Meter
) -> EvaluationResult:
    """Predict held-out rows, measure them, fit the classical baseline, and carry out the task's studies."""
    settings = config.training
    with meter.phase("predict"):
        validation, test = (
            predict(
                designed.model,
                prepared.target,
                prepared.parts[name],
                batch_size=settings.validation_batch_size,
                device=designed.device,
                precision=designed.setup.precision.precision,
                views=settings.tta_views,
            )
            for name in ("validation", "test")
        )
    seed = derive_seed(config.seed, "evaluation")
    extra = config.task.metrics(prepared.target.kind)
    evaluation = evaluate(
        validation,
        test,
        prepared.target,
        config.evaluation,
        extra,
        seed,
        build(config.fairness).group_thresholds,
        config.training.monitor,
    )
    baseline: FittedBaseline | None = build(
        config.baseline,
        prepared.frames,
        prepared.encoder,
        prepared.dataset.roles,
        prepared.target,
        config.seed,
    )
    comparison = None
    if baseline is not None:
        comparison = compare(evaluation, baseline, prepared.target, config.evaluation, extra, seed)
    scorer = build_scorer(config, prepared, designed, evaluation)
    return EvaluationResult(
        evaluation, comparison, scorer, run_studies(config, prepared, designed, evaluation, scorer)
    )


def build_scorer(
    config: RunConfig, prepared: PreparedData, designed: ModelAndData, evaluation: Evaluation
) -> ModelScorer:
    """Return the trained model as serving would predict with it."""
    recalibration = Recalibration.restore(evaluation.calibration.recalibration.model_dump())
    return ModelScorer(
        designed.model,
        prepared.encoder,
        prepared.target,
        lambda raw: prepared.target.recalibrate(raw, recalibration),
        evaluation.decisions or None,
        designed.device,
        designed.setup.precision.precision,
        config.training.tta_views,
        config.training.validation_batch_size,
        prepared.dataset.frame,
        evaluation.thresholds.by_group,
    )


def run_studies(
    config: RunConfig,
    prepared: PreparedData,
    designed: ModelAndData,
    evaluation: Evaluation,
    scorer: ModelScorer,
) -> dict[str, tuple[StudyResult, float]]:
    """Carry out the studies of the task."""
    asked = config.task.studies(prepared.target.kind) if config.evaluation.studies else {}
    private = is_private(config.privacy)
    context = EvaluationContext(
        prepared.dataset,
        {name: frame for name, frame in prepared.frames.items() if name != "train" or not private},
        evaluation.parts,
        prepared.target,
        evaluation.decisions,
        scorer,
        derive_seed(config.seed, "studies"),
        config.evaluation.resamples,
        config.evaluation.confidence,
        config.evaluation.min_group_rows,
    )
    done = {}
    for name, study in asked.items():
        begun = time.perf_counter()
        done[name] = (study(context), time.perf_counter() - begun)
    return done
