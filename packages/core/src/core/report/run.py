"""A run folder, opened and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.data.readers.files import sha256
from core.evaluation.section import Metrics
from core.report.predictions import read_predictions, read_table
from core.report.record import Record, read_record

if TYPE_CHECKING:
    import pandas as pd

    from core.targets.types import Predictions

SEALED = ("model.safetensors", "encoder.json", "predictions.parquet")
"""Files whose content must be what the record says whenever a run is opened."""
SEALED_SINCE = ("contract.json",)
"""The same, of runs that have them: 0.2.0 added them."""


class Run:
    """A finished run: ``run.record``, ``run.metrics``, ``run.predictions()``.

    Raises ``ValueError`` on opening a folder without a record, with one of an unknown schema version, or whose
    record, weights, encoder or predictions are not those that the run wrote.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise ValueError(
                f"{self.path}: no such folder; give the folder that a run printed in its last line"
            )
        self.record: Record = read_record(self.path)
        later = [n for n in SEALED_SINCE if n in self.record.files or (self.path / n).exists()]
        for name in (*SEALED, *later):
            self._verify(name)

    @property
    def metrics(self) -> Metrics:
        """Return metric -> estimate with value, low and high, on the test set."""
        return self.record.metrics

    def predictions(self, part: str = "test") -> Predictions:
        """Return the held-out predictions of ``test`` or ``validation``."""
        return read_predictions(self.path / "predictions.parquet", part)

    def table(self) -> pd.DataFrame:
        """Return predictions.parquet as a frame: row, part, unit, truth, label, score:<class>, group:<attribute>."""
        return read_table(self.path / "predictions.parquet")

    def _verify(self, name: str) -> None:
        recorded = self.record.files.get(name)
        if recorded is None:
            raise ValueError(
                f"{self.path / 'record.json'}: files has no {name}; the run is incomplete, train again"
            )
        if not (self.path / name).is_file():
            raise ValueError(
                f"{self.path / name}: missing; restore it from a copy of the run, or train again"
            )
        found = sha256(self.path / name)
        if found != recorded:
            raise ValueError(
                f"{self.path / name}: altered after the run wrote it (sha256 {found[:12]}…, the record says "
                f"{recorded[:12]}…); restore the original file, or train again"
            )
