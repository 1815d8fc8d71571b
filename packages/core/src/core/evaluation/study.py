"""Studies: what a field asks of held-out rows beyond metrics of the predictions alone. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.config.section import Estimate

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset
    from core.targets.scorer import Scorer
    from core.targets.types import Predictions, Target

Json = Any


@dataclass(frozen=True)
class EvaluationContext:
    """What a study may read. Metrics of quality come from held-out sets only."""

    dataset: Dataset
    frames: Mapping[str, pd.DataFrame]
    """Raw rows of validation and test, in the order of the predictions; of train too, except under differential
    privacy, where nothing but the private training may read them."""
    parts: Mapping[str, Predictions]
    """Of validation and test: recalibrated scores and predicted labels."""
    target: Target
    decisions: dict[str, float]
    """Class -> threshold; empty where none are used."""
    scorer: Scorer
    seed: int
    resamples: int
    confidence: float
    min_group_rows: int
    """Groups with fewer rows are not shown."""


@dataclass(frozen=True)
class Gate:
    """A bar that the field sets, and whether this run clears it."""

    name: str
    value: float | None
    bar: str
    """In words of the field, such as ``>= 0.70``."""
    passed: bool
    meaning: str


@dataclass
class StudyResult:
    """What a study found."""

    summary: str
    """One sentence for the page."""
    metrics: dict[str, Estimate] = field(default_factory=dict)
    """Null where undefined or without an interval."""
    tables: dict[str, list[dict[str, Json]]] = field(default_factory=dict)
    """Title -> rows of the same columns."""
    gates: list[Gate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How it was done and what it doesn't say."""
    files: dict[str, pd.DataFrame] = field(default_factory=dict)
    """File name -> table, written as CSV into the run's folder ``studies``."""


Study = Callable[[EvaluationContext], StudyResult]
