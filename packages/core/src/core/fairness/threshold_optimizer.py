"""Thresholds of their own for groups: chosen on validation after training, obeyed wherever rows are decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import config_error
from core.targets.intersections import JOIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.targets.types import Array, Labels, Predictions, Target

KINDS = ("binary", "multiclass", "multilabel")
CANDIDATES = 40
"""Thresholds tried for a group: quantiles of its scores, so that no single row decides."""
FACTORS = 2.0 ** np.array([-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0])
"""With several classes: what a class's threshold is multiplied by."""
SWEEPS = 5
RATED = 10
"""Rows of a class, and of the others, that a group's rates of it need to count in the gap."""


def decide_by_group(
    target: Target,
    scores: Array,
    thresholds: Mapping[str, float] | None,
    by_group: Mapping[str, Any] | None,
    groups: Mapping[str, NDArray[np.str_]],
) -> Labels:
    """Decide rows by their group's thresholds (``by_group`` as ``choose`` gave it), others by the common ones.

    Raises ValueError where the thresholds go by an attribute that the rows do not have.
    """
    labels = target.labels(scores, thresholds)
    if by_group is None:
        return labels
    missing = [name for name in by_group["attributes"] if name not in groups]
    if missing:
        raise ValueError(
            f"column {missing[0]!r}: not in the table; the run decides each group of it by thresholds of its own "
            "(fairness=threshold), so it must be known of every row"
        )
    whose = joined([groups[name] for name in by_group["attributes"]])
    for name, own in by_group["values"].items():
        rows = np.flatnonzero(whose == name)
        if len(rows):
            labels[rows] = target.labels(scores[rows], own)
    return labels


def joined(columns: Sequence[NDArray[np.str_]]) -> NDArray[np.str_]:
    """Name the group of each row by all attributes together, (N,)."""
    if len(columns) == 1:
        return columns[0]
    return np.asarray([JOIN.join(parts) for parts in zip(*columns, strict=True)], np.str_)


def large_groups(
    groups: Mapping[str, NDArray[np.str_]], attributes: Sequence[str], minimum: int
) -> tuple[NDArray[np.str_], list[str], list[str]]:
    """Name each row's group, (N,), the groups with at least ``minimum`` rows, and the others; ValueError for one."""
    whose = joined([groups[name] for name in attributes])
    names, counts = np.unique(whose, return_counts=True)
    own = [str(n) for n, count in zip(names, counts, strict=True) if count >= minimum]
    if len(own) < 2:
        sizes = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True))
        right = f"needs two groups of {minimum} validation rows (fairness.minimum); there are {sizes}"
        raise config_error("fairness.attribute", JOIN.join(attributes), right)
    return whose, own, [str(n) for n in names if str(n) not in own]


@dataclass
class _Counts:
    """Of one group's rows, for each judged class: (K,) each."""

    found: Array
    config_error: Array
    truly: Array
    rest: Array

    @classmethod
    def of(cls, labels: Labels, targets: Labels, kind: str, classes: int) -> _Counts:
        if kind == "multilabel":
            called, truth = labels > 0, targets > 0
        else:
            judged = np.array([1]) if kind == "binary" else np.arange(classes)
            called, truth = labels[:, None] == judged, targets[:, None] == judged
        return cls(
            (called & truth).sum(0).astype(np.float64),
            (called & ~truth).sum(0).astype(np.float64),
            truth.sum(0).astype(np.float64),
            (~truth).sum(0).astype(np.float64),
        )


def optimize_thresholds(
    validation: Predictions,
    target: Target,
    thresholds: Mapping[str, float],
    attributes: Sequence[str],
    notion: str,
    strength: float,
    minimum: int,
) -> dict[str, Any]:
    """Choose each group's thresholds on validation: the best utility less ``strength`` times the widest gap.

    Utility: balanced accuracy (binary), mean recall (several classes), macro F1 (labels). Gap: of the true and the
    false positive rates (``equalized_odds``), the true ones (``equal_opportunity``), the false ones
    (``predictive_equality``) or the shares called (``demographic_parity``), highest less lowest group, averaged over
    classes. From the best of some beginnings (the common thresholds; each group's best by itself; with one threshold,
    each level of the true positive rate that all can share) one threshold after another is set to its best candidate
    until none improves: deterministic, and no answer is left to chance. Groups with fewer than ``minimum`` rows keep
    the common thresholds.
    """
    whose, own, common = large_groups(validation.groups, attributes, minimum)
    label = JOIN.join(attributes)
    search = _Search(validation, target, whose, own, notion, strength)
    start = {name: _complete(validation, thresholds) for name in own}
    before = search.gap({name: search.counts(name, values) for name, values in start.items()})
    alone = {
        name: _Search(validation, target, whose, [name], notion, 0.0).best([{name: start[name]}])[name]
        for name in own
    }
    begins = [start, alone]
    if len(search.judged) == 1:
        begins += [search.level(share) for share in np.linspace(0.05, 0.95, 19)]
    values = search.best(begins)
    after = search.gap({name: search.counts(name, own_values) for name, own_values in values.items()})
    return {
        "attribute": label,
        "attributes": list(attributes),
        "notion": notion,
        "strength": strength,
        "values": values,
        "common": common,
        "gap_common": before,
        "gap": after,
        "chosen_on": "validation",
    }


def _complete(validation: Predictions, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Name a threshold for each class that has one, also where the common rule is the highest probability."""
    classes = validation.classes
    if validation.kind == "binary":
        return {classes[1]: thresholds.get(classes[1], 0.5)}
    usual = 1 / len(classes) if validation.kind == "multiclass" else 0.5
    return {name: thresholds.get(name, usual) for name in classes}


Values = dict[str, dict[str, float]]
"""Group -> class -> threshold."""


class _Search:
    def __init__(
        self,
        validation: Predictions,
        target: Target,
        whose: NDArray[np.str_],
        own: list[str],
        notion: str,
        strength: float,
    ) -> None:
        self.kind, self.classes = validation.kind, validation.classes
        self.target, self.notion, self.strength = target, notion, strength
        self.judged = list(validation.classes[1:] if self.kind == "binary" else validation.classes)
        self.scores = {name: validation.scores[whose == name] for name in own}
        self.targets = {name: validation.targets[whose == name] for name in own}

    def counts(self, name: str, values: Mapping[str, float]) -> _Counts:
        labels = self.target.labels(self.scores[name], values)
        return _Counts.of(labels, self.targets[name], self.kind, len(self.classes))

    def candidates(self, name: str, judged: str, now: float) -> NDArray[np.float64]:
        if self.kind == "multiclass":
            return np.asarray(now * FACTORS)
        column = self.scores[name][:, self.classes.index(judged)]
        return np.unique(np.quantile(column, np.linspace(0, 1, CANDIDATES)))

    def level(self, share: float) -> Values:
        """Set each group's threshold so that this share of its positives is found."""
        (judged,) = self.judged
        column = self.classes.index(judged)
        found: Values = {}
        for name, scores in self.scores.items():
            positives = scores[self.targets[name] == 1, column]
            found[name] = {judged: float(np.quantile(positives, 1 - share)) if len(positives) else 0.5}
        return found

    def best(self, begins: list[Values]) -> Values:
        """Climb from the best beginning."""
        counted = [{name: self.counts(name, own) for name, own in begin.items()} for begin in begins]
        first = max(range(len(begins)), key=lambda n: self.worth(counted[n]))
        values = {name: dict(own) for name, own in begins[first].items()}
        counts = counted[first]
        worth = self.worth(counts)
        for _ in range(SWEEPS):
            before = worth
            for name, own in values.items():
                for judged in self.judged:
                    for candidate in self.candidates(name, judged, own[judged]):
                        tried = {**own, judged: float(candidate)}
                        new = {**counts, name: self.counts(name, tried)}
                        if (found := self.worth(new)) > worth + 1e-12:
                            worth, counts, values[name] = found, new, tried
                            own = tried
            if worth == before:
                break
        return values

    def worth(self, counts: Mapping[str, _Counts]) -> float:
        return self.utility(counts) - self.strength * self.gap(counts)

    def utility(self, counts: Mapping[str, _Counts]) -> float:
        found, wrong_, truly, rest = (
            np.sum([getattr(c, part) for c in counts.values()], axis=0)
            for part in ("found", "wrong", "truly", "rest")
        )
        recall = found / np.maximum(truly, 1)
        if self.kind == "binary":
            return float((recall + 1 - wrong_ / np.maximum(rest, 1))[0] / 2)
        if self.kind == "multilabel":
            return float(np.mean(2 * found / np.maximum(found + wrong_ + truly, 1)))
        return float(recall[truly > 0].mean())

    def gap(self, counts: Mapping[str, _Counts]) -> float:
        """Give the widest gap between groups, averaged over the classes that at least two groups have."""
        stacked = {
            part: np.stack([getattr(c, part) for c in counts.values()])
            for part in ("found", "wrong", "truly", "rest")
        }
        found, wrong_, truly, rest = (stacked[part] for part in ("found", "wrong", "truly", "rest"))
        true_rate = _spread(found, truly)
        false_rate = _spread(wrong_, rest)
        return {
            "equalized_odds": max(true_rate, false_rate),
            "equal_opportunity": true_rate,
            "predictive_equality": false_rate,
            "demographic_parity": _spread(found + wrong_, truly + rest),
        }[self.notion]


def _spread(above_GK: Array, below_GK: Array) -> float:
    """Highest less lowest rate over the groups with enough rows, averaged over classes."""
    rated = below_GK >= RATED
    rates = np.where(rated, above_GK / np.maximum(below_GK, 1), np.nan)
    shared = rated.sum(0) >= 2
    if not shared.any():
        return 0.0
    return float(np.mean(np.nanmax(rates[:, shared], 0) - np.nanmin(rates[:, shared], 0)))
