"""Part of step 5: conformal quantiles, calibrated on validation, for prediction sets and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.config import RunConfig, derive_seed
from core.evaluation.conformal import Calibration, PixelScores, calibrate, score_pixels
from core.oversight.config import StandardOversight, conformal_method, mondrian
from core.oversight.decision_rule import rule_of_declaration
from core.steps.evaluate import EvaluationResult
from core.steps.prepare import PreparedData


@dataclass(frozen=True)
class ConformalResult:
    """Calibrated quantiles, and the pixels that were scored where labels are masks."""

    calibration: Calibration
    pixels: dict[str, PixelScores] = field(default_factory=dict)
    """validation, test -> scored pixels; empty for other targets."""


def calibrate_sets(config: RunConfig, prepared: PreparedData, judged: EvaluationResult) -> ConformalResult | None:
    """Calibrate the quantiles of the run's sets or intervals on validation; None with ``oversight=none``."""
    options = config.oversight
    if not isinstance(options, StandardOversight):
        return None
    target, seed = prepared.target, derive_seed(config.seed, "oversight")
    rules = rule_of_declaration(
        config.task.oversight, target.kind, target.classes, options.confirm, options.confirm_words
    )
    rules = replace(
        rules, method=conformal_method(options, target), log=target.log_scale()
    )
    parts = judged.evaluation.parts
    pixels = {}
    if target.dense:
        pixels = {
            name: score_pixels(
                judged.scorer, prepared.frames[name], parts[name], options.mask_images, seed, name
            )
            for name in ("validation", "test")
        }
    calibration = calibrate(
        rules,
        parts["validation"],
        options.alpha,
        mondrian(options, target),
        options.min_group_units,
        seed,
        pixels.get("validation"),
    )
    return ConformalResult(calibration, pixels)
