"""The quantities of the gate that test rows give: utility, calibration, groups, decisions, prediction sets.

Each is a function from the runs of one task, before and now on the same rows, to changes; a later concern adds its own
function to ``QUANTITIES`` and its margins to ``margins.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation.intervals import resampled_weights
from core.regression.measurement import Measurement
from core.regression.statistics import (
    Change,
    Drop,
    drop_from_ideal,
    drop_of,
    drop_of_change,
    flip_error,
    flips,
    mcnemar,
    paired_change,
)
from core.targets.metrics import LOWER_IS_BETTER
from core.targets.types import MetricSettings, Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RESAMPLES = 400
MIN_GROUP_ROWS = 50
"""Rows from which a group is compared."""
IDEAL = {"calibration_slope": 1.0, "calibration_intercept": 0.0, "calibration_in_the_large": 0.0}
"""Metrics that are best at a value: their distance from it is compared."""
LESS_IS_BETTER = LOWER_IS_BETTER | {"ece"}
GROUP_METRICS = ("accuracy", "exact_match", "pixel_accuracy"), ("log_loss", "mae")
"""Of each tuple the first metric that a kind has is compared by group: of right and wrong, and of confidence."""


@dataclass(frozen=True)
class Found:
    """A quantity before and now."""

    quantity: str
    before: float
    now: float
    drop: Drop
    margin_of: str = ""
    """Name of its margin, where it is not the quantity's."""
    relative: bool = False
    """The drop is a fraction of the former value."""


class PairedRun:
    """The predictions of one seed in the baseline and now, on the same test rows."""

    def __init__(self, before: Measurement, now: Measurement) -> None:
        assert before.predictions is not None
        assert now.predictions is not None
        self.seed = now.seed
        self.before, self.now = before.predictions, now.predictions
        self.rows_before, self.rows_now = before.rows, now.rows
        self.independent = before.simulated and now.simulated

    @property
    def same_rows(self) -> bool:
        """Whether both predict the same test rows with the same ground truth."""
        old, new = self.before, self.now
        return (
            old.kind == new.kind
            and old.classes == new.classes
            and np.array_equal(old.index, new.index)
            and old.targets.shape == new.targets.shape
            and bool(np.allclose(old.targets, new.targets, rtol=1e-4, atol=1e-6, equal_nan=True))
        )

    @cached_property
    def weights(self) -> Array:
        """Bootstrap counts (R, N), whole units where there are some; other ones for each seed."""
        blocks = resampled_weights(len(self.now), self.now.units, RESAMPLES, self.seed)
        return np.concatenate(list(blocks))

    def metrics(
        self, wanted: Sequence[str], rows: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[str, float, float, Array, Array]]:
        """Yield each metric: name, value before, value now, and both on every resample, (R,) each."""
        old, new, weights = self.before, self.now, self.weights
        if rows is not None:
            old, new, weights = old.take(rows), new.take(rows), weights[:, rows]
        ones = np.ones((1, len(new)))
        for statistic in new.type.statistics(new.classes, MetricSettings()):
            chosen = [k for k, name in enumerate(statistic.names) if name in wanted]
            if not chosen:
                continue
            prepared = statistic.prepare(old), statistic.prepare(new)
            points = [each(ones)[0] for each in prepared]
            sampled = [each(weights) for each in prepared]
            for k in chosen:
                yield (
                    statistic.names[k],
                    float(points[0][k]),
                    float(points[1][k]),
                    sampled[0][:, k],
                    sampled[1][:, k],
                )


Margins = Mapping[str, float]


class _Pool:
    """Values and replicates of one quantity, gathered over seeds."""

    def __init__(self) -> None:
        self.before: list[float] = []
        self.now: list[float] = []
        self.replicates: list[Array] = []
        self.independent = True

    def add(self, run: PairedRun, before: float, now: float, replicates: Array) -> None:
        self.before.append(before)
        self.now.append(now)
        self.replicates.append(replicates)
        self.independent &= run.independent

    def change(self) -> Change:
        return paired_change(self.before, self.now, self.replicates, self.independent)


def drop_of_metric(name: str, change: Change) -> Drop:
    """Return the drop of a metric by the direction that its name stands for."""
    if name in IDEAL:
        return drop_from_ideal(change, IDEAL[name])
    return drop_of(change, name not in LESS_IS_BETTER)


def utility(runs: Sequence[PairedRun], margins: Margins) -> Iterator[Found]:
    """Yield every metric that has a margin, calibration among them, on all test rows."""
    pools: dict[str, _Pool] = {}
    for run in runs:
        for name, old, new, sampled_old, sampled_new in run.metrics(list(margins)):
            if np.isfinite(old):
                pools.setdefault(name, _Pool()).add(run, old, new, sampled_new - sampled_old)
    for name, pool in pools.items():
        change = pool.change()
        yield Found(name, change.before, change.now, drop_of_metric(name, change))


def groups(runs: Sequence[PairedRun], margins: Margins) -> Iterator[Found]:
    """Yield metrics of each group that is large enough, and the largest gap between the groups of an attribute.

    A gap grows when one group falls: comparing each group with itself finds it with more power, and says which one.
    """
    by_group: dict[tuple[str, str], _Pool] = {}
    by_gap: dict[tuple[str, str], _Pool] = {}
    for run in runs:
        metrics = group_metrics(run.now)
        for attribute, values in sorted(run.now.groups.items()):
            found: dict[str, list[tuple[float, float, Array, Array]]] = {}
            for group in sorted(set(values.tolist())):
                rows = values == group
                if rows.sum() < MIN_GROUP_ROWS:
                    continue
                for name, old, new, sampled_old, sampled_new in run.metrics(metrics, rows):
                    if not np.isfinite(old):
                        continue
                    key = name, f"{name} of {attribute} {group}"
                    by_group.setdefault(key, _Pool()).add(run, old, new, sampled_new - sampled_old)
                    found.setdefault(name, []).append((old, new, sampled_old, sampled_new))
            for name, each in found.items():
                if len(each) < 2:
                    continue
                old, new, sampled_old, sampled_new = (
                    np.ptp(np.stack(column), axis=0) for column in zip(*each, strict=True)
                )
                key = name, f"gap of {name} by {attribute}"
                by_gap.setdefault(key, _Pool()).add(run, float(old), float(new), sampled_new - sampled_old)
    for (name, quantity), pool in by_group.items():
        change = pool.change()
        yield Found(quantity, change.before, change.now, drop_of_metric(name, change), f"group {name}")
    for (name, quantity), pool in by_gap.items():
        change = pool.change()
        margin = "gap" if name in GROUP_METRICS[0] else f"group {name}"
        yield Found(quantity, change.before, change.now, drop_of(change, False), margin)


def group_metrics(predictions: Predictions) -> list[str]:
    """Return the metrics by which groups are compared."""
    names = {
        name
        for statistic in predictions.type.statistics(predictions.classes, MetricSettings())
        for name in statistic.names
    }
    chosen = (next((name for name in among if name in names), None) for among in GROUP_METRICS)
    return [name for name in chosen if name is not None]


def decisions(runs: Sequence[PairedRun], margins: Margins) -> Iterator[Found]:
    """Yield the exact test of rows decided rightly before and wrongly now; none for numbers and masks."""
    lost = won = rows = 0
    shares: list[tuple[float, float]] = []
    for run in runs:
        before, now = run.before.type.correct(run.before), run.now.type.correct(run.now)
        if before is None or now is None or now.ndim != 1:
            return
        more_lost, more_won = flips(before, now)
        lost, won, rows = lost + more_lost, won + more_won, rows + len(now)
        shares.append((float(before.mean()), float(now.mean())))
    old, new = np.mean(shares, axis=0)
    drop = Drop((lost - won) / rows, flip_error(lost, won, rows), mcnemar(lost, won))
    yield Found("rows decided rightly", float(old), float(new), drop)


def predicted_classes(runs: Sequence[PairedRun], margins: Margins) -> Iterator[Found]:
    """Yield how often each class is predicted, whether rightly or not: a threshold that moved moves it one way."""
    first = runs[0].now
    if not first.type.has_row_class:
        return
    codes = range(len(first.classes)) if len(first.classes) > 2 else [1]
    for code in codes:
        lost = won = rows = 0
        for run in runs:
            fewer, more = flips(run.before.labels == code, run.now.labels == code)
            lost, won, rows = lost + fewer, won + more, rows + len(run.now)
        before = float(np.mean([np.mean(run.before.labels == code) for run in runs]))
        now = float(np.mean([np.mean(run.now.labels == code) for run in runs]))
        drop = Drop(abs(won - lost) / rows, flip_error(lost, won, rows), mcnemar(lost, won, two_sided=True))
        yield Found(f"share predicted {first.classes[code]}", before, now, drop, "share of a predicted class")


def prediction_sets(runs: Sequence[PairedRun], margins: Margins) -> Iterator[Found]:
    """Yield coverage and size of the conformal sets, and the share of rows that go to a human, row against row."""
    for name in ("covered", "set_size", "to_human"):
        pool = _Pool()
        lost = won = rows = 0
        for run in runs:
            before, now = run.rows_before.get(name), run.rows_now.get(name)
            if before is None:
                continue
            if now is None or len(before) != len(now):
                yield Found(SET_NAMES[name], float(np.nanmean(before)), np.nan, Drop(np.nan, 0.0, 0.0))
                break
            known = np.isfinite(before) & np.isfinite(now)
            weights = run.weights[:, known]
            scale = float(before[known].mean()) if name == "set_size" else 1.0
            change = now[known] - before[known]
            replicates = (weights @ change) / weights.sum(axis=1) / (scale or 1.0)
            pool.add(run, float(before[known].mean()), float(now[known].mean()), replicates)
            fewer, more = flips(before[known] > 0.5, now[known] > 0.5)
            lost, won, rows = lost + fewer, won + more, rows + int(known.sum())
        else:
            if pool.before:
                yield _of_sets(name, pool.change(), lost, won, rows)


SET_NAMES = {
    "covered": "rows inside prediction sets",
    "set_size": "size of prediction sets",
    "to_human": "rows that go to a human",
}


def _of_sets(name: str, change: Change, lost: int, won: int, rows: int) -> Found:
    """Return the change of one fact of rows: counts by an exact test, sizes by the bootstrap."""
    if name == "covered":
        drop = Drop(change.before - change.now, flip_error(lost, won, rows), mcnemar(lost, won))
        return Found(SET_NAMES[name], change.before, change.now, drop)
    if name == "to_human":
        p = mcnemar(lost, won, two_sided=True)
        drop = Drop(abs(change.now - change.before), flip_error(lost, won, rows), p)
        return Found(SET_NAMES[name], change.before, change.now, drop)
    relative = Change(1.0, change.now / change.before if change.before else 1.0, change.standard_error)
    drop = drop_of_change(relative)
    signed = Drop(relative.now - relative.before, drop.standard_error, drop.p)
    return Found(SET_NAMES[name], change.before, change.now, signed, relative=True)


QUANTITIES: tuple[Callable[[Sequence[PairedRun], Margins], Iterator[Found]], ...] = (
    utility,
    groups,
    decisions,
    predicted_classes,
    prediction_sets,
)
