"""The options of ``explanation=``. Imports no torch."""

from __future__ import annotations

from core.config import ExplanationConfig, config_error, field, register
from core.config.validate import one_of

METHODS = ("auto", "occlusion", "integrated_gradients", "rollout")
LEAST_ROWS = 12
"""Rows that are explained whatever it costs, where there are so many: fewer would say nothing."""


@register("explanation", "standard")
class StandardExplanation(ExplanationConfig):
    """Explain held-out answers, and test whether the explanations say what the model does."""

    rows: int = field(64, help="held-out rows that are explained and tested, at most")
    method: str = field(
        "auto",
        help="occlusion (each part removed in turn), integrated_gradients, rollout (attention; has no sign); auto: "
        "occlusion where a row has at most explanation.parts parts, else integrated_gradients",
    )
    parts: int = field(48, help="parts of a row up to which auto removes them one by one")
    patches: int = field(5, help="patches along each side of an image")
    stretches: int = field(20, help="stretches of time that a signal is cut into")
    references: int = field(2, help="values that a removed column takes in turn: so many of its quantiles")
    steps: int = field(12, help="steps on the path of integrated gradients")
    orders: int = field(3, help="random orders a row that the explanation's own order is compared with")
    share: float = field(
        0.03,
        help="explain with at most this share of training's passes through the network (counted, not timed): fewer "
        f"rows where it takes more, but not below {LEAST_ROWS}",
    )
    compare: bool = field(
        True, help="also explain some rows by the other methods, where explanation.share pays for it"
    )
    minimum_group: int = field(
        10, help="explained rows that a group needs; it must also have evaluation.min_group_rows test rows"
    )
    examples: int | None = field(
        None,
        help="rows shown one by one, WITH WHAT IS IN THEM (values, words, pictures of people); null: 3 where the data "
        "are simulated, otherwise none",
    )

    def check(self) -> None:
        """Refuse values that can't be meant, before any data is read."""
        one_of("explanation.method", self.method, METHODS)
        least = {
            "rows": 2,
            "parts": 1,
            "patches": 2,
            "stretches": 2,
            "references": 1,
            "steps": 2,
            "orders": 1,
            "minimum_group": 2,
        }
        for key, smallest in least.items():
            if getattr(self, key) < smallest:
                raise config_error(
                    f"explanation.{key}", getattr(self, key), f"give a whole number of at least {smallest}"
                )
        if not 0 < self.share <= 1:
            raise config_error("explanation.share", self.share, "give a share above 0, at most 1")
        if self.examples is not None and not 0 <= self.examples <= 50:
            raise config_error("explanation.examples", self.examples, "give 0 to 50, or null")


@register("explanation", "none")
class NoExplanation(ExplanationConfig):
    """Explain nothing."""
