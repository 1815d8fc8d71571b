"""The quantities of the gate that held-out predictions give: utility, calibration, groups, coverage, decisions.

Each is a function from the predictions of one seed, in the baseline and now, on the same rows, to pairs; a later
concern adds its own function to ``QUANTITIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation.intervals import resampled_weights
from core.regression.statistics import Drop, mcnemar, paired_drop
from core.targets.metrics import LOWER_IS_BETTER
from core.targets.types import MetricSettings, Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 400
IDEAL = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
"""Metrics that are best at a value: their distance from it is compared."""
LESS_IS_BETTER = LOWER_IS_BETTER | {"ece"}


@dataclass(frozen=True)
class Pair:
    """A quantity on the rows of one seed, before and now."""

    quantity: str
    before: float
    now: float
    drop: Drop


@dataclass(frozen=True)
class Settings:
    """What the comparison of one task's predictions depends on."""

    margins: Mapping[str, float]
    """Metric -> the drop that is let pass; metrics without one are not compared."""
    minimum_group: int = 50
    """Rows from which a group is compared."""
    seed: int = 0


def same_rows(before: Predictions, now: Predictions) -> bool:
    """Return whether both predict the same held-out rows with the same ground truth."""
    return (
        before.kind == now.kind
        and before.classes == now.classes
        and np.array_equal(before.index, now.index)
        and np.array_equal(before.targets, now.targets)
    )


def metric_replicates(
    before: Predictions, now: Predictions, settings: Settings, rows: NDArray[np.bool_] | None = None
) -> Iterator[tuple[str, float, float, NDArray[np.float64]]]:
    """Yield each metric with a margin: name, value before, value now, differences of its bootstrap replicates (R,).

    Both are computed with the same resampling weights; with units, whole units are drawn.
    """
    if rows is not None:
        before, now = before.take(rows), now.take(rows)
    blocks = list(resampled_weights(len(now), now.units, RESAMPLES, settings.seed))
    ones = np.ones((1, len(now)))
    for statistic in now.type.statistics(now.classes, MetricSettings()):
        wanted = [k for k, name in enumerate(statistic.names) if name in settings.margins]
        if not wanted:
            continue
        old, new = statistic.prepare(before), statistic.prepare(now)
        points = old(ones)[0], new(ones)[0]
        sampled = [np.concatenate([made(block) for block in blocks]) for made in (old, new)]
        for k in wanted:
            name = statistic.names[k]
            ideal = IDEAL.get(name)
            if ideal is None:
                yield name, float(points[0][k]), float(points[1][k]), sampled[1][:, k] - sampled[0][:, k]
            else:
                distance = [np.abs(values[:, k] - ideal) for values in sampled]
                yield name, float(points[0][k]), float(points[1][k]), distance[1] - distance[0]


def _pair(name: str, label: str, before: float, now: float, replicates: NDArray[np.float64]) -> Pair:
    ideal = IDEAL.get(name)
    if ideal is not None:
        return Pair(label, before, now, paired_drop(abs(before - ideal), abs(now - ideal), replicates, False))
    return Pair(label, before, now, paired_drop(before, now, replicates, name not in LESS_IS_BETTER))


def utility(before: Predictions, now: Predictions, settings: Settings) -> Iterator[Pair]:
    """Yield every metric with a margin, calibration among them, on all rows."""
    for name, old, new, replicates in metric_replicates(before, now, settings):
        if np.isfinite(old):
            yield _pair(name, name, old, new, replicates)


def groups(before: Predictions, now: Predictions, settings: Settings) -> Iterator[Pair]:
    """Yield, for each sensitive attribute, the accuracy-like metric of each group that is large enough.

    A gap between groups grows when one group falls: comparing each group with itself finds it with more power than
    the difference of two groups, and says which one.
    """
    metric = headline(now)
    if metric is None:
        return
    margins = {metric: settings.margins.get(f"group:{metric}", settings.margins.get("group", 0.05))}
    inner = Settings(margins, settings.minimum_group, settings.seed)
    for attribute, values in sorted(now.groups.items()):
        for group in sorted(set(values.tolist())):
            rows = values == group
            if rows.sum() < settings.minimum_group:
                continue
            for name, old, new, replicates in metric_replicates(before, now, inner, rows):
                if np.isfinite(old) and np.isfinite(new):
                    yield _pair(name, f"{name} of {attribute}={group}", old, new, replicates)


def headline(predictions: Predictions) -> str | None:
    """Return the metric by which groups are compared: of right or wrong predictions the accuracy, else the error."""
    names = {
        name
        for statistic in predictions.type.statistics(predictions.classes, MetricSettings())
        for name in statistic.names
    }
    for name in ("accuracy", "exact_match", "subset_accuracy", "mae", "pixel_accuracy"):
        if name in names:
            return name
    return None


def decisions(before: Predictions, now: Predictions, settings: Settings) -> Iterator[Pair]:
    """Yield the exact McNemar test of rows decided rightly before and wrongly now; none for numbers and masks."""
    right_before, right_now = before.type.correct(before), now.type.correct(now)
    if right_before is None or right_now is None or right_now.ndim != 1:
        return
    lost = int(np.sum(right_before & ~right_now))
    won = int(np.sum(~right_before & right_now))
    value = (lost - won) / len(now)
    spread = float(np.sqrt(max(lost + won - (lost - won) ** 2 / len(now), 0.0)) / len(now))
    drop = Drop(value, spread, mcnemar(lost, won))
    yield Pair("rows decided rightly", float(right_before.mean()), float(right_now.mean()), drop)


QUANTITIES: tuple[Callable[[Predictions, Predictions, Settings], Iterator[Pair]], ...] = (
    utility,
    groups,
    decisions,
)
