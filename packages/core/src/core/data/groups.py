"""Sensitive attributes as named groups: bins of numbers, names of codes, missing as ``unknown``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numeric, to_categories, to_numbers

if TYPE_CHECKING:
    from core.data.types import Dataset, Json

AGE_EDGES = (30.0, 45.0, 60.0, 75.0)
UNKNOWN = "unknown"
OTHER = "other"
_AGE = re.compile(r"(^|[_\W])age($|[_\W])|[a-z]Age$|^AGE", re.I)


def bin_labels(
    values: NDArray[np.float64], edges: Sequence[float], whole: bool = True, nonnegative: bool = True
) -> NDArray[np.object_]:
    """Return the name of each number's bin, of whole numbers or not. Shape (N,).

    A number on an edge belongs to the bin that it starts; NaN is ``unknown``. ``nonnegative``: the first bin
    starts at 0 rather than being open.

    >>> bin_labels(np.array([7.0, 30.0, 80.0, np.nan]), (30, 45, 75)).tolist()
    ['0-29', '30-44', '75+', 'unknown']
    >>> bin_labels(np.array([18.4, 18.5]), (18.5, 25.0), whole=False).tolist()
    ['under 18.5', '18.5-25']
    """
    shown = np.array([*_bin_names(edges, whole, nonnegative), UNKNOWN], dtype=object)
    codes = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
    return np.asarray(shown[np.where(np.isnan(values), len(shown) - 1, codes)], dtype=object)


def _bin_names(edges: Sequence[float], whole: bool, nonnegative: bool) -> list[str]:
    shown = [f"{e:g}" for e in edges]
    if not edges:
        return ["all"]
    if whole:
        low = f"0-{edges[0] - 1:g}" if nonnegative and edges[0] > 1 else f"under {shown[0]}"
        middle = [f"{a:g}-{b - 1:g}" if b - 1 > a else f"{a:g}" for a, b in pairwise(edges)]
        return [low, *middle, f"{shown[-1]}+"]
    middle = [f"{a}-{b}" for a, b in pairwise(shown)]
    return [f"under {shown[0]}", *middle, f"{shown[-1]} and over"]


@dataclass(frozen=True)
class Grouping:
    """How one sensitive column becomes groups."""

    edges: tuple[float, ...] | None = None
    """Inner bin edges of a number; None: the values themselves."""
    whole: bool = False
    nonnegative: bool = False
    names: tuple[tuple[str, str], ...] = ()
    """(code, name shown)"""
    kept: tuple[str, ...] = ()
    """Names seen in training; others are ``other``."""


class Groups:
    """The groups of every sensitive column, fitted on the training set so that all splits use the same."""

    def __init__(self, groupings: Mapping[str, Grouping]) -> None:
        self.groupings = dict(groupings)

    @classmethod
    def fit(cls, frame: pd.DataFrame, dataset: Dataset, most: int = 20) -> Groups:
        """Fit the groups to training rows: given bin edges, age groups, quartiles, or the ``most`` frequent values."""
        groupings = {}
        for column in dataset.roles.sensitive:
            values, edges = frame[column], dataset.group_edges.get(column)
            codes = dataset.group_names.get(column, {})
            if edges is not None or (is_numeric(values) and not codes and values.nunique() > most / 2):
                groupings[column] = _binned(to_numbers(values, column), column, edges)
                continue
            named = to_categories(values)
            shown = pd.Series([codes.get(v, v) for v in named if v is not None], dtype=object)
            kept = sorted(str(v) for v in shown.value_counts().index[:most])
            groupings[column] = Grouping(names=tuple(sorted(codes.items())), kept=tuple(kept))
        return cls(groupings)

    def names(self, frame: pd.DataFrame) -> dict[str, NDArray[np.str_]]:
        """Return the group of each row: column -> (N,) strings. A column that is not there has no groups."""
        return {
            column: _named(frame[column], column, grouping).astype(np.str_)
            for column, grouping in self.groupings.items()
            if column in frame
        }

    def categories(self, column: str) -> tuple[str, ...]:
        """Return every name that a column's groups can have, in order; a row's code is its index in this list."""
        grouping = self.groupings[column]
        if grouping.edges is not None:
            return (*_bin_names(grouping.edges, grouping.whole, grouping.nonnegative), UNKNOWN)
        extra = [name for name in (OTHER, UNKNOWN) if name not in grouping.kept]
        return (*grouping.kept, *extra)

    def codes(self, names: Mapping[str, NDArray[np.str_]]) -> dict[str, NDArray[np.int64]]:
        """Return the groups as codes: column -> (N,) int64 index in ``categories``."""
        found = {}
        for column, values in names.items():
            at = {name: i for i, name in enumerate(self.categories(column))}
            found[column] = np.array([at[str(v)] for v in values], dtype=np.int64)
        return found

    def state(self) -> dict[str, Json]:
        """Return what ``Groups.restore`` needs, as JSON."""
        return {
            column: {
                "edges": None if g.edges is None else list(g.edges),
                "whole": g.whole,
                "nonnegative": g.nonnegative,
                "names": [list(pair) for pair in g.names],
                "kept": list(g.kept),
            }
            for column, g in self.groupings.items()
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> Groups:
        """Rebuild from ``state()``."""
        return cls(
            {
                column: Grouping(
                    None if g["edges"] is None else tuple(g["edges"]),
                    g["whole"],
                    g["nonnegative"],
                    tuple((a, b) for a, b in g["names"]),
                    tuple(g["kept"]),
                )
                for column, g in state.items()
            }
        )


def _binned(numbers: NDArray[np.float64], column: str, edges: Sequence[float] | None) -> Grouping:
    known = numbers[~np.isnan(numbers)]
    if edges is None:
        if _AGE.search(column) and len(known) and known.min() >= 0 and known.max() <= 130:
            edges = AGE_EDGES
        else:
            edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75])).tolist() if len(known) else []
    if sorted(set(edges)) != list(edges):
        raise ValueError(f"data.bin_edges: the edges of {column!r} should rise: {list(edges)}")
    whole = bool((known == np.floor(known)).all()) and all(float(e).is_integer() for e in edges)
    return Grouping(tuple(float(e) for e in edges), whole, bool((known >= 0).all()))


def _named(values: pd.Series[Any], column: str, grouping: Grouping) -> NDArray[np.object_]:
    if grouping.edges is not None:
        return bin_labels(to_numbers(values, column), grouping.edges, grouping.whole, grouping.nonnegative)
    names, kept = dict(grouping.names), set(grouping.kept)
    codes, uniques = pd.factorize(to_categories(values), use_na_sentinel=True)
    shown = [names.get(u, u) for u in uniques]
    table = np.array([*(s if s in kept else OTHER for s in shown), UNKNOWN], dtype=object)
    return table[codes]
