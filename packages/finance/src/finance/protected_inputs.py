"""What a decision on credit must not be made from: attributes that the law protects, found by their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from core.data.coercion import to_texts

if TYPE_CHECKING:
    from core.data.types import Dataset

PROTECTED = frozenset(
    (
        *("sex", "gender", "age", "birthdate", "birthday", "dob", "race", "ethnicity", "ethnic", "religion"),
        *("nationality", "foreign", "foreigner", "citizenship", "marriage", "marital", "married", "pregnant"),
        *("disability", "disabled", "orientation"),
    )
)
"""Words of a column's name. US: Equal Credit Opportunity Act, 15 U.S.C. 1691(a); EU: Charter of Rights, article 21."""
PLAIN_CODES = frozenset(("0", "1", "0.0", "1.0", "yes", "no", "true", "false", "default", "paid", "y", "n"))
"""Values of an outcome that say by themselves which is the default."""
log = logging.getLogger(__name__)


def is_protected(column: str) -> bool:
    """Return whether a column's name has a word of a protected attribute.

    >>> [is_protected(c) for c in ("foreign_worker", "AgeInYears", "Personal status & sex", "mortgage", "wages")]
    [True, True, True, False, False]
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return bool(set(re.findall(r"[a-z]+", spaced.lower())) & PROTECTED)


def without_protected(dataset: Dataset, allowed: Sequence[str]) -> Dataset:
    """Return the data without protected inputs, which is said, but for ``allowed``; raises ValueError for typos.

    A column that is listed as sensitive and as an input was asked for and stays.
    """
    roles = dataset.roles
    unknown = [c for c in allowed if c not in dataset.frame]
    if unknown:
        raise ValueError(f"task.protected_inputs: {unknown[0]!r} is no column of the data")
    out = [c for c in roles.inputs() if is_protected(c) and c not in (*allowed, *roles.sensitive)]
    if not out:
        return dataset
    names = ",".join(out)
    note = (
        f"Not used as inputs, since the law keeps them out of credit: {', '.join(out)}. To compare groups "
        f"by them: data.sensitive=[{names}]; to use them all the same: task.protected_inputs=[{names}]."
    )
    log.warning("%s", note)
    kept = {
        kind: tuple(c for c in getattr(roles, kind) if c not in out)
        for kind in ("numeric", "categorical", "text", "references")
    }
    return replace(dataset, roles=roles.with_(kept), notes=[*dataset.notes, note])


def require_plain_outcome(dataset: Dataset, positive: str | None) -> None:
    """Raise ValueError where the two values of the outcome don't say which is the default, and nobody has said it."""
    if positive is not None or len(dataset.roles.target) != 1:
        return
    column = dataset.roles.target[0]
    values = sorted({v.strip() for v in to_texts(dataset.frame[column])} - {""})
    if len(values) == 2 and not {v.lower() for v in values} <= PLAIN_CODES:
        first, second = values
        raise ValueError(
            f"data.target={column}: which of {first!r} and {second!r} is the default? Say it with "
            f"target.positive={second!r} (or {first!r}): taken the wrong way round, good clients would be refused"
        )
