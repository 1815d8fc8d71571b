"""Infer the kind of target from the training rows, with the reason in a sentence."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.config import OPTIONS, build, config_error
from core.targets.labels import listed, names_of, require_columns

if TYPE_CHECKING:
    from core.data.types import ColumnRoles
    from core.targets.config import AutoTarget
    from core.targets.types import Target

FEW_NUMBERS = 20
"""Whole numbers with more distinct values than this are a quantity, not classes."""


def fit_inferred(config: AutoTarget, frame: pd.DataFrame, roles: ColumnRoles) -> Target:
    """Fit the kind of target that suits the training rows; its ``explanation`` says why.

    Raises ValueError for a key that the inferred kind does not have.

    >>> import pandas as pd
    >>> from core.data.types import ColumnRoles
    >>> from core.targets.config import AutoTarget
    >>> rows = pd.DataFrame({"grade": [0.5, 1.0, 2.5]})
    >>> target = fit_inferred(AutoTarget(), rows, ColumnRoles(target=("grade",)))
    >>> target.kind, target.explanation[:74]
    ('regression', "Column 'grade' holds numbers with fractions, so the target is a regression")
    """
    kind, reason = infer_kind(frame, roles)
    option = OPTIONS["target", kind]
    known = {f.name for f in fields(option)}
    given = {f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != f.default}
    for name, value in given.items():
        if name not in known:
            raise config_error(f"target.{name}", value, f"a {kind} target does not have this key: {reason}")
    target: Target = build(option(**given), frame, roles)
    target.explanation = f"{reason} {target.explanation}".strip()
    return target


def infer_kind(frame: pd.DataFrame, roles: ColumnRoles) -> tuple[str, str]:
    """Return the kind of target and the reason. Raises ValueError where no kind fits.

    Several columns or cells with several labels: multilabel. Two values: binary. An ordered categorical column:
    ordinal. Numbers with fractions or more than 20 distinct whole numbers: regression. Otherwise multiclass.
    """
    if not roles.target:
        raise ValueError("no target column is named; set data.target to the column to predict")
    require_columns(frame, roles.target)
    if roles.mask_classes:
        return "segmentation", f"Column {roles.target[0]!r} holds masks, so each pixel has a class."
    if roles.slots is not None:
        return (
            "intent_slots",
            f"Column {roles.slots!r} marks slots in the text, so each word is labelled too.",
        )
    if len(roles.target) > 1:
        return "multilabel", f"{len(roles.target)} target columns are named, so the target is multilabel."
    name = roles.target[0]
    column = frame[name].dropna()
    if len(column) == 0:
        raise ValueError(
            f"target column {name!r} is empty in the training rows; label rows or name another column"
        )
    if column.map(lambda v: isinstance(v, list | tuple | np.ndarray)).any():
        return "multilabel", f"Column {name!r} holds lists, so the target is multilabel."
    _, names = names_of(column)
    if len(names) < 2:
        raise ValueError(f"target column {name!r} has only the value {listed(names)!r} in the training rows")
    if len(names) == 2:
        return "binary", f"Column {name!r} has two values ({listed(names)}), so the target is binary."
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        return "ordinal", f"Column {name!r} is an ordered category, so the target is ordinal."
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    if numbers.notna().all():
        return _number(name, numbers)
    parted = sum(";" in n for n in names)
    if parted:
        return (
            "multilabel",
            f"{parted} distinct values of column {name!r} hold ';', so the target is multilabel.",
        )
    if len(names) > max(len(column) // 2, 2):
        raise ValueError(
            f"target column {name!r} has {len(names)} distinct texts in {len(column)} rows ({listed(names, 3)}): these "
            "are no classes; name another column, or set target=multiclass if they are"
        )
    return "multiclass", f"Column {name!r} has {len(names)} distinct texts, so the target is multiclass."


def _number(name: str, numbers: pd.Series) -> tuple[str, str]:
    if (numbers % 1 != 0).any():
        return "regression", f"Column {name!r} holds numbers with fractions, so the target is a regression."
    if len(numbers) > FEW_NUMBERS:
        return (
            "regression",
            f"Column {name!r} has {len(numbers)} distinct whole numbers (more than {FEW_NUMBERS}), so the target is a "
            "regression.",
        )
    return (
        "multiclass",
        f"Column {name!r} has {len(numbers)} distinct whole numbers (at most {FEW_NUMBERS}), so the target is "
        "multiclass; set target=ordinal if their order counts.",
    )
