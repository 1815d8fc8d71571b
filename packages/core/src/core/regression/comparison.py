"""One comparison of the gate: a quantity before and now, what it may lose, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.regression.statistics import Drop, holm

Verdict = Literal["regression", "worse within margin", "noise", "same", "better"]

VERDICTS: dict[Verdict, str] = {
    "regression": "worse by more than its margin, and more than chance explains",
    "worse within margin": "worse than chance explains, by less than the margin allows",
    "noise": "changed by less than chance explains",
    "same": "unchanged",
    "better": "better by more than its margin: renew the baseline, or look for a leak",
}


@dataclass(frozen=True)
class Comparison:
    """A quantity of one task in the baseline and now."""

    domain: str
    task: str
    quantity: str
    before: float | None
    """Value in the baseline; None for a check that needs none (a bar, a probe)."""
    now: float | None
    drop: float
    """How much worse it is, in the units of ``margin``; negative where it is better."""
    margin: float
    """The drop that is let pass: a non-inferiority margin, or a tolerance."""
    standard_error: float | None = None
    """Of the drop; None for what is not sampled (a count of parameters, a probe)."""
    p: float | None = None
    relative: bool = False
    """Drop and margin are fractions of the former value."""
    reason: str = ""
    """What a reader needs to know of a check that failed, in a sentence."""
    level: float = 0.0
    """At which the hypothesis "not worse" was tested after Holm's correction over all comparisons of the call."""

    @property
    def name(self) -> str:
        """Return a name that is unique within one call of the gate."""
        return f"{self.domain}/{self.task}/{self.quantity}"

    @property
    def verdict(self) -> Verdict:
        """Return what the change amounts to."""
        if math.isnan(self.drop):
            return "regression"  # a quantity that can no longer be computed
        if self.p is None:
            if self.drop > self.margin:
                return "regression"
            if self.drop < -self.margin:
                return "better"
            return "same" if self.drop == 0 else "worse within margin" if self.drop > 0 else "noise"
        if self.drop == 0:
            return "same"
        if self.p <= self.level:
            return "regression" if self.drop > self.margin else "worse within margin"
        error = self.standard_error or 0.0
        if self.drop < -self.margin and -self.drop > 3 * error:
            return "better"
        return "noise"

    @property
    def failed(self) -> bool:
        """Return whether this comparison makes the gate fail."""
        return self.verdict == "regression"


def sampled(
    domain: str,
    task: str,
    quantity: str,
    before: float,
    now: float,
    drop: Drop,
    margin: float,
) -> Comparison:
    """Return the comparison of a quantity that is estimated on rows."""
    return Comparison(domain, task, quantity, before, now, drop.value, margin, drop.standard_error, drop.p)


def corrected(comparisons: Sequence[Comparison], alpha: float) -> list[Comparison]:
    """Return the comparisons with the level that Holm's correction over all of them leaves to each.

    The chance that a gate without any regression fails at all is at most ``alpha``, whatever their dependence.
    """
    levels = holm({c.name: c.p for c in comparisons if c.p is not None}, alpha)
    return [replace(c, level=levels[c.name]) if c.p is not None else c for c in comparisons]
