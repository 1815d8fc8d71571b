"""One of two values."""

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
    from core.targets.config import BinaryOption
    from core.targets.types import Labels, Metric

AFFIRMATIVE = frozenset({"1", "true", "yes", "y", "t", "positive", "pos"})


@dataclass
class BinaryTarget:
    """The probability of the positive value, from one output: its log odds."""

    column: str
    classes: tuple[str, ...]
    """(negative, positive)"""
    rest: bool = False
    """Every value but the positive one is negative."""
    weights: tuple[float, float] = (1.0, 1.0)
    label_smoothing: float = 0.0
    focal: float = 0.0
    select: str | None = None
    explanation: str = ""
    kind: str = "binary"
    reads: str = "pooled"

    @property
    def width(self) -> int:
        """One output."""
        return 1

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: BinaryOption) -> BinaryTarget:
        """Read values and weights from training rows, raising ValueError unless there are two (or a positive one)."""
        column = single_column(frame, roles, "binary")
        names = in_order(names_of(frame[column])[1])
        counts = dict(zip(names, count_classes(frame, column, names), strict=True))
        if len(names) < 2:
            raise ValueError(
                f"target column {column!r} has only the value {listed(names)!r} in the training rows; two are needed"
            )
        positive = settings.positive
        if positive is None:
            if len(names) > 2:
                raise ValueError(
                    f"target column {column!r} has {len(names)} values ({listed(names)}); name the positive one with "
                    "target.positive, or set target=multiclass"
                )
            affirmative = [n for n in names if n.lower() in AFFIRMATIVE]
            rarer = min(reversed(names), key=lambda n: counts[n])
            positive = affirmative[0] if len(affirmative) == 1 else rarer
            why = "says yes" if len(affirmative) == 1 else "is the rarer"
            explanation = f"{positive!r} counts as positive because it {why}."
        elif positive not in names:
            raise ValueError(
                f"target.positive={positive!r}: column {column!r} has {listed(names)} in the training rows"
            )
        else:
            explanation = f"{positive!r} counts as positive, as asked."
        others = [n for n in names if n != positive]
        rest = len(others) > 1
        if rest:
            explanation += f" All other values ({listed(others)}) count as negative."
        hits = int(counts[positive])
        weights = weights_of(np.array([sum(counts.values()) - hits, hits]), settings.class_weights)
        target = cls(
            column,
            (f"not {positive}" if rest else others[0], positive),
            rest,
            (weights[0], weights[1]),
            settings.label_smoothing,
            settings.focal,
            settings.select,
            explanation,
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's value, 1 = positive, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes, rest=0 if self.rest else None)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's weighted logistic loss (B,) in nats.

        With ``focal`` = g the loss is scaled by (1 - p of the truth)^g (Lin et al. 2017, arXiv:1708.02002, eq. 4).
        """
        logits_B = outputs.float().squeeze(-1)
        truth_B = targets.to(logits_B.dtype)
        smooth_B = truth_B * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses_B = functional.binary_cross_entropy_with_logits(logits_B, smooth_B, reduction="none")
        if self.focal:
            losses_B = losses_B * torch.sigmoid(-logits_B * (2.0 * truth_B - 1.0)) ** self.focal
        return losses_B * (self.weights[0] + (self.weights[1] - self.weights[0]) * truth_B)

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn log odds (B, 1) into probabilities (B, 2)."""
        logits_B1 = outputs.float()
        return torch.cat([torch.sigmoid(-logits_B1), torch.sigmoid(logits_B1)], dim=-1)

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide positive (1) where its probability reaches the threshold given under its name; 0.5 without one."""
        threshold = 0.5 if thresholds is None else thresholds.get(self.classes[1], 0.5)
        return (scores[:, 1] >= threshold).astype(np.int64)

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N,) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        figures: dict[str, Metric] = {
            "auroc": m.auroc,
            "auprc": m.auprc,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "f1": m.f1,
            "macro_f1": m.macro_f1,
            "sensitivity": m.sensitivity,
            "specificity": m.specificity,
            "log_loss": m.log_loss,
            "brier": m.brier,
        }
        return m.selected_first(figures, self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        return {
            "kind": self.kind,
            **asdict(self),
            "classes": list(self.classes),
            "weights": list(self.weights),
        }

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> BinaryTarget:
        """Make the target again from its state."""
        return cls(**state | {"classes": tuple(state["classes"]), "weights": tuple(state["weights"])})
