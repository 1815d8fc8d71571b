"""Step 4: held-out predictions, metrics with intervals, calibration, groups, and the classical challenger."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import RunConfig, derive_seed
from core.evaluation.evaluate import compare, evaluate
from core.evaluation.types import Comparison, Evaluation
from core.steps.design import Designed
from core.steps.prepare import Prepared
from core.training.prediction import predict


@dataclass
class Judged:
    """What held-out rows say of the model and of the challenger."""

    evaluation: Evaluation
    comparison: Comparison | None


def judge(config: RunConfig, prepared: Prepared, designed: Designed) -> Judged:
    """Do step 4."""
    settings = config.training
    validation, test = (
        predict(
            designed.model,
            prepared.target,
            prepared.parts[name],
            batch_size=settings.validation_batch_size,
            device=designed.device,
            precision=designed.precision.precision,
            views=settings.views,
        )
        for name in ("validation", "test")
    )
    seed = derive_seed(config.seed, "evaluation")
    extra = config.task.metrics(prepared.target.kind)
    evaluation = evaluate(validation, test, prepared.target, config.evaluation, extra, seed)
    challenge = config.challenger.run(
        prepared.frames, prepared.encoder, prepared.dataset.fields, prepared.target, config.seed
    )
    comparison = None
    if challenge is not None:
        comparison = compare(evaluation, challenge, prepared.target, config.evaluation, extra, seed)
    return Judged(evaluation, comparison)
