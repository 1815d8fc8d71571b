"""Step 4: held-out predictions, metrics with intervals, calibration, groups, and the classical baseline."""

from __future__ import annotations

import time

from core.config import build, derive_seed
from core.evaluation.evaluate import compare, evaluate
from core.evaluation.study import EvaluationContext, StudyResult
from core.evaluation.types import Evaluation
from core.privacy.config import is_private
from core.run.state import EvaluationResult, RunState
from core.targets.recalibration import Recalibration
from core.targets.types import FittedBaseline
from core.training.prediction import predict
from core.training.scorer import ModelScorer


def evaluate_run(state: RunState) -> EvaluationResult:
    """Predict held-out rows, measure them, fit the classical baseline, and carry out the task's studies."""
    settings = state.training
    with state.meter.phase("predict"):
        validation, test = (
            predict(
                state.design.model,
                state.data.target,
                state.data.splits[name],
                batch_size=settings.validation_batch_size,
                device=state.design.device,
                precision=state.design.setup.precision.precision,
                views=settings.tta_views,
            )
            for name in ("validation", "test")
        )
    seed = derive_seed(state.config.seed, "evaluation")
    extra = state.task.metrics(state.data.target.kind)
    evaluation = evaluate(
        validation,
        test,
        state.data.target,
        state.evaluation,
        extra,
        seed,
        build(state.config.fairness).group_thresholds,
        state.training.monitor,
    )
    baseline: FittedBaseline | None = build(
        state.config.baseline,
        state.data.frames,
        state.data.encoder,
        state.data.dataset.roles,
        state.data.target,
        state.config.seed,
    )
    comparison = None
    if baseline is not None:
        comparison = compare(evaluation, baseline, state.data.target, state.evaluation, extra, seed)
    scorer = build_scorer(state, evaluation)
    return EvaluationResult(evaluation, comparison, scorer, run_studies(state, evaluation, scorer))


def build_scorer(state: RunState, evaluation: Evaluation) -> ModelScorer:
    """Return the trained model as serving would predict with it."""
    recalibration = Recalibration.restore(evaluation.calibration.recalibration.model_dump())
    return ModelScorer(
        state.design.model,
        state.data.encoder,
        state.data.target,
        lambda raw: state.data.target.recalibrate(raw, recalibration),
        evaluation.decisions or None,
        state.design.device,
        state.design.setup.precision.precision,
        state.training.tta_views,
        state.training.validation_batch_size,
        state.data.dataset.frame,
        evaluation.thresholds.by_group,
    )


def run_studies(
    state: RunState, evaluation: Evaluation, scorer: ModelScorer
) -> dict[str, tuple[StudyResult, float]]:
    """Carry out the studies of the task."""
    asked = state.task.studies(state.data.target.kind) if state.evaluation.studies else {}
    private = is_private(state.config.privacy)
    context = EvaluationContext(
        state.data.dataset,
        {name: frame for name, frame in state.data.frames.items() if name != "train" or not private},
        evaluation.parts,
        state.data.target,
        evaluation.decisions,
        scorer,
        derive_seed(state.config.seed, "studies"),
        state.evaluation.resamples,
        state.evaluation.confidence,
        state.evaluation.min_group_rows,
    )
    done = {}
    for name, study in asked.items():
        begun = time.perf_counter()
        done[name] = (study(context), time.perf_counter() - begun)
    return done
