"""Any number of labels a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.labels import class_name, in_order, listed, refuse_unlabelled, require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import MultilabelOption
    from core.targets.types import Labels, Metric

_YES_NO = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}


@dataclass
class MultilabelTarget:
    """Each label's own probability, from one output a label: its log odds."""

    columns: tuple[str, ...]
    """Several 0/1 columns, which are the labels; or one column of lists or of texts with a separator."""
    classes: tuple[str, ...]
    weights: tuple[tuple[float, float], ...]
    """Each label's (negative, positive) weight."""
    separator: str = ";"
    at_least_one: bool = False
    label_smoothing: float = 0.0
    select: str | None = None
    explanation: str = ""
    kind: str = "multilabel"
    reads: str = "pooled"

    @property
    def width(self) -> int:
        """One output a label."""
        return len(self.classes)

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: MultilabelOption) -> MultilabelTarget:
        """Read labels and weights from training rows, raising ValueError where cells can't be read as labels."""
        if not roles.target:
            raise ValueError("no target column is named; set data.target to the column or columns to predict")
        require_columns(frame, roles.target)
        labelled = frame.dropna(subset=list(roles.target))
        if len(roles.target) > 1:
            found = [str(c) for c in roles.target]
        else:
            cells = labelled[roles.target[0]]
            found = in_order(
                sorted({name for cell in cells for name in _cell_names(cell, settings.separator)})
            )
        unknown = [n for n in found if settings.classes and n not in settings.classes]
        if unknown:
            raise ValueError(f"target.classes lacks {listed(unknown)}, which the training rows have")
        classes = list(settings.classes) or found
        if not classes:
            raise ValueError(f"target column {roles.target[0]!r} has no label in any training row")
        target = cls(
            tuple(roles.target),
            tuple(classes),
            tuple((1.0, 1.0) for _ in classes),
            settings.separator,
            settings.at_least_one,
            settings.label_smoothing,
            settings.select,
            f"The labels are {listed(classes)}.",
        )
        target.metrics()
        if settings.class_weights != "none":
            positive_K = target.encode(labelled).sum(dim=0).double().numpy()
            target.weights = _label_weights(positive_K, len(labelled), settings.class_weights)
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's labels, float32 0/1 (B, K); ValueError names column, row and value it can't read.

        An empty list is a row without labels; a missing cell is an unlabelled row and refused.
        """
        require_columns(frame, self.columns)
        for name in self.columns:
            refuse_unlabelled(frame, name, frame[name].isna().to_numpy())
        if len(self.columns) > 1:
            return torch.from_numpy(np.stack([_yes_no(frame, c) for c in self.columns], axis=1))
        column = self.columns[0]
        position = {name: k for k, name in enumerate(self.classes)}
        answers = np.zeros((len(frame), len(self.classes)), np.float32)
        for row, cell in enumerate(frame[column]):
            for name in _cell_names(cell, self.separator):
                if name not in position:
                    raise ValueError(
                        f"column {column!r}, row {frame.index[row]}: {name!r} is none of the labels learnt "
                        f"({listed(self.classes)}); correct the value, drop the row or train with this label"
                    )
                answers[row, position[name]] = 1.0
        return torch.from_numpy(answers)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's logistic loss (B,) in nats, weighted and averaged over labels."""
        logits_BK = outputs.float()
        smooth_BK = targets * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses_BK = functional.binary_cross_entropy_with_logits(logits_BK, smooth_BK, reduction="none")
        if len(set(self.weights)) > 1 or self.weights[0] != (1.0, 1.0):
            weights_K2 = logits_BK.new_tensor(self.weights)
            losses_BK = losses_BK * torch.where(targets > 0.5, weights_K2[:, 1], weights_K2[:, 0])
        return losses_BK.mean(dim=-1)

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn log odds (B, K) into each label's probability (B, K)."""
        return torch.sigmoid(outputs.float())

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide each label, 0/1 (N, K), against the threshold under its name; 0.5 without one.

        With ``at_least_one``, a row in which no label is reached gets the one nearest to its threshold by ratio.
        """
        bars = np.array([max((thresholds or {}).get(c, 0.5), 1e-12) for c in self.classes])
        reached = (scores >= bars).astype(np.int64)
        if self.at_least_one:
            without = np.flatnonzero(reached.sum(axis=1) == 0)
            reached[without, (scores[without] / bars).argmax(axis=1)] = 1
        return reached

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N, K) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        figures: dict[str, Metric] = {
            "macro_f1": m.macro_f1,
            "micro_f1": m.micro_f1,
            "macro_auroc": m.macro_auroc,
            "macro_auprc": m.macro_auprc,
            "exact_match": m.exact_match,
            "log_loss": m.log_loss,
            "brier": m.brier,
        }
        return m.selected_first(figures | m.per_class(self.classes), self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        lists = {"columns": list(self.columns), "classes": list(self.classes)}
        return {**asdict(self), **lists, "weights": [list(w) for w in self.weights]}

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> MultilabelTarget:
        """Make the target again from its state."""
        tuples = {"columns": tuple(state["columns"]), "classes": tuple(state["classes"])}
        return cls(**state | tuples | {"weights": tuple((w[0], w[1]) for w in state["weights"])})


def _cell_names(cell: object, separator: str) -> list[str]:
    parts = list(cell) if isinstance(cell, list | tuple | set | np.ndarray) else str(cell).split(separator)
    return [name for name in (class_name(p) for p in parts) if name]


def _yes_no(frame: pd.DataFrame, column: str) -> NDArray[np.float32]:
    values = [_YES_NO.get(class_name(v).lower(), -1) for v in frame[column]]
    found = np.array(values, np.float32)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise ValueError(
            f"column {column!r}, row {frame.index[row]}: {str(frame[column].iloc[row])!r} is neither 0 nor 1; several "
            "target columns must hold 0/1, true/false or yes/no"
        )
    return found


def _label_weights(positive_K: NDArray[np.float64], rows: int, how: str) -> tuple[tuple[float, float], ...]:
    """Weigh each label's two sides so that the mean weight of a row is 1: balanced (1/n) or sqrt (1/sqrt n)."""
    power = 1.0 if how == "balanced" else 0.5
    weights = []
    for positive in positive_K:
        sides = np.maximum(np.array([rows - positive, positive]), 1.0) ** (1.0 - power)
        raw = np.maximum(np.array([rows - positive, positive]), 1.0) ** -power
        weights.append(tuple(raw * rows / sides.sum()))
    return tuple((float(w[0]), float(w[1])) for w in weights)
