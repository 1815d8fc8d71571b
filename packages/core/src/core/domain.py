"""What a domain is to core: a name and its use cases. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.oversight.types import Oversight
    from core.targets.types import Metric


class Task(Protocol):
    """One use case of a domain: a ``task=`` option. Its settings are its dataclass fields."""

    name: str
    purpose: str
    """What the predictions are for, in one sentence of the report."""
    oversight: Oversight
    """What they may be used for, who is affected, and when a human decides: obeyed by predict and serve."""

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Make rows with a known truth, a planted signal and a planted bias."""

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Name the field's own figures for targets of this kind, beyond the target's."""

    def studies(self, kind: str) -> dict[str, Study]:
        """Name the field's own studies: what needs more than predictions, such as rows, altered inputs or gates."""


@dataclass(frozen=True)
class Domain:
    """A domain package: the applications of ``core.app`` are made for one of these."""

    name: str
    """Import name of the package; its configuration is ``<name>.conf``."""
    title: str
    """What the domain predicts, for --help and the report."""
    modules: tuple[str, ...]
    """Modules that register the domain's tasks and data sources when imported (none may import torch)."""
