"""Decision thresholds of single groups, optimized on validation after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.config import config_error
from core.fairness.config import ThresholdConfig
from core.fairness.group_thresholds import joined_groups
from core.fairness.mitigation import NoMitigation, mitigation_section
from core.fairness.section import GroupThresholds
from core.fairness.subgroups import select_attributes
from core.targets.intersections import JOIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.data.groups import Groups
    from core.fairness.section import MitigationSection
    from core.targets.types import Array, Predictions, Target

CANDIDATES = 40
"""Thresholds tried for a group: quantiles of its scores, so that no single row decides."""
FACTORS = 2.0 ** np.array([-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0])
"""With several classes: what a class's threshold is multiplied by."""
SWEEPS = 5
MIN_RATED_ROWS = 10
"""Rows of a class, and of the others, that a group's rates of it need to count in the disparity."""

Values = dict[str, dict[str, float]]
"""Group -> class -> threshold."""


class ThresholdMitigation(NoMitigation):
    """``fairness=threshold``."""

    config: ThresholdConfig

    def check_groups(self, groups: Mapping[str, NDArray[np.str_]], target: Target) -> None:
        """Raise ``ValueError`` for a target that is not decided by thresholds, and for groups that are too small."""
        if not target.thresholds_by_group:
            raise config_error(
                "fairness", "threshold",
                f"a {target.kind} target is not decided by thresholds; use reweight, dro or penalty",
            )  # fmt: skip
        attributes = select_attributes(self.config.attribute, list(groups))
        large_groups(groups, attributes, self.config.min_group_rows)

    def group_thresholds(
        self, validation: Predictions, target: Target, thresholds: Mapping[str, float]
    ) -> GroupThresholds:
        """Optimize each group's thresholds on validation."""
        config = self.config
        attributes = select_attributes(config.attribute, list(validation.groups))
        return optimize_thresholds(
            validation, target, thresholds, attributes, config.constraint, config.weight, config.min_group_rows
        )  # fmt: skip

    def section(self, groups: Groups) -> MitigationSection:
        """Return what was done, for the record."""
        return mitigation_section(
            self.config, self.config.attribute, groups, "constraint", "weight", needed=True
        )


def large_groups(
    groups: Mapping[str, NDArray[np.str_]], attributes: Sequence[str], min_rows: int
) -> tuple[NDArray[np.str_], list[str], list[str]]:
    """Return each row's group, (N,), the groups with at least ``min_rows`` rows, and the others.

    Raises ValueError for fewer than two large groups.
    """
    group_of = joined_groups([groups[name] for name in attributes])
    names, counts = np.unique(group_of, return_counts=True)
    large = [str(n) for n, count in zip(names, counts, strict=True) if count >= min_rows]
    if len(large) < 2:
        sizes = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True))
        right = f"needs two groups of {min_rows} validation rows (fairness.min_group_rows); there are {sizes}"
        raise config_error("fairness.attribute", JOIN.join(attributes), right)
    return group_of, large, [str(n) for n in names if str(n) not in large]


def optimize_thresholds(
    validation: Predictions,
    target: Target,
    thresholds: Mapping[str, float],
    attributes: Sequence[str],
    constraint: str,
    weight: float,
    min_rows: int,
) -> GroupThresholds:
    """Choose each group's thresholds on validation: the best utility less ``weight`` times the largest disparity.

    Utility: balanced accuracy (binary), mean recall (several classes), macro F1 (labels). Disparity: of the true and
    the false positive rates (``equalized_odds``), the true ones (``equal_opportunity``), the false ones
    (``predictive_equality``) or the selection rates (``demographic_parity``), highest less lowest group, averaged over
    classes. From the best of some starts (the common thresholds; each group's optimum by itself; with one threshold,
    each level of the true positive rate that all can share) coordinate ascent sets one threshold after another to its
    best candidate until none improves: deterministic, and no decision is randomized. Groups with fewer than
    ``min_rows`` rows keep the common thresholds.
    """
    group_of, large, common = large_groups(validation.groups, attributes, min_rows)
    search = _Search(validation, target, group_of, large, constraint, weight)
    judged = target.judged_classes(validation.classes)
    neutral = target.neutral_threshold(validation.classes)
    start = {name: {c: thresholds.get(c, neutral) for c in judged} for name in large}
    before = search.disparity({name: search.counts(name, values) for name, values in start.items()})
    alone = {
        name: _Search(validation, target, group_of, [name], constraint, 0.0).best([{name: start[name]}])[name]
        for name in large
    }
    starts = [start, alone]
    if len(judged) == 1:
        starts += [search.level(share) for share in np.linspace(0.05, 0.95, 19)]
    values = search.best(starts)
    after = search.disparity({name: search.counts(name, own) for name, own in values.items()})
    return GroupThresholds(
        attributes=list(attributes),
        constraint=constraint,
        weight=weight,
        values=values,
        common=common,
        disparity_common=before,
        disparity=after,
    )


@dataclass
class _Counts:
    """Of one group's rows, for each judged class: (J,) each."""

    true_positive: Array
    false_positive: Array
    positive: Array
    negative: Array


PARTS = ("true_positive", "false_positive", "positive", "negative")


class _Search:
    def __init__(
        self,
        validation: Predictions,
        target: Target,
        group_of: NDArray[np.str_],
        groups: list[str],
        constraint: str,
        weight: float,
    ) -> None:
        self.classes, self.target = validation.classes, target
        self.constraint, self.weight = constraint, weight
        self.judged = list(target.judged_classes(validation.classes))
        self.columns = [self.classes.index(name) for name in self.judged]
        self.scores = {name: validation.scores[group_of == name] for name in groups}
        self.truth = {
            name: target.indicators(validation.targets[group_of == name], len(self.classes))[:, self.columns]
            for name in groups
        }

    def counts(self, name: str, values: Mapping[str, float]) -> _Counts:
        labels = self.target.labels(self.scores[name], values)
        called = self.target.indicators(labels, len(self.classes))[:, self.columns]
        truth = self.truth[name]
        return _Counts(
            (called & truth).sum(0).astype(np.float64),
            (called & ~truth).sum(0).astype(np.float64),
            truth.sum(0).astype(np.float64),
            (~truth).sum(0).astype(np.float64),
        )

    def candidates(self, name: str, judged: str, now: float) -> NDArray[np.float64]:
        if self.target.balances_classes:
            return np.asarray(now * FACTORS)
        column = self.scores[name][:, self.classes.index(judged)]
        return np.unique(np.quantile(column, np.linspace(0, 1, CANDIDATES)))

    def level(self, share: float) -> Values:
        """Return thresholds at which each group has this true positive rate."""
        (judged,) = self.judged
        found: Values = {}
        for name, scores in self.scores.items():
            positives = scores[self.truth[name][:, 0], self.columns[0]]
            found[name] = {judged: float(np.quantile(positives, 1 - share)) if len(positives) else 0.5}
        return found

    def best(self, starts: list[Values]) -> Values:
        """Return the thresholds that coordinate ascent reaches from the best start."""
        counted = [{name: self.counts(name, own) for name, own in start.items()} for start in starts]
        first = max(range(len(starts)), key=lambda n: self.objective(counted[n]))
        values = {name: dict(own) for name, own in starts[first].items()}
        counts = counted[first]
        objective = self.objective(counts)
        for _ in range(SWEEPS):
            before = objective
            for name, own in values.items():
                for judged in self.judged:
                    for candidate in self.candidates(name, judged, own[judged]):
                        tried = {**own, judged: float(candidate)}
                        new = {**counts, name: self.counts(name, tried)}
                        if (found := self.objective(new)) > objective + 1e-12:
                            objective, counts, values[name] = found, new, tried
                            own = tried
            if objective == before:
                break
        return values

    def objective(self, counts: Mapping[str, _Counts]) -> float:
        return self.utility(counts) - self.weight * self.disparity(counts)

    def utility(self, counts: Mapping[str, _Counts]) -> float:
        each = (np.sum([getattr(c, part) for c in counts.values()], axis=0) for part in PARTS)
        return self.target.decision_utility(*each)

    def disparity(self, counts: Mapping[str, _Counts]) -> float:
        """Compute the largest disparity between groups, averaged over the classes that at least two groups have."""
        stacked = (np.stack([getattr(c, part) for c in counts.values()]) for part in PARTS)
        true_positive, false_positive, positive, negative = stacked
        true_rate = _range_of_rates(true_positive, positive)
        false_rate = _range_of_rates(false_positive, negative)
        return {
            "equalized_odds": max(true_rate, false_rate),
            "equal_opportunity": true_rate,
            "predictive_equality": false_rate,
            "demographic_parity": _range_of_rates(true_positive + false_positive, positive + negative),
        }[self.constraint]


def _range_of_rates(above_GK: Array, below_GK: Array) -> float:
    """Highest less lowest rate over the groups with enough rows, averaged over classes."""
    rated = below_GK >= MIN_RATED_ROWS
    rates = np.where(rated, above_GK / np.maximum(below_GK, 1), np.nan)
    shared = rated.sum(0) >= 2
    if not shared.any():
        return 0.0
    return float(np.mean(np.nanmax(rates[:, shared], 0) - np.nanmin(rates[:, shared], 0)))
