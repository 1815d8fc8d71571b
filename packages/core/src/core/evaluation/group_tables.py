"""Every metric again for every group of the sensitive attributes, and of their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import interval, point, resample, without_interval
from core.evaluation.section import GroupSection, GroupTableSection
from core.targets.intersections import attributes
from core.targets.types import Metric, Predictions, Statistic


def group_tables(
    test: Predictions,
    statistics: Sequence[Statistic],
    names: Sequence[str],
    metrics: Mapping[str, Metric],
    config: StandardEvaluation,
    seed: int,
) -> dict[str, GroupTableSection]:
    """Return the metrics of each group by attribute (or "a × b").

    ``names`` are the metrics wanted, in order; those in ``metrics`` have no weighted form and get no
    interval. A group with fewer rows than ``config.min_group_rows`` is suppressed: its metrics would say more
    about chance, and about single people, than about the model.
    """
    tables: dict[str, GroupTableSection] = {}
    for attribute, groups in attributes(test):
        table = GroupTableSection(min_group_rows=config.min_group_rows)
        for name in sorted(set(groups.tolist())):
            rows = np.flatnonzero(groups == name)
            if len(rows) < config.min_group_rows:
                table.suppressed.append(name)
                continue
            members = test.take(rows)
            values = point(statistics, members)
            samples = resample(statistics, members, config.resamples_slow, seed)
            table.groups[name] = GroupSection(
                rows=len(rows),
                units=None if members.units is None else len(set(members.units.tolist())),
                metrics={
                    n: without_interval(metrics[n](members))
                    if n in metrics
                    else interval(values[n], samples[n], config.confidence)
                    for n in names
                },
            )
        tables[attribute] = table
    return tables
