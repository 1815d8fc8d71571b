"""Splits of rows into training, validation and test: no unit in two splits, classes kept in proportion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.coercion import format_rows, to_categories
from core.data.labels import label_counts
from core.data.row_hash import input_keys, seeded_hash
from core.data.times import to_times
from core.data.types import Dataset, SplitPlan

SplitRows = dict[str, NDArray[np.int64]]
"""Split -> (n,) int64 row numbers (positions), ascending."""
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "dev": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Names of splits in columns and folders -> split."""


def split(dataset: Dataset) -> SplitRows:
    """Split the rows as the dataset's plan says: split -> (n,) int64 row numbers (positions), ascending.

    Where the roles name a unit, all its rows go to one split. Where they do not, rows with equal inputs do, so that
    no copy leaks. Labels are kept in proportion as far as whole units allow. The result is a function of the seed
    and of the values, not of the order of rows. Raises ``ValueError`` for an empty split.

    ``time``: the latest rows are the test set, those before them validation; equal times stay together; ``gap`` days
    before each later split are left out (labels not known yet); later rows of a unit that an earlier split has are
    left out too, unless ``disjoint_entities`` is false.

    >>> from core.data.types import ColumnRoles
    >>> frame = pd.DataFrame({"who": range(100), "y": [0, 1] * 50})
    >>> rows = split(Dataset(frame, ColumnRoles(target=("y",), unit="who"), "example"))
    >>> {name: (len(chosen), int(frame["y"].iloc[chosen].sum())) for name, chosen in rows.items()}
    {'train': (60, 30), 'validation': (20, 10), 'test': (20, 10)}
    """
    plan = dataset.split
    by = plan.by
    if by == "auto":
        by = "column" if plan.column else "unit" if dataset.roles.unit else "stratified"
    if by == "column":
        assigned = _by_column(dataset, plan)
    elif by == "time":
        assigned = _by_time(dataset, plan)
    elif by in ("unit", "stratified"):
        if by == "unit" and dataset.roles.unit is None:
            raise ValueError("split by unit: the data names no unit; set data.unit, or data.split=stratified")
        fractions = plan.validation_fraction, plan.test_fraction
        assigned = stratify(_units(dataset), label_counts(dataset), fractions, plan.seed)
    else:
        raise ValueError(f"data.split={by!r}: one of auto, column, unit, time, stratified")
    rows = {name: np.flatnonzero(assigned == i).astype(np.int64) for i, name in enumerate(SPLITS)}
    for name, chosen in rows.items():
        if not len(chosen):
            others = ", ".join(f"{other} {len(r)}" for other, r in rows.items() if other != name)
            raise ValueError(
                f"the {name} set is empty after the split by {by} ({others} rows){_cure(by, plan)}"
            )
    return rows


def _cure(by: str, plan: SplitPlan) -> str:
    if by == "column":
        return f": give some rows {plan.column!r} = {'train'!r}, {'validation'!r} and {'test'!r}"
    if by == "time" and plan.disjoint_entities:
        return ": every later row belongs to a unit seen earlier; data.disjoint_entities=false keeps them"
    return ": more rows (or units) are needed, or larger data.validation_fraction and data.test_fraction"


def subsample(dataset: Dataset, rows: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """Choose a fraction of rows, whole units, each label in proportion as far as they allow: (n,) int64, ascending."""
    if fraction >= 1:
        return rows
    assigned = stratify(_units(dataset)[rows], label_counts(dataset)[rows], (fraction, 0.0), seed)
    chosen: NDArray[np.int64] = rows[assigned == 1]
    if not len(chosen):
        raise ValueError(
            f"training.train_fraction={fraction}: no unit of the {len(rows):,} training rows is left; use a larger "
            "fraction"
        )
    return chosen


def unit_codes(dataset: Dataset) -> NDArray[np.int64]:
    """Number what a split keeps together, (N,) int64: units, or rows with equal inputs where no unit is named."""
    codes, _ = pd.factorize(_units(dataset))
    return np.asarray(codes, dtype=np.int64)


def _units(dataset: Dataset) -> NDArray[Any]:
    """Return whom each row belongs to, (N,) objects; rows without a unit, or data without units, by their inputs."""
    frame, roles = dataset.frame, dataset.roles
    if roles.unit is None:
        return input_keys(frame, roles)
    names = to_categories(frame[roles.unit])
    alone = pd.isna(names)
    if alone.any():
        names[alone] = [f"\x1f{key}" for key in input_keys(frame[alone], roles)]
    return names


def _by_column(dataset: Dataset, plan: SplitPlan) -> NDArray[np.int64]:
    assert plan.column is not None
    if plan.column not in dataset.frame:
        raise ValueError(f"data.split_column: no column {plan.column!r}")
    values = to_categories(dataset.frame[plan.column])
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    known = {name: SPLITS.index(split) for name, split in SPLIT_NAMES.items()} | {"none": -1}
    odd = [u for u in uniques if u.lower() not in known]
    if odd:
        raise ValueError(
            f"column {plan.column!r} has {', '.join(map(repr, odd[:5]))}: it should hold train, validation and "
            "test; leave rows that belong nowhere empty"
        )
    assigned = np.array([*(known[u.lower()] for u in uniques), -1], dtype=np.int64)[codes]
    if not (assigned == 1).any() and (assigned == 0).any():
        inside = np.flatnonzero(assigned == 0)
        counts = label_counts(dataset)[inside]
        cut = stratify(_units(dataset)[inside], counts, (plan.validation_fraction, 0.0), plan.seed)
        assigned[inside[cut == 1]] = 1
    return assigned


def _by_time(dataset: Dataset, plan: SplitPlan) -> NDArray[np.int64]:
    column = dataset.roles.time
    if column is None:
        raise ValueError("split by time: the data names no time; set data.time")
    times = to_times(dataset.frame[column], column)
    missing = np.isnan(times)
    if missing.any():
        raise ValueError(
            f"split by time: column {column!r} is empty in {format_rows(dataset.frame.index[missing])}: remove them"
        )
    ordered = np.sort(times)
    starts = [
        _start(ordered, 1.0 - plan.validation_fraction - plan.test_fraction),
        _start(ordered, 1.0 - plan.test_fraction),
    ]
    assigned = np.searchsorted(np.array(starts), times, side="right").astype(np.int64)
    for later, start in enumerate(starts, 1):
        assigned[(assigned < later) & (assigned >= 0) & (times >= start - plan.gap)] = -1
    if plan.disjoint_entities and dataset.roles.unit is not None:
        units, _ = pd.factorize(_units(dataset))
        first = np.full(units.max() + 1, 3)
        kept = assigned >= 0
        np.minimum.at(first, units[kept], assigned[kept])
        assigned[kept & (assigned > first[units])] = -1
    return assigned


def _start(ordered: NDArray[np.float64], fraction: float) -> float:
    """Return the time at which a split starts: about ``fraction`` of the rows lie before it, equal times together."""
    return float(ordered[min(round(fraction * len(ordered)), len(ordered) - 1)])


def stratify(
    units: NDArray[Any], counts: NDArray[np.float64], fractions: tuple[float, float], seed: int
) -> NDArray[np.int64]:
    """Allocate whole units to splits 0 (the rest), 1 and 2 (``fractions``), each label in proportion. (N,), (N, K).

    Units with equal label counts are exchangeable: each such kind is allocated in proportion. What does not divide
    goes, units with the largest fraction of any label first, to the split whose label and row counts come closest to
    their targets; a label that few units have reaches every split that it can (after the greedy rule of Sechidis et
    al., ECML 2011, for multilabel data). scikit-learn's StratifiedGroupKFold makes folds of equal size and takes no
    label sets. Returns the split of each row, (N,).
    """
    codes, uniques = pd.factorize(units)
    numbers = seeded_hash(uniques, derive_seed(seed, "split"))
    order = np.argsort(numbers, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = rank[codes]  # units numbered in their random order
    sums = np.zeros((len(uniques), counts.shape[1] + 1))
    np.add.at(sums, codes, np.column_stack([counts, np.ones(len(codes))]))
    kinds, kind_of = np.unique(sums, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    members = np.split(np.argsort(kind_of, kind="stable"), np.cumsum(np.bincount(kind_of))[:-1])
    allocator = StratifiedAllocator(kinds, np.bincount(kind_of), np.array([1.0 - sum(fractions), *fractions]))
    assigned = np.zeros(len(uniques), np.int64)
    # large ones first, but not strictly: with another seed a few large units go elsewhere
    chance = np.array([numbers[order[m[0]]] for m in members]) % np.uint64(1000) / 1000
    for kind in np.argsort(-(kinds / allocator.total).max(1) * (1 + chance), kind="stable"):
        assigned[members[kind]] = allocator.allocate(kinds[kind], len(members[kind]))
    return assigned[codes]


class StratifiedAllocator:
    """Label counts allocated to each split so far; the last column counts rows. K labels."""

    def __init__(
        self, kinds: NDArray[np.float64], sizes: NDArray[np.int64], fractions: NDArray[np.float64]
    ) -> None:
        """Count the labels of ``kinds`` of units, (kinds, K + 1), of which there are ``sizes``, (kinds,)."""
        self.fractions = fractions
        self.total = np.maximum((kinds * sizes[:, None]).sum(0), 1.0)
        self.allocated = np.zeros((3, kinds.shape[1]))
        self.remaining = ((kinds > 0) * sizes[:, None]).sum(0)
        """Units still to be allocated that have each label."""
        weight = np.ones(kinds.shape[1])
        weight[-1] = max(kinds.shape[1] - 1, 1)  # the number of rows matters as much as all labels together
        self.weight = weight / self.total**2
        self.open = fractions > 0

    def allocate(self, counts: NDArray[np.float64], units: int) -> list[int]:
        """Return a split for each of some equal units: whole multiples by fraction, the others by deficit."""
        each = np.floor(self.fractions * units + 1e-9).astype(np.int64)
        self.allocated += each[:, None] * counts
        self.remaining -= (counts > 0) * int(each.sum())
        chosen_splits: list[int] = np.repeat(np.arange(3), each).tolist()
        while len(chosen_splits) < units:
            to = self._largest_deficit(counts)
            self.allocated[to] += counts
            self.remaining -= counts > 0
            chosen_splits.append(to)
        return chosen_splits

    def _largest_deficit(self, counts: NDArray[np.float64]) -> int:
        after = self.allocated + counts - self.fractions[:, None] * self.total
        before = after - counts
        worse = ((after**2 - before**2) * self.weight).sum(1) / np.maximum(self.fractions, 1e-9)
        lacking = (self.allocated == 0) & self.open[:, None] & (counts > 0)
        scarce = lacking & (self.remaining <= lacking.sum(0))  # each unit left is needed somewhere
        allowed = scarce.any(1) if scarce.any() else self.open
        return int(np.argmin(np.where(allowed, np.round(worse, 12), np.inf)))
