"""Which number is explained: the evidence for the answer that was given, so that effects of all methods compare."""

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

AT_ONCE = 1024
"""Altered rows that are made and scored at once."""
MEANING = {
    "binary": "log odds of the decided answer",
    "multiclass": "log odds of the decided class",
    "multilabel": "log odds of the likeliest label",
    "tokens": "log odds of the decided intent (slots are not explained)",
    "ordinal": "expected grade, in steps from the lowest",
    "regression": "predicted value",
    "mask": "share of the picture given to one class, that which varies most over the rows",
}
"""Kind of target -> the number that is explained, before recalibration."""


@dataclass(frozen=True)
class ExplainedOutput:
    """The number explained, one a row."""

    target: Target
    answer: NDArray[np.int64]
    """(N,) class (label, intent) whose evidence is explained; 0 where the number is a value."""

    @classmethod
    def of(cls, target: Target, labels: Labels, outputs: Array) -> ExplainedOutput:
        """Ask for the evidence of what was decided: labels as in ``Predictions``, outputs (N, ...) of the same rows."""
        kind = target.kind
        if kind in ("binary", "multiclass"):
            answer = np.asarray(labels, np.int64)
        elif kind == "tokens":
            answer = np.asarray(labels[:, 0], np.int64)
        elif kind == "multilabel":
            answer = outputs.argmax(axis=1)
        elif kind == "mask":
            shares = target.scores(torch.from_numpy(outputs)).double().mean(dim=(2, 3)).numpy()
            answer = np.full(len(outputs), int(shares.std(axis=0).argmax()), np.int64)
        else:
            answer = np.zeros(len(outputs), np.int64)
        return cls(target, answer)

    def names(self) -> list[str]:
        """Name the answer of each row; empty where the number is a value."""
        classes = self.target.classes
        named = self.target.kind not in ("ordinal", "regression")
        return [classes[k] if named else "" for k in self.answer]

    def number(self, outputs: Tensor, answer: Tensor) -> Tensor:
        """Turn a head's outputs (B, ...) into the number explained (B,), for the answers (B,) asked about."""
        kind, classes = self.target.kind, len(self.target.classes)
        if kind == "binary":
            return outputs[:, 0] * (2.0 * answer - 1.0)
        if kind == "multilabel":
            return outputs.gather(1, answer[:, None]).squeeze(1)
        if kind == "ordinal":
            scores_BK = self.target.scores(outputs)
            return scores_BK @ torch.arange(classes, dtype=scores_BK.dtype, device=scores_BK.device)
        if kind == "regression":
            return self.target.scores(outputs)[:, 0]
        if kind == "mask":
            shares_BK = self.target.scores(outputs).mean(dim=(2, 3))
            return shares_BK.gather(1, answer[:, None]).squeeze(1)
        logits_BK = outputs[:, 0, :classes] if kind == "tokens" else outputs
        own_B = logits_BK.gather(1, answer[:, None]).squeeze(1)
        others_BK = logits_BK.scatter(1, answer[:, None], -torch.inf)
        return own_B - others_BK.logsumexp(dim=1)

    def ask(
        self,
        scorer: Scorer,
        cases: Masker,
        rows: NDArray[np.int64],
        gone: NDArray[np.bool_],
        reference: NDArray[np.int64],
    ) -> Array:
        """Give the number of M variants of the cases: see ``Cases.removed``."""
        found = []
        for start in range(0, len(rows), AT_ONCE):
            piece = slice(start, start + AT_ONCE)
            inputs = cases.removed(rows[piece], gone[piece], reference[piece])
            outputs = torch.from_numpy(scorer.outputs(inputs))
            answer = torch.from_numpy(self.answer[rows[piece]])
            found.append(self.number(outputs, answer).double().numpy())
        return np.concatenate(found) if found else np.zeros(0)

    def whole(self, scorer: Scorer, cases: Masker) -> tuple[Array, Array]:
        """Give the number of each row as it is and with all its parts gone (mean over references), (N,) each."""
        n, r = len(cases), cases.alternatives
        rows = np.concatenate([np.arange(n), np.repeat(np.arange(n), r)])
        gone = np.zeros((len(rows), cases.count), bool)
        gone[n:] = cases.exists().repeat(r, axis=0)
        reference = np.concatenate([np.zeros(n, np.int64), np.tile(np.arange(r), n)])
        numbers = self.ask(scorer, cases, rows, gone, reference)
        return numbers[:n], numbers[n:].reshape(n, r).mean(axis=1)
