"""What one run of the gate measures: predictions, facts of single rows, values, and checks that need no baseline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.targets.types import Predictions

DIGITS = 4
"""Significant digits of a kept value, and decimals of a kept score: a diff shows changes, not rounding."""


@dataclass(frozen=True)
class Check:
    """Something that has to hold whatever the baseline says: a bar, a probe of the engine."""

    name: str
    value: float
    bound: float
    at_least: bool
    """The value has to be at least ``bound``; else at most."""
    reason: str
    """What it means where it fails, in a sentence."""

    @property
    def short_by(self) -> float:
        """Return how far the value is beyond its bound; at most 0 where it holds, not a number where it is none."""
        return self.bound - self.value if self.at_least else self.value - self.bound


@dataclass(frozen=True)
class ValueRule:
    """How a value that is not computed from predictions is compared."""

    worse: Literal["more", "less", "any change"]
    relative: bool = False
    """The change is a fraction of the former value."""
    unsteady: bool = False
    """A ratio of times: measured again before it counts as a regression."""


VALUES: dict[str, ValueRule] = {
    "rows in two sets": ValueRule("more"),
    "inputs in two sets": ValueRule("more"),
    "units in two sets": ValueRule("more"),
    "training rows": ValueRule("any change"),
    "test rows": ValueRule("any change"),
    "floating-point operations of a prediction": ValueRule("more", relative=True),
    "floating-point operations of a training step": ValueRule("more", relative=True),
    "operators of a training step": ValueRule("more", relative=True),
    "parameters": ValueRule("more", relative=True),
    "bytes of the weights": ValueRule("more", relative=True),
    "training step over a bare loop": ValueRule("more", relative=True, unsteady=True),
    "energy of a step over a bare loop": ValueRule("more", relative=True, unsteady=True),
    "latency over a bare forward pass": ValueRule("more", relative=True, unsteady=True),
    "modules that --help imports beyond hydra's": ValueRule("more", relative=True),
    "time of --help over hydra's import": ValueRule("more", relative=True, unsteady=True),
    "pixels inside prediction sets": ValueRule("less"),
    "epsilon": ValueRule("more"),
    "delta": ValueRule("any change", relative=True),
    "noise multiplier": ValueRule("less", relative=True),
    "clip norm": ValueRule("any change"),
    "sampling rate": ValueRule("any change", relative=True),
    "training steps": ValueRule("any change"),
}
"""Name of a value -> how it is compared. A later concern adds its own, and its margin to ``margins.yaml``."""


@dataclass
class Measurement:
    """What one run of the gate gave."""

    seed: int
    values: dict[str, float] = field(default_factory=dict)
    """Name (see ``VALUES``) -> value."""
    predictions: Predictions | None = None
    """Of the test set, scores rounded."""
    rows: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Name -> (N,) numbers of the rows of ``predictions``: covered, set_size, to_human."""
    checks: list[Check] = field(default_factory=list)
    failure: str = ""
    """Why the run came to no end; empty where it did."""
    seconds: float = 0.0
    """Wall time it took, for the progress line; never compared."""
    processor_seconds: float = 0.0
    """Likewise; of the commands that it started, too."""
    simulated: bool = True
    """Another seed has other rows."""


def rounded(value: float) -> float:
    """Return a value with four significant digits, whole numbers as they are.

    >>> rounded(0.840204), rounded(30483.0), rounded(123456.7)
    (0.8402, 30483.0, 123500.0)
    """
    if value == 0 or not np.isfinite(value) or float(value).is_integer():
        return float(value)
    return float(f"{value:.{DIGITS}g}")


def with_rounded_scores(predictions: Predictions) -> Predictions:
    """Return predictions with the scores that a baseline keeps, so that a repeated run compares as unchanged."""
    return replace(predictions, scores=np.round(predictions.scores, DIGITS))
