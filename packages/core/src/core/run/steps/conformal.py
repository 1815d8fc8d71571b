"""Part of step 5: conformal quantiles, calibrated on validation, for prediction sets and intervals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.config import derive_seed
from core.evaluation.conformal import Calibration, PixelScores, calibrate, score_pixels
from core.oversight.config import StandardOversight, conformal_method, mondrian
from core.oversight.decision_rule import rule_of_declaration
from core.run.state import RunState


@dataclass(frozen=True)
class ConformalResult:
    """Calibrated quantiles, and the pixels that were scored where labels are masks."""

    calibration: Calibration
    pixels: dict[str, PixelScores] = field(default_factory=dict)
    """validation, test -> scored pixels; empty for other targets."""


def calibrate_sets(state: RunState) -> ConformalResult | None:
    """Calibrate the quantiles of the run's sets or intervals on validation; None with ``oversight=none``."""
    options = state.config.oversight
    if not isinstance(options, StandardOversight):
        return None
    target, seed = state.data.target, derive_seed(state.config.seed, "oversight")
    rule = rule_of_declaration(
        state.task.oversight, target.kind, target.classes, options.confirm, options.confirm_words
    )
    rule = replace(rule, method=conformal_method(options, target), log=target.log_scale())
    parts = state.evaluated.evaluation.parts
    pixels = {}
    if target.dense:
        pixels = {
            name: score_pixels(
                state.evaluated.scorer, state.data.frames[name], parts[name], options.mask_images, seed, name
            )
            for name in ("validation", "test")
        }
    calibration = calibrate(
        rule,
        parts["validation"],
        options.alpha,
        mondrian(options, target),
        options.min_group_units,
        seed,
        pixels.get("validation"),
    )
    return ConformalResult(calibration, pixels)
