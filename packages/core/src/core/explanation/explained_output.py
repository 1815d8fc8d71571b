"""Which output is explained: the evidence for what was predicted, so that attributions of all methods compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.masker import Masker
    from core.targets.scorer import Scorer
    from core.targets.types import Array, Labels, Target

BATCH_ROWS = 1024
"""Masked rows that are made and scored at once."""


@dataclass(frozen=True)
class ExplainedOutput:
    """The scalar output explained, one per row, before recalibration (captum's ``target``)."""

    target: Target
    class_index: NDArray[np.int64]
    """(N,) class (label, intent) whose evidence is explained; 0 where the output is a value."""

    @classmethod
    def of_predictions(cls, target: Target, labels: Labels, outputs: Array) -> ExplainedOutput:
        """Return the evidence of what was predicted: labels as in ``Predictions``, outputs (N, ...) of these rows."""
        return cls(target, target.explained_class(labels, outputs))

    def class_names(self) -> list[str]:
        """Return the name of each row's explained class; "" where the output is a value."""
        return [self.target.explained_name(int(k)) for k in self.class_index]

    def value(self, outputs: Tensor, class_index: Tensor) -> Tensor:
        """Compute the explained output (B,) from a head's outputs (B, ...), for classes (B,)."""
        return self.target.explained_value(outputs, class_index)

    def evaluate(
        self,
        scorer: Scorer,
        masker: Masker,
        rows: NDArray[np.int64],
        hidden: NDArray[np.bool_],
        reference: NDArray[np.int64],
    ) -> Array:
        """Compute the output of M masked variants of the rows: see ``Masker.masked``."""
        found = []
        for start in range(0, len(rows), BATCH_ROWS):
            piece = slice(start, start + BATCH_ROWS)
            inputs = masker.masked(rows[piece], hidden[piece], reference[piece])
            outputs = torch.from_numpy(scorer.outputs(inputs))
            class_index = torch.from_numpy(self.class_index[rows[piece]])
            found.append(self.value(outputs, class_index).double().numpy())
        return np.concatenate(found) if found else np.zeros(0)

    def full_and_empty(self, scorer: Scorer, masker: Masker) -> tuple[Array, Array]:
        """Compute the output of each row as it is and with all features masked (mean over references), (N,) each."""
        n, r = len(masker), masker.num_references
        rows = np.concatenate([np.arange(n), np.repeat(np.arange(n), r)])
        hidden = np.zeros((len(rows), masker.num_features), bool)
        hidden[n:] = masker.present().repeat(r, axis=0)
        reference = np.concatenate([np.zeros(n, np.int64), np.tile(np.arange(r), n)])
        values = self.evaluate(scorer, masker, rows, hidden, reference)
        return values[:n], values[n:].reshape(n, r).mean(axis=1)
