"""One comparison of the gate: a quantity before and now, what it may lose, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.regression.measurement import VALUES, Check, Measurement, rounded
from core.regression.quantities import QUANTITIES, Found, PairedRun
from core.regression.statistics import holm

Verdict = Literal["regression", "worse within margin", "noise", "same", "better"]

VERDICTS: dict[Verdict, str] = {
    "regression": "worse by more than its margin, and by more than chance explains",
    "worse within margin": "worse than chance explains, by no more than its margin",
    "noise": "changed, by no more than chance explains",
    "same": "unchanged",
    "better": "better by more than its margin: renew the baseline, or find the leak",
}
EXACT = 1e-9
"""Relative difference of two floats that are the same number."""


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
    """What a reader needs to know where it failed, in a sentence."""
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
        if self.drop == 0:
            return "same"
        if self.p is None:
            if self.drop > self.margin + EXACT * abs(self.before or 0.0):
                return "regression"
            if self.before is None:
                return "same"  # a check that holds, by however much
            if self.drop < -self.margin:
                return "better"
            return "worse within margin" if self.drop > 0 else "noise"
        if self.drop > 0 and self.p <= self.level:
            return "regression" if self.drop > self.margin else "worse within margin"
        if self.drop < -self.margin and -self.drop > 3 * (self.standard_error or 0.0):
            return "better"
        return "noise"

    @property
    def failed(self) -> bool:
        """Return whether this comparison makes the gate fail."""
        return self.verdict == "regression"


def compare_task(
    domain: str,
    task: str,
    before: Sequence[Measurement],
    now: Sequence[Measurement],
    margins: Mapping[str, float],
) -> list[Comparison]:
    """Return all comparisons of one task; their levels are set by ``corrected`` over the whole call."""
    found = [_of_check(domain, task, run.seed, check) for run in now for check in run.checks]
    found += [
        Comparison(domain, task, f"run of seed {run.seed}", None, None, math.nan, 0.0, reason=run.failure)
        for run in now
        if run.failure
    ]
    now = [run for run in now if not run.failure]
    known = {run.seed: run for run in before}
    new = [run.seed for run in now if run.seed not in known]
    if new:
        reason = "the baseline does not have this run: renew it"
        missing = ", ".join(str(seed) for seed in new)
        found.append(
            Comparison(domain, task, f"baseline of seed {missing}", None, None, math.nan, 0.0, reason=reason)
        )
    pairs = [(known[run.seed], run) for run in now if run.seed in known]
    found += _of_values(domain, task, pairs, margins)
    runs = [PairedRun(old, run) for old, run in pairs if old.predictions and run.predictions]
    other_rows = [run.seed for run in runs if not run.same_rows]
    if other_rows:
        reason = (
            "the test rows or their ground truth are other ones than the baseline's: the data, their reading or the "
            "split changed; if that is meant, renew the baseline"
        )
        seeds = ", ".join(str(seed) for seed in other_rows)
        found.append(
            Comparison(domain, task, f"test rows of seed {seeds}", None, None, math.nan, 0.0, reason=reason)
        )
    runs = [run for run in runs if run.same_rows]
    if runs:
        for quantity in QUANTITIES:
            found += [_sampled(domain, task, each, margins) for each in quantity(runs, margins)]
    return found


def _sampled(domain: str, task: str, found: Found, margins: Mapping[str, float]) -> Comparison:
    margin = margins[found.margin_of or found.quantity]
    drop = found.drop
    return Comparison(
        domain,
        task,
        found.quantity,
        found.before,
        found.now,
        drop.value,
        margin,
        drop.standard_error,
        drop.p,
        found.relative,
    )


def _of_check(domain: str, task: str, seed: int, check: Check) -> Comparison:
    told = f"{check.reason} (seed {seed}: {check.value:.4g}, bound {check.bound:.4g})"
    return Comparison(
        domain,
        task,
        f"{check.name}, seed {seed}",
        None,
        check.value,
        max(check.short_by, 0.0) if check.short_by == check.short_by else math.nan,
        0.0,
        reason=told,
    )


def _of_values(
    domain: str,
    task: str,
    pairs: Sequence[tuple[Measurement, Measurement]],
    margins: Mapping[str, float],
) -> Iterator[Comparison]:
    """Yield each value once: of several seeds the one that lost most."""
    names = dict.fromkeys(name for old, run in pairs for name in (*old.values, *run.values))
    for name in names:
        each = [
            _of_value(domain, task, name, old.values.get(name), run.values.get(name), margins[name])
            for old, run in pairs
            if name in old.values or name in run.values
        ]
        yield max(each, key=lambda c: math.inf if math.isnan(c.drop) else c.drop)


def _of_value(
    domain: str, task: str, name: str, before: float | None, now: float | None, margin: float
) -> Comparison:
    rule = VALUES[name]
    if before is None or now is None:
        gone = "the baseline does not have it: renew it" if before is None else "it is no longer measured"
        return Comparison(domain, task, name, before, now, math.nan, margin, reason=gone)
    now = rounded(now)
    change = now - before
    if rule.relative:
        change = 0.0 if change == 0 else change / abs(before) if before else math.inf
    if abs(change) <= EXACT * max(1.0, abs(before)):
        change = 0.0
    drop = {"more": change, "less": -change, "any change": abs(change)}[rule.worse]
    return Comparison(domain, task, name, before, now, drop, margin, relative=rule.relative)


def corrected(comparisons: Sequence[Comparison], alpha: float) -> list[Comparison]:
    """Return the comparisons with the level that Holm's correction over all of them leaves to each.

    The chance that a gate without any regression fails at all is at most ``alpha``, whatever their dependence.
    """
    levels = holm({c.name: c.p for c in comparisons if c.p is not None}, alpha)
    return [replace(c, level=levels[c.name]) if c.p is not None else c for c in comparisons]
