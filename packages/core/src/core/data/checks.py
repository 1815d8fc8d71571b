"""What is wrong with the data, found before anything is trained: errors stop the run in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.identity import file_keys, input_keys
from core.data.labels import is_label_set, is_quantity, label_matrix
from core.data.leaks import leaking_features
from core.data.splits import Rows, unit_codes
from core.data.tables import rows_of
from core.data.types import Dataset, Finding
from core.data.values import is_missing, is_numbers, named_rows, to_names, to_numbers

LEAST_UNITS = 3
"""A class needs at least one unit in each of three parts."""


def error(check: str, where: str, message: str) -> Finding:
    """Make a finding that stops the run."""
    return Finding("error", check, where, message)


def warning(check: str, where: str, message: str) -> Finding:
    """Make a finding for the record and the console."""
    return Finding("warning", check, where, message)


def check_dataset(dataset: Dataset) -> list[Finding]:
    """Look at all rows before the split; give warnings and notes, raise ``ValueError`` with every error at once."""
    lost = list(_columns(dataset))
    if lost:
        return refuse_errors(dataset, lost)
    checks: tuple[Callable[[Dataset], Iterable[Finding]], ...] = (_target, _inputs, _files, _groups, _units)
    findings = [finding for check in checks for finding in check(dataset)]
    if not any(f.check in ("target", "unlabelled") and f.level == "error" for f in findings):
        findings += [f for check in (_classes, _conflicts, leaking_features) for f in check(dataset)]
    return refuse_errors(dataset, findings)


def refuse_errors(dataset: Dataset, findings: list[Finding]) -> list[Finding]:
    """Raise ``ValueError`` that lists every error among the findings; else give them back."""
    errors = [f for f in findings if f.level == "error"]
    if errors:
        listed = "; ".join(f.message for f in errors)
        raise ValueError(f"{dataset.name}: {listed}")
    return findings


def _columns(dataset: Dataset) -> Iterable[Finding]:
    frame, fields = dataset.frame, dataset.fields
    if frame.empty:
        yield error("empty", dataset.name, "there are no rows")
    single = {"unit": fields.unit, "time": fields.time, "split column": dataset.split.column}
    roles = {"target": fields.target, "input": fields.inputs(), "sensitive": fields.sensitive}
    roles |= {role: (name,) for role, name in single.items() if name is not None}
    for role, names in roles.items():
        for name in names:
            if name not in frame:
                have = ", ".join(map(str, frame.columns[:40]))
                yield error(
                    "missing column", name, f"the {role} column {name!r} is not there; the columns are {have}"
                )
    if not fields.target:
        yield error("target", dataset.name, "no target column is named (data.target)")
    if not fields.inputs():
        yield error("inputs", dataset.name, "no input column is named")
    both = sorted(set(fields.target) & set(fields.inputs()))
    if both:
        yield error(
            "target", both[0], f"{', '.join(both)} is both target and input: leave it out of the inputs"
        )


def _target(dataset: Dataset) -> Iterable[Finding]:
    frame = dataset.frame
    for name in dataset.fields.target:
        values = frame[name]
        gone = is_missing(values)
        if gone.any():
            yield error(
                "unlabelled",
                name,
                f"the target {name!r} is empty in {rows_of(frame, gone)}: "
                "fill it in, remove the rows, or say data.drop_unlabelled=true",
            )
            continue
        if is_label_set(values):
            continue
        if is_numbers(values) and np.isinf(values.to_numpy(dtype=np.float64)).any():
            where = rows_of(frame, np.isinf(values.to_numpy(dtype=np.float64)))
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
                f"the target {name!r} is different in every row, as an identifier is: name the column of the answer",
            )


def _inputs(dataset: Dataset) -> Iterable[Finding]:
    frame, fields = dataset.frame, dataset.fields
    for name in fields.numeric:
        try:
            numbers = to_numbers(frame[name], name)
        except ValueError as told:
            yield error("not a number", name, str(told))
            continue
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            yield warning("empty column", name, f"the input {name!r} has no value in any row: leave it out")
        elif known.min() == known.max():
            yield warning(
                "constant", name, f"the input {name!r} is {known[0]:g} wherever it is given: leave it out"
            )
    for name in (*fields.categorical, *fields.text):
        distinct = frame[name].nunique()
        if distinct < 2:
            yield warning(
                "constant", name, f"the input {name!r} has {distinct} value in all rows: leave it out"
            )
        elif name in fields.categorical and distinct == len(frame) and len(frame) > 20:
            yield warning(
                "identifier",
                name,
                f"the input {name!r} is different in every row, as an identifier is: leave it out",
            )


def _files(dataset: Dataset) -> Iterable[Finding]:
    name = dataset.fields.image
    if name is None:
        return
    values = dataset.frame[name]
    gone = is_missing(values)
    if gone.any():
        yield error("no image", name, f"there is no image in {rows_of(dataset.frame, gone)}: remove the rows")
    absent = np.array([isinstance(v, str) and bool(v) and not Path(v).is_file() for v in values])
    lost = values.index[absent]
    if len(lost):
        first = values[absent].iloc[0]
        yield error(
            "missing file", name, f"{len(lost)} image files are not there ({named_rows(lost)}; first {first})"
        )


def _groups(dataset: Dataset) -> Iterable[Finding]:
    for name in dataset.fields.sensitive:
        values = dataset.frame[name]
        names = values if is_numbers(values) else pd.Series(to_names(values), index=values.index)
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


def _units(dataset: Dataset) -> Iterable[Finding]:
    name = dataset.fields.unit
    if name is None:
        return
    names = pd.Series(to_names(dataset.frame[name]), index=dataset.frame.index, dtype=object)
    gone = names.isna()
    if names.nunique() < LEAST_UNITS:
        yield error(
            "unit",
            name,
            f"the unit column {name!r} has {names.nunique()} values: three parts need at least {LEAST_UNITS} units",
        )
    if gone.any():
        yield warning(
            "unit",
            name,
            f"the unit {name!r} is missing in {rows_of(dataset.frame, gone)}: each is taken as a unit of its own",
        )


def _classes(dataset: Dataset) -> Iterable[Finding]:
    """Find classes with too few units to be in every part, where the split is ours to make."""
    target = dataset.fields.target
    if dataset.split.column is not None or dataset.split.by == "time":
        return
    if (
        len(target) == 1
        and not is_label_set(dataset.frame[target[0]])
        and is_quantity(dataset.frame[target[0]])
    ):
        return
    labels, names = label_matrix(dataset)
    codes = unit_codes(dataset)
    rare = []
    for i, name in enumerate(names):
        units = len(np.unique(codes[labels[:, i] > 0]))
        if units < LEAST_UNITS:
            rare.append(f"{name!r} ({units} {dataset.unit_name}{'s' if units != 1 else ''})")
    if rare:
        yield error(
            "rare class",
            target[0],
            f"classes of {', '.join(target)} too rare to be in all three parts: {', '.join(rare[:10])}: "
            "merge them with others, remove their rows, or bring your own split (data.split_column)",
        )


def _conflicts(dataset: Dataset) -> Iterable[Finding]:
    """Count rows with the same inputs and different answers: no model can have them all right."""
    keys = input_keys(dataset.frame, dataset.fields)
    labels, _ = label_matrix(dataset)
    order = pd.DataFrame(labels).assign(key=keys).drop_duplicates()
    conflicting = order["key"][order["key"].duplicated(keep=False)]
    if len(conflicting):
        rows = int(np.isin(keys, conflicting.to_numpy()).sum())
        yield warning(
            "conflicting rows",
            ", ".join(dataset.fields.target),
            f"{rows} rows have the inputs of another row and a different answer, which limits any model",
        )


def check_parts(dataset: Dataset, rows: Rows) -> list[Finding]:
    """Look for what stands in two parts, and for classes that a part lacks; raises ``ValueError`` with every error."""
    findings = [*_straddling(dataset, rows), *_repeated(dataset, rows), *_absent(dataset, rows)]
    return refuse_errors(dataset, findings)


def _straddling(dataset: Dataset, rows: Rows) -> Iterable[Finding]:
    unit = dataset.fields.unit
    if unit is None:
        return
    names = to_names(dataset.frame[unit])
    seen = {part: {n for n in names[chosen] if n is not None} for part, chosen in rows.items()}
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = sorted(seen[a] & seen[b])
        if not shared:
            continue
        told = (
            f"{len(shared)} {dataset.unit_name}s are in the {a} and the {b} part "
            f"({unit}: {', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''})"
        )
        by_time = dataset.split.by == "time" and not dataset.split.units_apart
        if by_time:
            yield Finding("note", "same unit", unit, f"{told}, as data.units_apart=false says")
        else:
            yield error("same unit", unit, f"{told}: the split should keep each in one part")


def _repeated(dataset: Dataset, rows: Rows) -> Iterable[Finding]:
    """Find inputs of one part in another: an error where they are more than chance repeats.

    Coarse tables repeat by themselves: what stands twice among training rows of different units is the measure.
    """
    fields = dataset.fields
    keys = input_keys(dataset.frame, fields)
    if fields.image is not None and isinstance(dataset.frame[fields.image].iloc[0], str):
        keys = file_keys(dataset.frame[fields.image])
    rich = fields.image is not None or fields.signal is not None or bool(fields.text)
    train = keys[rows["train"]]
    counts = pd.Series(train).value_counts()
    chance = 0.0 if rich else float((counts[counts > 1]).sum() / len(train))
    for held_out, before in (("validation", ["train"]), ("test", ["train", "validation"])):
        known = np.concatenate([keys[rows[part]] for part in before])
        twice = np.isin(keys[rows[held_out]], known)
        share = float(twice.mean())
        if not twice.any():
            continue
        where = named_rows(dataset.frame.index[rows[held_out][twice]])
        told = (
            f"{int(twice.sum())} of {len(twice)} {held_out} rows have exactly the inputs of a row in "
            f"{' or '.join(before)} ({where})"
        )
        if share > max(0.01, 3 * chance):
            yield error(
                "same row",
                held_out,
                f"{told}: remove the copies, or name the column that tells whose they are (data.unit)",
            )
        else:
            level = "warning" if rich else "note"
            yield Finding(level, "same row", held_out, f"{told}; so few are kept")


def _absent(dataset: Dataset, rows: Rows) -> Iterable[Finding]:
    target = dataset.fields.target
    if (
        len(target) == 1
        and not is_label_set(dataset.frame[target[0]])
        and is_quantity(dataset.frame[target[0]])
    ):
        return
    labels, names = label_matrix(dataset)
    here: dict[str, NDArray[Any]] = {
        part: np.any(labels[chosen] > 0, axis=0) for part, chosen in rows.items()
    }
    for part in ("validation", "test"):
        new = [n for n, a, b in zip(names, here["train"], here[part], strict=True) if b and not a]
        if new:
            yield error(
                "unseen class",
                part,
                f"the {part} part has classes that training lacks: {', '.join(map(repr, new[:10]))}",
            )
        lacking = [n for n, a, b in zip(names, here["train"], here[part], strict=True) if a and not b]
        if lacking:
            yield warning(
                "absent class",
                part,
                f"the {part} part has no row of {', '.join(map(repr, lacking[:10]))}: not judged there",
            )
