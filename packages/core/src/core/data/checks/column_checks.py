"""Checks of single columns: present, readable, neither constant nor an identifier."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import format_rows, is_missing, is_numeric, to_categories, to_numbers
from core.data.labels import is_label_set, is_quantity
from core.data.types import Dataset, Finding

MIN_UNITS = 3
"""A class needs at least one unit in each of three splits."""


def error(check: str, where: str, message: str) -> Finding:
    """Return a finding that stops the run."""
    return Finding("error", check, where, message)


def warning(check: str, where: str, message: str) -> Finding:
    """Return a finding for the record and the console."""
    return Finding("warning", check, where, message)


def raise_errors(dataset: Dataset, findings: list[Finding]) -> list[Finding]:
    """Raise ``ValueError`` that lists every error among the findings; return them if there is none."""
    errors = [f for f in findings if f.level == "error"]
    if errors:
        listed = "; ".join(f.message for f in errors)
        raise ValueError(f"{dataset.name}: {listed}")
    return findings


def rows_where(frame: pd.DataFrame, mask: NDArray[np.bool_]) -> str:
    """Return the rows of a frame in which a mask is true, for a message."""
    return format_rows(frame.index[mask])


def predicts_quantity(dataset: Dataset) -> bool:
    """Return whether the target is a quantity or a grade, which has no classes to be rare or absent."""
    if len(dataset.roles.target) != 1 or dataset.roles.mask_classes:
        return False
    values = dataset.frame[dataset.roles.target[0]]
    return dataset.ordinal_target or (not is_label_set(values) and is_quantity(values))


def check_columns(dataset: Dataset) -> Iterable[Finding]:
    """Yield errors for columns that are named and absent, and for roles that exclude each other."""
    frame, roles = dataset.frame, dataset.roles
    if frame.empty:
        yield error("empty", dataset.name, "there are no rows")
    single = {"unit": roles.unit, "time": roles.time, "split column": dataset.split.column}
    named = {"target": roles.target, "input": roles.inputs(), "sensitive": roles.sensitive}
    named |= {role: (name,) for role, name in single.items() if name is not None}
    for role, names in named.items():
        for name in names:
            if name not in frame:
                have = ", ".join(map(str, frame.columns[:40]))
                yield error(
                    "missing column", name, f"the {role} column {name!r} is not there; the columns are {have}"
                )
    if not roles.target:
        yield error("target", dataset.name, "no target column is named (data.target)")
    if not roles.inputs():
        yield error("inputs", dataset.name, "no input column is named")
    both = sorted(set(roles.target) & set(roles.inputs()))
    if both:
        yield error(
            "target", both[0], f"{', '.join(both)} is both target and input: leave it out of the inputs"
        )


def check_target(dataset: Dataset) -> Iterable[Finding]:
    """Yield errors for targets that are empty, infinite, constant or an identifier."""
    frame = dataset.frame
    for name in dataset.roles.target:
        values = frame[name]
        gone = is_missing(values)
        if gone.any():
            yield error(
                "unlabeled",
                name,
                f"the target {name!r} is empty in {rows_where(frame, gone)}: "
                "fill it in, remove the rows, or set data.drop_unlabeled=true",
            )
            continue
        if dataset.roles.mask_classes or is_label_set(values):
            continue
        if is_numeric(values) and np.isinf(values.to_numpy(dtype=np.float64)).any():
            where = rows_where(frame, np.isinf(values.to_numpy(dtype=np.float64)))
            yield error("infinite", name, f"the target {name!r} is infinite in {where}")
            continue
        distinct = values.nunique()
        if distinct < 2:
            shown = repr(values.iloc[0])
            yield error(
                "target", name, f"the target {name!r} is {shown} in every row: there is nothing to learn"
            )
        elif distinct == len(values) and len(values) > 20 and not is_quantity(values):
            yield error(
                "target",
                name,
                f"the target {name!r} is different in every row, as an identifier is: name the column of the labels",
            )


def check_inputs(dataset: Dataset) -> Iterable[Finding]:
    """Yield errors for inputs that can't be read as numbers, warnings for constant and identifying ones."""
    frame, roles = dataset.frame, dataset.roles
    for name in roles.numeric:
        try:
            numbers = to_numbers(frame[name], name)
        except ValueError as fault:
            yield error("not a number", name, str(fault))
            continue
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            yield warning("empty column", name, f"the input {name!r} has no value in any row: leave it out")
        elif known.min() == known.max():
            yield warning(
                "constant", name, f"the input {name!r} is {known[0]:g} wherever it is given: leave it out"
            )
    for name in (*roles.categorical, *roles.text):
        distinct = frame[name].nunique()
        if distinct < 2:
            yield warning(
                "constant", name, f"the input {name!r} has {distinct} value in all rows: leave it out"
            )
        elif name in roles.categorical and distinct == len(frame) and len(frame) > 20:
            yield warning(
                "identifier",
                name,
                f"the input {name!r} is different in every row, as an identifier is: leave it out",
            )


def check_files(dataset: Dataset) -> Iterable[Finding]:
    """Yield errors for images and masks that are missing."""
    roles = dataset.roles
    masks = roles.target if roles.mask_classes else ()
    for name in (*masks, *(() if roles.image is None else (roles.image,))):
        yield from _images(dataset, name)


def _images(dataset: Dataset, name: str) -> Iterable[Finding]:
    values = dataset.frame[name]
    gone = is_missing(values)
    if gone.any():
        yield error(
            "no image", name, f"there is no image in {rows_where(dataset.frame, gone)}: remove the rows"
        )
    absent = np.array([isinstance(v, str) and bool(v) and not Path(v).is_file() for v in values])
    lost = values.index[absent]
    if len(lost):
        first = values[absent].iloc[0]
        yield error(
            "missing file",
            name,
            f"{len(lost)} image files are not there ({format_rows(lost)}; first {first})",
        )


def check_groups(dataset: Dataset) -> Iterable[Finding]:
    """Yield what keeps sensitive columns from being compared: empty, constant, identifying, partly missing."""
    for name in dataset.roles.sensitive:
        values = dataset.frame[name]
        names = values if is_numeric(values) else pd.Series(to_categories(values), index=values.index)
        gone, distinct = names.isna(), names.nunique()
        if distinct == 0:
            yield error("group", name, f"the sensitive column {name!r} is empty in every row: leave it out")
        elif distinct == 1:
            shown = names.dropna().iloc[0]
            yield warning(
                "group",
                name,
                f"the sensitive column {name!r} is {shown!r} in every row: no groups can be compared",
            )
        elif distinct == len(values) and len(values) > 20 and not is_quantity(values):
            yield error(
                "group",
                name,
                f"the sensitive column {name!r} is different in every row, like an identifier: name a column of groups",
            )
        if gone.any() and distinct:
            yield Finding(
                "note",
                "group",
                name,
                f"{name!r} is missing in {int(gone.sum())} rows; they are the group 'unknown'",
            )


def check_units(dataset: Dataset) -> Iterable[Finding]:
    """Yield an error for too few units to split, and a warning for rows without one."""
    name = dataset.roles.unit
    if name is None:
        return
    names = pd.Series(to_categories(dataset.frame[name]), index=dataset.frame.index, dtype=object)
    gone = names.isna().to_numpy()
    if names.nunique() < MIN_UNITS:
        yield error(
            "unit",
            name,
            f"the unit column {name!r} has {names.nunique()} values: three splits need at least {MIN_UNITS} units",
        )
    if gone.any():
        yield warning(
            "unit",
            name,
            f"the unit {name!r} is missing in {rows_where(dataset.frame, gone)}: each is taken as a unit of its own",
        )
