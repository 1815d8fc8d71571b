"""The data section of the record: what went in, how it was split, what the checks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from core.config.section import Section

if TYPE_CHECKING:
    from core.data.encoded_split import EncodedSplit
    from core.data.types import ColumnRoles, Dataset, Finding


class FindingSection(Section):
    """One finding of a data check."""

    level: Literal["error", "warning", "note"]
    """error (the run stops, so that no record has one), warning, or note."""
    check: str
    """The check that found it: unlabeled, constant, equals target, same unit, absent class, ..."""
    where: str
    """Column, split or key that it is about."""
    message: str
    """What is wrong, where, and what to do."""


class DataSection(Section):
    """The data of the run."""

    source: str
    """Name of the data set, or of the file."""
    simulated: bool
    rows: dict[str, int] = Field(default_factory=dict)
    """Split (train, validation, test) -> number of rows."""
    units: dict[str, int] | None = None
    """Split -> number of units; null where the data name no unit."""
    unit_name: str = "row"
    """What a unit is called: patient, card, pupil, home."""
    files: dict[str, str] = Field(default_factory=dict)
    """File that was read -> its sha256."""
    findings: list[FindingSection] = Field(default_factory=list)
    """Findings of the data checks."""
    notes: list[str] = Field(default_factory=list)
    """What the reader dropped, changed or inferred."""
    roles: dict[str, str | list[str]] = Field(default_factory=dict)
    """Role (target, numeric, text, sensitive, unit, ...) -> column, or columns."""
    ground_truth: dict[str, JsonValue] = Field(default_factory=dict)
    """What a simulation planted: the bias and against whom, the true probability's column. Empty of other data."""


def data_section(
    dataset: Dataset, splits: Mapping[str, EncodedSplit], findings: Sequence[Finding]
) -> DataSection:
    """Return the section of a data set that was checked, split and encoded."""
    units = {
        name: int(split.unit_codes.max()) + 1
        for name, split in splits.items()
        if split.unit_codes is not None
    }
    return DataSection(
        source=dataset.name,
        simulated=dataset.simulated,
        rows={name: len(split) for name, split in splits.items()},
        units=units or None,
        unit_name=dataset.unit_name,
        files=dataset.files,
        findings=[FindingSection.model_validate(asdict(finding)) for finding in findings],
        notes=dataset.notes,
        roles=_named_roles(dataset.roles),
        ground_truth=dataset.ground_truth,
    )


def _named_roles(roles: ColumnRoles) -> dict[str, str | list[str]]:
    return {
        role: list(value) if isinstance(value, tuple) else value
        for role, value in asdict(roles).items()
        if value
    }
