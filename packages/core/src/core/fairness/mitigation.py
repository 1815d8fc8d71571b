"""What a run asks of an option of ``fairness=``: before, in and after training, and of the audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from core.config import option_name
from core.fairness.audit import audit
from core.fairness.config import AuditConfig
from core.fairness.section import FairnessSection, GroupThresholds, MitigationSection
from core.fairness.subgroups import select_attributes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.config import FairnessConfig
    from core.data.encoded_split import EncodedSplit
    from core.data.groups import Groups
    from core.data.types import Batch, ColumnRoles, Encoder
    from core.targets.types import Array, Predictions, Target


class Objective(Protocol):
    """Weighs each example's loss."""

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return weighted losses (B,), whose mean is minimized, from the losses (B,) of outputs."""


class NoMitigation:
    """An option that changes nothing and audits the run; base of those that mitigate."""

    def __init__(self, config: FairnessConfig) -> None:
        self.config = config

    def check_groups(self, groups: Mapping[str, NDArray[np.str_]], target: Target) -> None:
        """Raise ``ValueError``, before training, for a target or for groups of validation that do not suit."""

    def wrap_encoder(
        self, encoder: Encoder, train: pd.DataFrame, roles: ColumnRoles, groups: Groups
    ) -> Encoder:
        """Return the encoder of the run; before training a mitigation may change the inputs."""
        return encoder

    def objective(self, rows: EncodedSplit, groups: Groups, target: Target) -> Objective | None:
        """Return how training weighs each example's loss; None: alike. ValueError for a target that does not suit."""
        return None

    def group_thresholds(
        self, validation: Predictions, target: Target, thresholds: Mapping[str, float]
    ) -> GroupThresholds | None:
        """Choose thresholds of single groups on recalibrated validation scores, after training; None: common ones."""
        return None

    def section(self, groups: Groups) -> MitigationSection | None:
        """Return what was done about disparities, for the record."""
        return None

    def audit(
        self, test: Predictions, weights: Iterable[Array], min_group_rows: int, unit: str
    ) -> FairnessSection | None:
        """Compare groups on the test set; None where no sensitive attribute is known. See ``core.fairness.audit``."""
        config = self.config
        assert isinstance(config, AuditConfig)
        if not test.groups:
            return None
        return audit(test, weights, config.confidence, min_group_rows, unit, config.intersections)


class NoAudit(NoMitigation):
    """``fairness=none``: no group is compared."""

    def audit(
        self, test: Predictions, weights: Iterable[Array], min_group_rows: int, unit: str
    ) -> FairnessSection | None:
        """Return None."""
        return None


def mitigation_section(
    config: FairnessConfig, attribute: str, groups: Groups, *keys: str, needed: bool = False
) -> MitigationSection:
    """Return the record of a mitigation: its option, attributes and the values of its ``keys``.

    ``needed``: the attributes must be known of every row that is predicted.
    """
    attributes = list(select_attributes(attribute, list(groups.groupings)))
    return MitigationSection(
        option=option_name(config),
        attributes=attributes,
        needed_to_predict=attributes if needed else [],
        settings={key: getattr(config, key) for key in keys},
    )
