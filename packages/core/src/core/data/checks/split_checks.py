"""Checks of the split: units or rows in two splits, classes that a split lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.checks.column_checks import error, predicts_quantity, raise_errors, warning
from core.data.coercion import format_rows, to_categories
from core.data.labels import label_matrix
from core.data.row_hash import file_keys, input_keys
from core.data.splits import SplitRows
from core.data.types import Dataset, Finding

SharedUnits = Literal["named", "counted", "counted_by_time", "refused"]
"""What becomes of units in two splits; ``counted_by_time``: refused, but where the split is by time."""


def check_splits(dataset: Dataset, rows: SplitRows, policy: SharedUnits = "named") -> list[Finding]:
    """Check for what is in two splits, and for classes that one lacks; raises ``ValueError`` with every error.

    ``policy`` on units in two splits: under a guarantee they are refused, or declared and only counted; never named.
    """
    findings = [
        *_shared_units(dataset, rows, policy),
        *_duplicates(dataset, rows),
        *_absent_classes(dataset, rows),
    ]
    return raise_errors(dataset, findings)


def _shared_units(dataset: Dataset, rows: SplitRows, policy: SharedUnits) -> Iterable[Finding]:
    unit = dataset.roles.unit
    if unit is None:
        return
    names = to_categories(dataset.frame[unit])
    seen = {split: {n for n in names[chosen] if n is not None} for split, chosen in rows.items()}
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = sorted(seen[a] & seen[b])
        if not shared:
            continue
        count = f"{len(shared)} {dataset.unit_name}s are in the {a} and the {b} set"
        by_time = dataset.split.by == "time" and not dataset.split.disjoint_entities
        if policy == "refused" or (policy == "counted_by_time" and not by_time):
            yield error(
                "same unit",
                unit,
                f"{count}: privacy=dp protects training rows alone, so their other rows would be read without "
                f"protection; keep the rows of each {dataset.unit_name} in one set (data.disjoint_entities=true, or "
                "another split), or say that you know (privacy.shared_units=declare)",
            )
            continue
        few = f"{', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}"
        message = f"{count} ({unit}: {few})" if policy == "named" else count
        if dataset.split.by in ("time", "column") and not dataset.split.disjoint_entities:
            yield Finding("note", "same unit", unit, f"{message}, as the split by time intends")
        else:
            yield error("same unit", unit, f"{message}: the split should keep each in one set")


def _duplicates(dataset: Dataset, rows: SplitRows) -> Iterable[Finding]:
    """Find inputs of one split in another: an error where they are more than chance repeats.

    Coarse tables repeat by themselves: the share of repeats among training rows of different units is the reference.
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
        known = np.concatenate([keys[rows[split]] for split in before])
        twice = np.isin(keys[rows[held_out]], known)
        share = float(twice.mean())
        if not twice.any():
            continue
        where = format_rows(dataset.frame.index[rows[held_out][twice]])
        message = (
            f"{int(twice.sum())} of {len(twice)} {held_out} rows have exactly the inputs of a row in "
            f"{' or '.join(before)} ({where})"
        )
        if share > max(0.01, 3 * chance):
            yield error(
                "same row",
                held_out,
                f"{message}: remove the copies, or name the column that says whose they are (data.unit)",
            )
        else:
            level = "warning" if rich else "note"
            yield Finding(level, "same row", held_out, f"{message}; so few are kept")


def _absent_classes(dataset: Dataset, rows: SplitRows) -> Iterable[Finding]:
    if predicts_quantity(dataset):
        return
    labels, names = label_matrix(dataset)
    here: dict[str, NDArray[Any]] = {
        split: np.any(labels[chosen] > 0, axis=0) for split, chosen in rows.items()
    }
    for split in ("validation", "test"):
        new = [n for n, a, b in zip(names, here["train"], here[split], strict=True) if b and not a]
        if new:
            yield error(
                "unseen class",
                split,
                f"the {split} set has classes that the training set lacks: {', '.join(map(repr, new[:10]))}",
            )
        lacking = [n for n, a, b in zip(names, here["train"], here[split], strict=True) if a and not b]
        if lacking:
            yield warning(
                "absent class",
                split,
                f"the {split} set has no row of {', '.join(map(repr, lacking[:10]))}: not measured there",
            )
