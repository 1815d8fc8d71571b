"""This run beside another on the same held-out rows: which disparities grew or closed, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from core.config.section import Estimate
from core.fairness.audit import comparable, pairs_of, unit_codes
from core.fairness.section import DisparityChange
from core.fairness.simultaneous import resample_rates, simultaneous
from core.targets.intersections import attributes
from core.targets.types import Array, Predictions


def row_mismatch(here: Predictions, there: Predictions) -> str:
    """Return in what the held-out rows of two runs differ; "" where they are the same."""
    if here.kind != there.kind or here.classes != there.classes:
        return "another target"
    if len(here) != len(there) or not np.array_equal(here.index, there.index):
        return "other test rows"
    if not np.array_equal(here.targets, there.targets):
        return "other labels of the test rows"
    if here.groups.keys() != there.groups.keys():
        return "other sensitive attributes"
    if any(not np.array_equal(here.groups[name], there.groups[name]) for name in here.groups):
        return "other groups of the test rows"
    return ""


def compare_runs(
    here: Predictions,
    there: Predictions,
    weights: Callable[[], Iterable[Array]],
    confidence: float,
    min_rows: int,
    intersections: bool = True,
) -> list[DisparityChange]:
    """Return each comparison's difference here minus its difference there, the largest change first.

    ``weights`` returns the same blocks (r, N) of bootstrap counts each time, so that both runs are seen on the same
    resamples. The intervals hold for all comparisons at once. Rows whose rate is undefined in either run are left out.
    """
    pairs, _ = pairs_of(dict(attributes(here, intersections)), min_rows)
    units_N = unit_codes(here)
    both = [comparable(pairs, run.type.fairness_metrics(run), units_N) for run in (here, there)]
    shared = {(p.attribute, p.group, m.name) for p, m, _ in both[0]} & {
        (p.attribute, p.group, m.name) for p, m, _ in both[1]
    }
    ours, theirs = ([c for c in run if (c[0].attribute, c[0].group, c[1].name) in shared] for run in both)
    if not ours:
        return []
    a, b = resample_rates(ours, weights()), resample_rates(theirs, weights())
    units_C = np.minimum(a.units_C, b.units_C)
    # A row predicted alike by both runs adds nothing to the paired error, so the null error of one run is no floor.
    change = simultaneous(
        a.difference - b.difference, a.difference_resampled - b.difference_resampled, units_C, confidence
    )
    found = [
        DisparityChange(
            attribute=pair.attribute,
            group=pair.group,
            against=pair.against,
            metric=metric.name,
            rate_here=float(a.inside_C[k]),
            rate_there=float(b.inside_C[k]),
            difference_here=float(a.difference[k]),
            difference_there=float(b.difference[k]),
            change=Estimate(
                value=float(change.value_C[k]), low=float(change.low_C[k]), high=float(change.high_C[k])
            ),
            wider=bool(abs(a.difference[k]) > abs(b.difference[k])),
            found=bool(change.low_C[k] > 0 or change.high_C[k] < 0),
        )
        for k, (pair, metric, _) in enumerate(ours)
        if change.known[k]
    ]
    return sorted(found, key=lambda line: (not line.found, -abs(line.change.value or 0.0)))
