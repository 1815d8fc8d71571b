"""Parting rows into training, validation and test: nobody in two parts, classes kept in proportion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.row_hash import hashed, input_keys
from core.data.labels import label_counts
from core.data.times import to_times
from core.data.types import Dataset, SplitPlan
from core.data.coercion import named_rows, to_names

Rows = dict[str, NDArray[np.int64]]
PARTS = ("train", "validation", "test")
_NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}


def split(dataset: Dataset) -> Rows:
    """Part the rows as the dataset's plan says: part -> (n,) int64 row numbers (positions), ascending.

    Where the fields name a unit, all its rows go to one part. Where they do not, rows with equal inputs do, so that
    no copy leaks. Labels are kept in proportion as far as whole units allow. The result is a function of the seed
    and of the values, not of the order of rows. Raises ``ValueError`` for an empty part.

    ``time``: the latest rows are the test, those before them validation; equal times stay together; ``gap`` days
    before each later part are left out (labels not known yet); later rows of a unit that an earlier part has are left
    out too, unless ``units_apart`` is false.
    """
    plan = dataset.split
    by = plan.by
    if by == "auto":
        by = "column" if plan.column else "unit" if dataset.roles.unit else "stratified"
    if by == "column":
        part = _by_column(dataset, plan)
    elif by == "time":
        part = _by_time(dataset, plan)
    elif by in ("unit", "stratified"):
        if by == "unit" and dataset.roles.unit is None:
            raise ValueError("split by unit: the data names no unit; say data.unit, or data.split=stratified")
        part = stratify(_units(dataset), label_counts(dataset), (plan.validation, plan.test), plan.seed)
    else:
        raise ValueError(f"data.split={by!r}: one of auto, column, unit, time, stratified")
    rows = {name: np.flatnonzero(part == i).astype(np.int64) for i, name in enumerate(PARTS)}
    for name, chosen in rows.items():
        if not len(chosen):
            others = ", ".join(f"{other} {len(r)}" for other, r in rows.items() if other != name)
            raise ValueError(
                f"the {name} part is empty after the split by {by} ({others} rows){_cure(by, plan)}"
            )
    return rows


def _cure(by: str, plan: SplitPlan) -> str:
    if by == "column":
        return f": give some rows {plan.column!r} = {'train'!r}, {'validation'!r} and {'test'!r}"
    if by == "time" and plan.units_apart:
        return ": every later row belongs to a unit seen earlier; data.units_apart=false keeps them"
    return ": more rows (or units) are needed, or larger data.validation and data.test"


def some_of(dataset: Dataset, rows: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Choose a share of rows, whole units, each label in proportion as far as they allow: (n,) int64, ascending."""
    if share >= 1:
        return rows
    part = stratify(_units(dataset)[rows], label_counts(dataset)[rows], (share, 0.0), seed)
    chosen: NDArray[np.int64] = rows[part == 1]
    if not len(chosen):
        raise ValueError(
            f"training.share={share}: no unit of the {len(rows):,} training rows is left; use a larger share"
        )
    return chosen


def unit_codes(dataset: Dataset) -> NDArray[np.int64]:
    """Number what the split keeps together, (N,) int64: units, or rows with equal inputs where no unit is named."""
    codes, _ = pd.factorize(_units(dataset))
    return np.asarray(codes, dtype=np.int64)


def _units(dataset: Dataset) -> NDArray[Any]:
    """Whom each row belongs to; rows without a unit, and data without units, go by their inputs. (N,) objects."""
    frame, roles = dataset.frame, dataset.roles
    if roles.unit is None:
        return input_keys(frame, roles)
    names = to_names(frame[roles.unit])
    alone = pd.isna(names)
    if alone.any():
        names[alone] = [f"\x1f{key}" for key in input_keys(frame[alone], roles)]
    return names


def _by_column(dataset: Dataset, plan: SplitPlan) -> NDArray[np.int64]:
    assert plan.column is not None
    if plan.column not in dataset.frame:
        raise ValueError(f"data.split_column: no column {plan.column!r}")
    values = to_names(dataset.frame[plan.column])
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    known = {**_NAMES, "none": -1}
    odd = [u for u in uniques if u.lower() not in known]
    if odd:
        raise ValueError(
            f"column {plan.column!r} has {', '.join(map(repr, odd[:5]))}: it should hold train, validation and "
            "test; leave rows that belong nowhere empty"
        )
    part = np.array([*(known[u.lower()] for u in uniques), -1], dtype=np.int64)[codes]
    if not (part == 1).any() and (part == 0).any():
        inside = np.flatnonzero(part == 0)
        counts = label_counts(dataset)[inside]
        cut = stratify(_units(dataset)[inside], counts, (plan.validation, 0.0), plan.seed)
        part[inside[cut == 1]] = 1
    return part


def _by_time(dataset: Dataset, plan: SplitPlan) -> NDArray[np.int64]:
    column = dataset.roles.time
    if column is None:
        raise ValueError("split by time: the data names no time; say data.time")
    times = to_times(dataset.frame[column], column)
    missing = np.isnan(times)
    if missing.any():
        raise ValueError(
            f"split by time: column {column!r} is empty in {named_rows(dataset.frame.index[missing])}: remove them"
        )
    ordered = np.sort(times)
    starts = [_start(ordered, 1.0 - plan.validation - plan.test), _start(ordered, 1.0 - plan.test)]
    part = np.searchsorted(np.array(starts), times, side="right").astype(np.int64)
    for later, start in enumerate(starts, 1):
        part[(part < later) & (part >= 0) & (times >= start - plan.gap)] = -1
    if plan.units_apart and dataset.roles.unit is not None:
        units, _ = pd.factorize(_units(dataset))
        first = np.full(units.max() + 1, 3)
        kept = part >= 0
        np.minimum.at(first, units[kept], part[kept])
        part[kept & (part > first[units])] = -1
    return part


def _start(ordered: NDArray[np.float64], share: float) -> float:
    """Time at which a part starts, so that about ``share`` of the rows lie before it and equal times together."""
    return float(ordered[min(round(share * len(ordered)), len(ordered) - 1)])


def stratify(
    units: NDArray[Any], counts: NDArray[np.float64], shares: tuple[float, float], seed: int
) -> NDArray[np.int64]:
    """Deal whole units to parts 0 (the rest), 1 and 2 (``shares``), keeping each label's share. Shapes (N,), (N, K).

    Units with equal label counts are exchangeable: each such kind is dealt in proportion. What does not divide goes,
    units with the largest share of any label first, to the part whose label and row counts come closest to what they
    should be; a label that few units have reaches every part that it can (after the greedy rule of Sechidis et al.,
    ECML 2011, for multilabel data). Returns (N,) part of each row.
    """
    codes, uniques = pd.factorize(units)
    numbers = hashed(uniques, derive_seed(seed, "split"))
    order = np.argsort(numbers, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = rank[codes]  # units numbered in their random order
    sums = np.zeros((len(uniques), counts.shape[1] + 1))
    np.add.at(sums, codes, np.column_stack([counts, np.ones(len(codes))]))
    kinds, kind_of = np.unique(sums, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    members = np.split(np.argsort(kind_of, kind="stable"), np.cumsum(np.bincount(kind_of))[:-1])
    table = _Deal(kinds, np.bincount(kind_of), np.array([1.0 - sum(shares), *shares]))
    part = np.zeros(len(uniques), np.int64)
    # large ones first, but not strictly: another seed deals a few large units otherwise
    chance = np.array([numbers[order[m[0]]] for m in members]) % np.uint64(1000) / 1000
    for kind in np.argsort(-(kinds / table.total).max(1) * (1 + chance), kind="stable"):
        part[members[kind]] = table.deal(kinds[kind], len(members[kind]))
    return part[codes]


class _Deal:
    """Counts dealt to each part so far; the last column counts rows. K labels."""

    def __init__(
        self, kinds: NDArray[np.float64], sizes: NDArray[np.int64], share: NDArray[np.float64]
    ) -> None:
        self.share = share
        self.total = np.maximum((kinds * sizes[:, None]).sum(0), 1.0)
        self.dealt = np.zeros((3, kinds.shape[1]))
        self.left = ((kinds > 0) * sizes[:, None]).sum(0)
        """Units still to be dealt that have each label."""
        weight = np.ones(kinds.shape[1])
        weight[-1] = max(kinds.shape[1] - 1, 1)  # the number of rows matters as much as all labels together
        self.weight = weight / self.total**2
        self.open = share > 0

    def deal(self, counts: NDArray[np.float64], units: int) -> list[int]:
        """Deal equal units: as many to each part as its share has whole ones, the others by need."""
        each = np.floor(self.share * units + 1e-9).astype(np.int64)
        self.dealt += each[:, None] * counts
        self.left -= (counts > 0) * int(each.sum())
        parts: list[int] = np.repeat(np.arange(3), each).tolist()
        while len(parts) < units:
            to = self._neediest(counts)
            self.dealt[to] += counts
            self.left -= counts > 0
            parts.append(to)
        return parts

    def _neediest(self, counts: NDArray[np.float64]) -> int:
        after = self.dealt + counts - self.share[:, None] * self.total
        before = after - counts
        worse = ((after**2 - before**2) * self.weight).sum(1) / np.maximum(self.share, 1e-9)
        lacking = (self.dealt == 0) & self.open[:, None] & (counts > 0)
        scarce = lacking & (self.left <= lacking.sum(0))  # each unit left is needed somewhere
        allowed = scarce.any(1) if scarce.any() else self.open
        return int(np.argmin(np.where(allowed, np.round(worse, 12), np.inf)))
