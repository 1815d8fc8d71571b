"""What a domain is to core: a name and its use cases. Imports no torch."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, ClassVar

from core.config.base import TaskConfig
from core.config.registry import field
from core.config.validate import at_least_zero
from core.oversight.declaration import Oversight  # OmegaConf resolves the annotations of Task's fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.config.base import TargetConfig
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@dataclass
class Task(TaskConfig, ABC):
    """Base of a domain's use cases, the ``task=`` options. A task's settings are its dataclass fields.

    ``@register("task", "records", defaults={"backbone": "tabular"})`` names it and the options that suit it.
    """

    name: ClassVar[str]
    purpose: ClassVar[str]
    """What the predictions are for, in one sentence of the report."""
    oversight: ClassVar[Oversight]
    """What they may be used for, who is affected, and when a human decides: obeyed by predict and serve."""
    studies_by: ClassVar[str] = ""
    """Path ``package.module:function`` of what returns the task's studies, from its target's kind and the task."""
    simulated_bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        at_least_zero("task", simulated_bias=self.simulated_bias)

    def check_files(self) -> None:
        """Raise ValueError for a missing file that the task names; called before any data is read. By default none."""

    def admit(self, dataset: Dataset, target: TargetConfig) -> Dataset:
        """Return the data as the task's declaration allows it, raising ValueError for what it forbids; by default all.

        ``target``: the option that was asked for.
        """
        return dataset

    @abstractmethod
    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return rows with a known ground truth, a planted signal and a planted bias."""

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return the field's own metrics of targets of this kind, beyond the target's; by default none."""
        return {}

    def studies(self, kind: str) -> dict[str, Study]:
        """Return the field's own studies: what needs more than predictions, such as rows, altered inputs or gates."""
        if not self.studies_by:
            return {}
        module, _, function = self.studies_by.partition(":")
        found: dict[str, Study] = getattr(importlib.import_module(module), function)(kind, self)
        return found


@dataclass(frozen=True)
class MetricTerm:
    """A metric's standard name, and its meaning in one line."""

    name: str
    gloss: str


METRIC_TERMS: dict[str, MetricTerm] = {}
"""Metric -> name and meaning, of all domains that are imported; ``core.report.glossary`` has those of core."""


@dataclass(frozen=True)
class Domain:
    """A domain package: the commands of ``core.cli`` are built for one of these."""

    name: str
    """Import name of the package; its configuration is ``<name>.conf``."""
    title: str
    """What the domain predicts, for --help and the report."""
    modules: tuple[str, ...]
    """Modules that register the domain's tasks and data sources when imported (none may import torch)."""
    metrics: Mapping[str, MetricTerm] = dataclass_field(default_factory=dict)
    """Names and meanings of the metrics of its tasks and studies, for reports."""

    def __post_init__(self) -> None:
        """Register the metrics' names."""
        METRIC_TERMS.update(self.metrics)
