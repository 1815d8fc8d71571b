"""Removal of what correlates with an attribute from numeric inputs, fitted by fairlearn's CorrelationRemover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fairlearn.preprocessing import CorrelationRemover

from core.config import config_error
from core.data.encoders.decorrelated import DecorrelatedEncoder, read_numbers
from core.fairness.config import DecorrelateConfig
from core.fairness.mitigation import NoMitigation, mitigation_section
from core.fairness.subgroups import select_attributes

if TYPE_CHECKING:
    import pandas as pd

    from core.data.groups import Groups
    from core.data.types import ColumnRoles, Encoder
    from core.fairness.section import MitigationSection


class CorrelationRemovalMitigation(NoMitigation):
    """``fairness=decorrelate``."""

    config: DecorrelateConfig

    def wrap_encoder(
        self, encoder: Encoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups
    ) -> Encoder:
        """Return the encoder behind the removal, which is fitted on training rows."""
        return decorrelated(encoder, train, roles, groups, self.config.attribute, self.config.weight)

    def section(self, groups: Groups) -> MitigationSection:
        """Return what was done, for the record."""
        return mitigation_section(self.config, self.config.attribute, groups, "weight", needed=True)


def decorrelated(
    encoder: Encoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups, asked: str, weight: float
) -> DecorrelatedEncoder:
    """Return an encoder whose numeric columns first lose what correlates with an attribute, fitted on training rows.

    Missing values count as their column's mean while fitting, and stay missing. Raises ValueError where there are no
    numeric inputs, or where the attribute itself is an input, which would give back what was removed.
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
    unfitted = DecorrelatedEncoder(encoder, tuple(roles.numeric), attributes, groups, {}, weight)
    values = read_numbers(train, unfitted.columns)
    known = ~np.isnan(values)
    means = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    indicators, names = unfitted.indicators(train)
    remover = CorrelationRemover(sensitive_feature_ids=list(range(indicators.shape[1])), alpha=1.0)
    remover.fit(np.column_stack([indicators, np.where(known, values, means)]))
    fitted: dict[str, Any] = {
        "names": names,
        "means": remover.sensitive_mean_.tolist(),
        "slopes": remover.beta_.tolist(),
    }
    return DecorrelatedEncoder(encoder, unfitted.columns, attributes, groups, fitted, weight)
