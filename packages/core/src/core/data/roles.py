"""The role of each column: what the user named, checked against the table, and what is inferred of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype

from core.data.coercion import is_numeric, odd_values
from core.data.types import ColumnRoles

_IDENTIFIER = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|nr|no|number|code|row_name)$|Id$|ID$|^unnamed", re.I
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?$|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}( .*)?$")
_ISSUED = r"[A-Z]{0,2}\d{2,3}"
_CODES = 20  # a column with fewer distinct numbers may well hold codes, some of them letters
WORDS_OF_TEXT = 4.0
"""Strings with at least this many words on average, and mostly different, are text."""


def require_columns(frame: pd.DataFrame, named: Mapping[str, Sequence[str]], path: Path) -> None:
    """Raise ``ValueError`` for column names that the table lacks, all in one message with the key and close names."""
    have = [str(c) for c in frame.columns]
    faults = []
    for key, columns in named.items():
        for column in columns:
            if column not in have:
                near = get_close_matches(column, have, n=2, cutoff=0.5)
                faults.append(
                    f"{key}: no column {column!r}"
                    + (f" (meant {' or '.join(map(repr, near))}?)" if near else "")
                )
    if faults:
        shown = ", ".join(have[:40]) + (f" and {len(have) - 40} more" if len(have) > 40 else "")
        raise ValueError(f"{path}: {'; '.join(faults)}. The table has the columns {shown}")


def infer_roles(
    frame: pd.DataFrame, given: ColumnRoles, dropped_columns: Sequence[str] = ()
) -> tuple[ColumnRoles, list[str]]:
    """Infer the role of every column without one: numeric, categorical, text, image, signal, or no input.

    Returns the completed roles and a sentence for each decision worth reporting. Columns that are empty, constant,
    dates or identifiers become no input. Raises ``ValueError`` for a column of numbers with a few cells of text.

    >>> frame = pd.DataFrame({"ill": [0, 1] * 30, "dose": [0.5, 1.5, 2.5] * 20, "ward": ["A", "B"] * 30})
    >>> roles, notes = infer_roles(frame, ColumnRoles(target=("ill",)))
    >>> roles.numeric, roles.categorical
    (('dose',), ('ward',))
    >>> notes
    ['Inferred as numeric from the values: dose.', 'Inferred as categorical from the values: ward.']
    """
    taken = {*given.inputs(), *given.target, *given.sensitive, given.unit, given.time, *dropped_columns}
    inferred: dict[str, list[str]] = {"numeric": [], "categorical": [], "text": [], "image": [], "signal": []}
    dropped: list[str] = []
    for column in frame.columns:
        if column in taken:
            continue
        role, why = _role(frame[column], str(column))
        if role is None:
            dropped.append(f"{column} ({why})")
        else:
            inferred[role].append(str(column))
    notes = []
    for single in ("image", "signal"):
        if len(inferred[single]) > 1 or (inferred[single] and getattr(given, single)):
            extra = inferred[single][0 if getattr(given, single) else 1 :]
            dropped += [f"{c} (a second {single} column)" for c in extra]
            inferred[single] = [c for c in inferred[single] if c not in extra]
    for role, columns in inferred.items():
        if columns:
            notes.append(f"Inferred as {role} from the values: {', '.join(columns)}.")
    if dropped:
        notes.append(f"Not used as inputs: {', '.join(dropped)}.")
    changes: dict[str, Any] = {
        k: (*getattr(given, k), *inferred[k]) for k in ("numeric", "categorical", "text")
    }
    changes |= {k: inferred[k][0] for k in ("image", "signal") if inferred[k]}
    return given.with_(changes), notes


def _role(values: pd.Series[Any], column: str) -> tuple[str | None, str]:
    """Return the role of one column, or None and why."""
    present = values.dropna()
    if present.empty:
        return None, "no value"
    if is_datetime64_any_dtype(present.dtype):
        return None, "dates; name it as data.time if it orders the rows"
    first = present.iloc[0]
    if isinstance(first, bytes) or (isinstance(first, dict) and "bytes" in first):
        return "image", ""
    if isinstance(first, list | tuple | np.ndarray):
        numbers = np.asarray(first).dtype.kind in "iufb"
        return ("signal", "") if numbers else (None, "lists")
    codes, uniques = pd.factorize(present)
    distinct = len(uniques)
    if distinct == 1:
        return None, "one value only"
    if is_bool_dtype(present.dtype):
        return "categorical", ""
    if is_numeric(present):
        whole = bool((present == np.floor(present)).all())
        run = whole and distinct == len(present) and present.max() - present.min() + 1 == distinct
        if whole and distinct == len(present) and len(present) > 20 and (run or _IDENTIFIER.search(column)):
            return None, "a different number in every row: an identifier"
        return "numeric", ""
    strings = pd.Series(uniques, dtype=object).astype("str").str.strip()
    _refuse_stray_text(present, column, strings, codes)
    if strings.str.match(_DATE).all():
        return None, "dates; name it as data.time if it orders the rows"
    words = float((strings.str.count(r"\s+") + 1).to_numpy()[codes].mean())
    if words >= WORDS_OF_TEXT and distinct > min(50, 0.5 * len(present)):
        return "text", ""
    if distinct == len(present) and len(present) > 20:
        return None, "a different value in every row: an identifier"
    if distinct > max(50, 0.5 * len(present)):
        return (
            None,
            "almost as many values as rows, too short for text; list it in data.text or data.categorical",
        )
    return "categorical", ""


def _refuse_stray_text(
    present: pd.Series[Any], column: str, strings: pd.Series[Any], codes: NDArray[np.int64]
) -> None:
    """Raise ``ValueError`` for measurements of which some cells hold text, which would turn them into categories."""
    text = pd.to_numeric(strings, errors="coerce").isna().to_numpy()
    numbers = int((~text).sum())
    if numbers <= _CODES or not text.any() or text[codes].mean() > 0.5:
        return
    if strings.str.fullmatch(_ISSUED).all():
        return  # 250, 401, E11, V57: codes of one length and make, some of them digits alone
    cure = "correct them, list what means missing in data.missing, or the column in data.categorical"
    raise ValueError(odd_values(present, text[codes], column, cure))
