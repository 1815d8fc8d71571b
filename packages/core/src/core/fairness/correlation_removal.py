"""Fit what is taken from numeric inputs so that none of them correlates with an attribute (fairlearn's remover)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fairlearn.preprocessing import CorrelationRemover

from core.config import config_error
from core.data.encoders.decorrelated import DecorrelatedEncoder, read_numbers
from core.fairness.subgroups import select_attributes

if TYPE_CHECKING:
    import pandas as pd

    from core.data.encoders.columns import ColumnsEncoder
    from core.data.groups import Groups
    from core.data.types import ColumnRoles


def decorrelated(
    encoder: ColumnsEncoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups, asked: str, strength: float
) -> DecorrelatedEncoder:
    """Put the removal, fitted on training rows, before an encoder.

    Missing values count as their column's mean while fitting, and stay missing. Raises ValueError where there are no
    numeric inputs, or where the attribute itself is an input, which would give back what was taken.
    """
    attributes = select_attributes(asked, list(groups.groupings))
    if not roles.numeric:
        raise config_error(
            "fairness",
            "decorrelate",
            "the data has no numeric inputs to decorrelate; use reweight, dro or penalty",
        )
    seen = [name for name in attributes if name in roles.inputs()]
    if seen:
        raise config_error(
            "fairness.attribute",
            asked or seen[0],
            f"{seen[0]} is an input itself; leave it out of the inputs",
        )
    made = DecorrelatedEncoder(encoder, tuple(roles.numeric), attributes, groups, {}, strength)
    values = read_numbers(train, made.columns)
    known = ~np.isnan(values)
    means = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    shown, names = made.indicators(train)
    remover = CorrelationRemover(sensitive_feature_ids=list(range(shown.shape[1])), alpha=1.0)
    remover.fit(np.column_stack([shown, np.where(known, values, means)]))
    taken: dict[str, Any] = {
        "names": names,
        "means": remover.sensitive_mean_.tolist(),
        "slopes": remover.beta_.tolist(),
    }
    return DecorrelatedEncoder(encoder, made.columns, attributes, groups, taken, strength)
