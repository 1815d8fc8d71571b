"""Checks of all rows before the split: errors stop the run in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from core.data.checks import column_checks
from core.data.checks.column_checks import MIN_UNITS, error, predicts_quantity, raise_errors, warning
from core.data.checks.leakage import leaking_features
from core.data.labels import label_matrix
from core.data.row_hash import input_keys
from core.data.splits import unit_codes
from core.data.types import Dataset, Finding


def check_dataset(dataset: Dataset) -> list[Finding]:
    """Check all rows before the split; returns warnings and notes, raises ``ValueError`` with every error at once."""
    lost = list(column_checks.check_columns(dataset))
    if lost:
        return raise_errors(dataset, lost)
    checks: tuple[Callable[[Dataset], Iterable[Finding]], ...] = (
        column_checks.check_target,
        column_checks.check_inputs,
        column_checks.check_files,
        column_checks.check_groups,
        column_checks.check_units,
    )
    findings = [finding for check in checks for finding in check(dataset)]
    wrong = {f.check for f in findings if f.level == "error"}
    if not wrong & {"target", "unlabeled", "infinite"}:
        findings += [f for check in (_classes, _conflicts) for f in check(dataset)]
        if "not a number" not in wrong:
            findings += leaking_features(dataset)
    return raise_errors(dataset, findings)


def _classes(dataset: Dataset) -> Iterable[Finding]:
    """Find classes with too few units to be in every split, where the split is ours to make."""
    if dataset.split.column is not None or dataset.split.by == "time" or predicts_quantity(dataset):
        return
    labels, names = label_matrix(dataset)
    codes = unit_codes(dataset)
    rare = []
    for i, name in enumerate(names):
        units = len(np.unique(codes[labels[:, i] > 0]))
        if units < MIN_UNITS:
            rare.append(f"{name!r} ({units} {dataset.unit_name}{'s' if units != 1 else ''})")
    if rare:
        yield error(
            "rare class",
            dataset.roles.target[0],
            f"classes of {', '.join(dataset.roles.target)} too rare to be in all three splits: {', '.join(rare[:10])}: "
            "merge them with others, remove their rows, or bring your own split (data.split_column)",
        )


def _conflicts(dataset: Dataset) -> Iterable[Finding]:
    """Count rows with the same inputs and different labels: no model can have them all right."""
    keys = input_keys(dataset.frame, dataset.roles)
    labels, _ = label_matrix(dataset)
    order = pd.DataFrame(labels).assign(key=keys).drop_duplicates()
    conflicting = order["key"][order["key"].duplicated(keep=False)]
    if len(conflicting):
        rows = int(np.isin(keys, conflicting.to_numpy()).sum())
        yield warning(
            "conflicting rows",
            ", ".join(dataset.roles.target),
            f"{rows} rows have the inputs of another row and a different label, which limits any model",
        )
