"""What is wrong with the data, found before anything is trained: errors stop the run in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.checks import column_checks
from core.data.checks.column_checks import LEAST_UNITS, error, warning
from core.data.row_hash import file_keys, input_keys
from core.data.labels import is_label_set, is_quantity, label_matrix
from core.data.checks.leakage import leaking_features
from core.data.splits import SplitRows, unit_codes
from core.data.types import Dataset, Finding
from core.data.coercion import format_rows, to_categories


def check_dataset(dataset: Dataset) -> list[Finding]:
    """Look at all rows before the split; give warnings and notes, raise ``ValueError`` with every error at once."""
    lost = list(column_checks.check_columns(dataset))
    if lost:
        return refuse_errors(dataset, lost)
    checks: tuple[Callable[[Dataset], Iterable[Finding]], ...] = (
        column_checks.check_target,
        column_checks.check_inputs,
        column_checks.check_files,
        column_checks.check_groups,
        column_checks.check_units,
    )
    findings = [finding for check in checks for finding in check(dataset)]
    wrong = {f.check for f in findings if f.level == "error"}
    if not wrong & {"target", "unlabelled", "infinite"}:
        findings += [f for check in (_classes, _conflicts) for f in check(dataset)]
        if "not a number" not in wrong:
            findings += leaking_features(dataset)
    return refuse_errors(dataset, findings)


def refuse_errors(dataset: Dataset, findings: list[Finding]) -> list[Finding]:
    """Raise ``ValueError`` that lists every error among the findings; else give them back."""
    errors = [f for f in findings if f.level == "error"]
    if errors:
        listed = "; ".join(f.message for f in errors)
        raise ValueError(f"{dataset.name}: {listed}")
    return findings


def _predicts_quantity(dataset: Dataset) -> bool:
    """Tell whether the target is a number on a scale, which has no classes to look for."""
    if len(dataset.roles.target) != 1 or dataset.roles.mask_classes:
        return False
    values = dataset.frame[dataset.roles.target[0]]
    return dataset.ordinal_target or (not is_label_set(values) and is_quantity(values))


def _classes(dataset: Dataset) -> Iterable[Finding]:
    """Find classes with too few units to be in every part, where the split is ours to make."""
    if dataset.split.column is not None or dataset.split.by == "time" or _predicts_quantity(dataset):
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
            dataset.roles.target[0],
            f"classes of {', '.join(dataset.roles.target)} too rare to be in all three parts: {', '.join(rare[:10])}: "
            "merge them with others, remove their rows, or bring your own split (data.split_column)",
        )


def _conflicts(dataset: Dataset) -> Iterable[Finding]:
    """Count rows with the same inputs and different answers: no model can have them all right."""
    keys = input_keys(dataset.frame, dataset.roles)
    labels, _ = label_matrix(dataset)
    order = pd.DataFrame(labels).assign(key=keys).drop_duplicates()
    conflicting = order["key"][order["key"].duplicated(keep=False)]
    if len(conflicting):
        rows = int(np.isin(keys, conflicting.to_numpy()).sum())
        yield warning(
            "conflicting rows",
            ", ".join(dataset.roles.target),
            f"{rows} rows have the inputs of another row and a different answer, which limits any model",
        )


def check_splits(dataset: Dataset, rows: SplitRows) -> list[Finding]:
    """Look for what stands in two parts, and for classes that a part lacks; raises ``ValueError`` with every error."""
    findings = [*_straddling(dataset, rows), *_repeated(dataset, rows), *_absent(dataset, rows)]
    return refuse_errors(dataset, findings)


def _straddling(dataset: Dataset, rows: SplitRows) -> Iterable[Finding]:
    unit = dataset.roles.unit
    if unit is None:
        return
    names = to_categories(dataset.frame[unit])
    seen = {part: {n for n in names[chosen] if n is not None} for part, chosen in rows.items()}
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = sorted(seen[a] & seen[b])
        if not shared:
            continue
        told = (
            f"{len(shared)} {dataset.unit_name}s are in the {a} and the {b} part "
            f"({unit}: {', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''})"
        )
        if dataset.split.by in ("time", "column") and not dataset.split.units_apart:
            yield Finding("note", "same unit", unit, f"{told}, as the split by time means it")
        else:
            yield error("same unit", unit, f"{told}: the split should keep each in one part")


def _repeated(dataset: Dataset, rows: SplitRows) -> Iterable[Finding]:
    """Find inputs of one part in another: an error where they are more than chance repeats.

    Coarse tables repeat by themselves: what stands twice among training rows of different units is the measure.
    """
    roles = dataset.roles
    keys = input_keys(dataset.frame, roles)
    if roles.image is not None and isinstance(dataset.frame[roles.image].iloc[0], str):
        keys = file_keys(dataset.frame[roles.image])
    rich = roles.image is not None or roles.signal is not None or bool(roles.text)
    train = keys[rows["train"]]
    counts = pd.Series(train).value_counts()
    chance = 0.0 if rich else float((counts[counts > 1]).sum() / len(train))
    for held_out, before in (("validation", ["train"]), ("test", ["train", "validation"])):
        known = np.concatenate([keys[rows[part]] for part in before])
        twice = np.isin(keys[rows[held_out]], known)
        share = float(twice.mean())
        if not twice.any():
            continue
        where = format_rows(dataset.frame.index[rows[held_out][twice]])
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


def _absent(dataset: Dataset, rows: SplitRows) -> Iterable[Finding]:
    if _predicts_quantity(dataset):
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
