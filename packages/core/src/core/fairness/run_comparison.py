"""This run beside another on the same held-out rows: whose gaps grew, whose closed, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from core.fairness.audit import comparable, pairs_of, unit_codes
from core.fairness.criteria import fairness_metrics
from core.fairness.simultaneous import draw, simultaneous
from core.targets.intersections import attributes
from core.targets.types import Array, Predictions


def same_rows(here: Predictions, there: Predictions) -> str:
    """Say in what the held-out rows of two runs differ; nothing where they are the same."""
    if here.kind != there.kind or here.classes != there.classes:
        return "another target"
    if len(here) != len(there) or not np.array_equal(here.index, there.index):
        return "other test rows"
    if not np.array_equal(here.targets, there.targets):
        return "another truth of the test rows"
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
    minimum: int,
    intersections: bool = True,
) -> list[dict[str, Any]]:
    """Give each comparison's gap here less its gap there, widest first.

    ``weights`` makes the same blocks (r, N) of bootstrap counts each time, so that both runs are seen on the same
    resamples. The intervals hold for all comparisons at once. Rows whose rate is undefined in either run are no part.
    """
    pairs, _ = pairs_of(dict(attributes(here, intersections)), minimum)
    units_N = unit_codes(here)
    both = [comparable(pairs, fairness_metrics(run), units_N) for run in (here, there)]
    shared = {(p.attribute, p.group, n.name) for p, n, _ in both[0]} & {
        (p.attribute, p.group, n.name) for p, n, _ in both[1]
    }
    ours, theirs = ([c for c in run if (c[0].attribute, c[0].group, c[1].name) in shared] for run in both)
    if not ours:
        return []
    a, b = draw(ours, weights()), draw(theirs, weights())
    units_C = np.minimum(a.units_C, b.units_C)
    # A row answered alike by both runs adds nothing to the paired spread, so the floor of one run is no floor here.
    change = simultaneous(
        a.difference - b.difference, a.difference_drawn - b.difference_drawn, units_C, confidence
    )
    lines = [
        {
            "attribute": pair.attribute,
            "group": pair.group,
            "against": pair.against,
            "notion": notion.name,
            "rate_here": float(a.inside_C[k]),
            "rate_there": float(b.inside_C[k]),
            "gap_here": float(a.difference[k]),
            "gap_there": float(b.difference[k]),
            "change": float(change.value_C[k]),
            "low": float(change.low_C[k]),
            "high": float(change.high_C[k]),
            "wider": bool(abs(a.difference[k]) > abs(b.difference[k])),
            "found": bool(change.low_C[k] > 0 or change.high_C[k] < 0),
        }
        for k, (pair, notion, _) in enumerate(ours)
        if change.known[k]
    ]
    return sorted(lines, key=lambda line: (not line["found"], -abs(line["change"])))
