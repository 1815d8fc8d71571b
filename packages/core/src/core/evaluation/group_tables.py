"""Every figure again for every group of the sensitive attributes, and of their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import interval, point, resample, without_interval
from core.evaluation.types import Json, Statistic
from core.targets.intersections import attributes
from core.targets.types import Metric, Predictions


def group_tables(
    test: Predictions,
    statistics: Sequence[Statistic],
    names: Sequence[str],
    metrics: Mapping[str, Metric],
    config: StandardEvaluation,
    seed: int,
) -> dict[str, Json]:
    """Give attribute (or "a × b") -> {minimum, groups {name: {rows, units, metrics}}, suppressed [names]}.

    ``names`` are the figures wanted, in order; those in ``metrics`` have no vectorised form and get no
    interval. A group with fewer rows than ``config.minimum_group`` is suppressed: its figures would say more
    about chance, and about single people, than about the model.
    """
    tables: dict[str, Json] = {}
    for attribute, groups in attributes(test):
        shown: dict[str, Json] = {}
        suppressed = []
        for name in sorted(set(groups.tolist())):
            rows = np.flatnonzero(groups == name)
            if len(rows) < config.minimum_group:
                suppressed.append(name)
                continue
            members = test.take(rows)
            values = point(statistics, members)
            samples = resample(statistics, members, config.resamples_single, seed)
            figures = {
                n: without_interval(metrics[n](members))
                if n in metrics
                else interval(values[n], samples[n], config.confidence)
                for n in names
            }
            shown[name] = {
                "rows": len(rows),
                "units": None if members.units is None else len(set(members.units.tolist())),
                "metrics": figures,
            }
        tables[attribute] = {"minimum": config.minimum_group, "groups": shown, "suppressed": suppressed}
    return tables
