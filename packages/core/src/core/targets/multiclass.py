"""One of several classes without an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.labels import (
    count_classes,
    encode_classes,
    in_order,
    listed,
    names_of,
    single_column,
    weights_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import MulticlassOption
    from core.targets.types import Labels, Metric


@dataclass
class MulticlassTarget:
    """A probability for each class, from as many outputs: softmax logits."""

    column: str
    classes: tuple[str, ...]
    weights: tuple[float, ...]
    prior: tuple[float, ...]
    """Added to the logits in training only: ``logit_adjustment`` times the log frequencies; empty for none."""
    label_smoothing: float = 0.0
    focal: float = 0.0
    select: str | None = None
    explanation: str = ""
    kind: str = "multiclass"
    reads: str = "pooled"

    @property
    def width(self) -> int:
        """One output a class."""
        return len(self.classes)

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: MulticlassOption) -> MulticlassTarget:
        """Read classes and weights from training rows, raising ValueError when there are fewer than two classes."""
        column = single_column(frame, roles, "multiclass")
        classes = class_list(frame, column, settings.classes)
        counts = count_classes(frame, column, classes)
        prior: tuple[float, ...] = ()
        if settings.logit_adjustment:
            frequencies = np.maximum(counts, 0.5) / counts.sum()
            prior = tuple(float(p) for p in settings.logit_adjustment * np.log(frequencies))
        target = cls(
            column,
            tuple(classes),
            tuple(weights_of(counts, settings.class_weights)),
            prior,
            settings.label_smoothing,
            settings.focal,
            settings.select,
            f"The classes are {listed(classes)}.",
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's class, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's weighted cross-entropy (B,) in nats.

        ``focal`` as in Lin et al. 2017 (arXiv:1708.02002); ``logit_adjustment`` as in Menon et al. 2021
        (arXiv:2007.07314, eq. 10): the log prior is added in training, so that the plain logits are balanced.
        """
        logits_BK = outputs.float()
        if self.prior:
            logits_BK = logits_BK + logits_BK.new_tensor(self.prior)
        log_BK = functional.log_softmax(logits_BK, dim=-1)
        right_B = log_BK.gather(1, targets[:, None]).squeeze(1)
        losses_B = -(1.0 - self.label_smoothing) * right_B - self.label_smoothing * log_BK.mean(dim=-1)
        if self.focal:
            losses_B = losses_B * (1.0 - right_B.exp()) ** self.focal
        if len(set(self.weights)) > 1:
            losses_B = losses_B * logits_BK.new_tensor(self.weights)[targets]
        return losses_B

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn logits (B, K) into probabilities (B, K)."""
        return torch.softmax(outputs.float(), dim=-1)

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the class whose probability is largest against its threshold (all equal without thresholds)."""
        equal = 1.0 / len(self.classes)
        bars = np.array([max((thresholds or {}).get(c, equal), 1e-12) for c in self.classes])
        decided: Labels = np.argmax(scores / bars, axis=1)
        return decided

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N,) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        figures: dict[str, Metric] = {
            "macro_auroc": m.macro_auroc,
            "macro_auprc": m.macro_auprc,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "macro_f1": m.macro_f1,
            "log_loss": m.log_loss,
            "brier": m.brier,
        }
        return m.selected_first(figures | m.per_class(self.classes), self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        lists = {name: list(getattr(self, name)) for name in ("classes", "weights", "prior")}
        return {**asdict(self), **lists}

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> MulticlassTarget:
        """Make the target again from its state."""
        return cls(**state | {name: tuple(state[name]) for name in ("classes", "weights", "prior")})


def class_list(frame: pd.DataFrame, column: str, asked: list[str]) -> list[str]:
    """List the classes: those asked for, else those of the rows in order; ValueError when they do not fit the rows."""
    found = in_order(names_of(frame[column])[1])
    if asked:
        unknown = [n for n in found if n not in asked]
        if unknown:
            raise ValueError(
                f"target.classes lacks {listed(unknown)}, which column {column!r} has in the training rows"
            )
        if len(set(asked)) < len(asked):
            raise ValueError(f"target.classes={asked!r}: a class is named twice")
        found = list(asked)
    if len(found) < 2:
        raise ValueError(
            f"target column {column!r} has only the value {listed(found)!r} in the training rows; two are needed"
        )
    return found
