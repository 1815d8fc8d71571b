"""The options of ``explanation=``. Imports no torch."""

from __future__ import annotations

from core.config import ExplanationConfig, config_error, field, register
from core.config.validate import one_of

METHODS = ("auto", "occlusion", "integrated_gradients", "rollout")
MIN_ROWS = 12
"""Rows that are explained at any cost, where there are so many: fewer could not be tested."""
MOST_EXAMPLES = 50


@register("explanation", "standard")
class StandardExplanation(ExplanationConfig):
    """Explain held-out predictions, and test whether the explanations are faithful to the model."""

    rows: int = field(64, help="held-out rows that are explained and tested, at most")
    method: str = field(
        "auto",
        help="occlusion (each feature masked in turn), integrated_gradients, rollout (attention; has no sign); auto: "
        "occlusion where a row has at most explanation.max_occluded_features features, else integrated_gradients",
    )
    max_occluded_features: int = field(48, help="features of a row up to which auto masks them one by one")
    patches: int = field(5, help="patches along each side of an image")
    segments: int = field(20, help="segments of time that a signal is cut into")
    num_references: int = field(
        2, help="reference values that a masked column takes in turn: so many of its quantiles"
    )
    steps: int = field(12, help="steps on the path of integrated gradients")
    random_orders: int = field(
        3, help="random orders of a row's features that the explanation's own order is compared with"
    )
    compute_fraction: float = field(
        0.03,
        help="explain with at most this fraction of training's forward passes (counted, not timed): fewer rows where "
        f"it takes more, but not below {MIN_ROWS}",
    )
    compare: bool = field(
        True, help="also explain some rows by the other methods, where explanation.compute_fraction allows"
    )
    min_group_rows: int = field(
        10, help="explained rows that a group needs; it must also have evaluation.min_group_rows test rows"
    )
    examples: int | None = field(
        None,
        help="rows shown one by one, WITH THEIR CONTENT (values, words, images of people); null: 3 where the data are "
        "simulated, otherwise none",
    )

    def __post_init__(self) -> None:
        one_of("explanation.method", self.method, METHODS)
        least = {
            "rows": 2,
            "max_occluded_features": 1,
            "patches": 2,
            "segments": 2,
            "num_references": 1,
            "steps": 2,
            "random_orders": 1,
            "min_group_rows": 2,
        }
        for key, smallest in least.items():
            if getattr(self, key) < smallest:
                raise config_error(
                    f"explanation.{key}", getattr(self, key), f"give a whole number of at least {smallest}"
                )
        if not 0 < self.compute_fraction <= 1:
            raise config_error(
                "explanation.compute_fraction", self.compute_fraction, "give a fraction above 0, at most 1"
            )
        if self.examples is not None and not 0 <= self.examples <= MOST_EXAMPLES:
            raise config_error("explanation.examples", self.examples, f"give 0 to {MOST_EXAMPLES}, or null")


@register("explanation", "none")
class NoExplanation(ExplanationConfig):
    """Explain nothing."""
