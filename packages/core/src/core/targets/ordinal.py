"""One of several classes in an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import logsigmoid, softplus

from core.targets import metrics as m
from core.targets.multiclass import class_list
from core.targets.labels import class_name, count_classes, encode_classes, listed, single_column, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import OrdinalOption
    from core.targets.types import Labels, Metric

_LEAST_STEP = 1e-6
"""Between neighbouring cumulative logits, so that no class's probability is zero."""


@dataclass
class OrdinalTarget:
    """A probability for each of K ordered classes, from K - 1 outputs."""

    column: str
    classes: tuple[str, ...]
    """Lowest first."""
    weights: tuple[float, ...]
    method: str = "cumulative"
    decide: str = "median"
    label_smoothing: float = 0.0
    select: str | None = None
    explanation: str = ""
    kind: str = "ordinal"
    reads: str = "pooled"

    @property
    def width(self) -> int:
        """One output a step between classes."""
        return len(self.classes) - 1

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: OrdinalOption) -> OrdinalTarget:
        """Read ordered classes and weights from training rows, raising ValueError where no order is known."""
        column = single_column(frame, roles, "ordinal")
        dtype = frame[column].dtype
        ordered = isinstance(dtype, pd.CategoricalDtype) and dtype.ordered
        if not settings.classes and isinstance(dtype, pd.CategoricalDtype) and ordered:
            classes = class_list(frame, column, [class_name(c) for c in dtype.categories])
        else:
            classes = class_list(frame, column, settings.classes)
            if not settings.classes and pd.to_numeric(pd.Series(classes), errors="coerce").isna().any():
                raise ValueError(
                    f"target column {column!r} holds texts ({listed(classes)}), whose order is not known; list them in "
                    "target.classes, lowest first"
                )
        target = cls(
            column,
            tuple(classes),
            tuple(weights_of(count_classes(frame, column, classes), settings.class_weights)),
            settings.method,
            settings.decide,
            settings.label_smoothing,
            settings.select,
            f"The classes in order are {listed(classes)}.",
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's class, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, K - 1) into log probabilities (B, K).

        ``cumulative``: the logit of P(y >= k) is a_k with a_1 = o_1 and a_(k+1) = a_k - softplus(o_(k+1)): the
        logits are ordered (the cumulative link model of McCullagh 1980, with thresholds that may depend on the
        input; rank-consistent as CORAL, Cao et al. 2020, arXiv:1901.07884). ``corn``: output k is the logit of
        P(y > k | y >= k) (Shi et al. 2021, arXiv:2111.08851).
        """
        o_BK = outputs.float()
        if self.method == "corn":
            zero_B1 = torch.zeros_like(o_BK[:, :1])
            passed_BK = torch.cat([zero_B1, logsigmoid(o_BK).cumsum(dim=-1)], dim=-1)
            return passed_BK + torch.cat([logsigmoid(-o_BK), zero_B1], dim=-1)
        steps_BK = softplus(o_BK[:, 1:]) + _LEAST_STEP
        a_BK = torch.cat([o_BK[:, :1], o_BK[:, :1] - steps_BK.cumsum(dim=-1)], dim=-1)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no cancellation between near values.
        between_BK = logsigmoid(a_BK[:, :-1]) + logsigmoid(-a_BK[:, 1:]) + torch.log(-torch.expm1(-steps_BK))
        return torch.cat([logsigmoid(-a_BK[:, :1]), between_BK, logsigmoid(a_BK[:, -1:])], dim=-1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's weighted negative log-likelihood (B,) in nats."""
        log_BK = self.log_probabilities(outputs)
        right_B = log_BK.gather(1, targets[:, None]).squeeze(1)
        losses_B = -(1.0 - self.label_smoothing) * right_B - self.label_smoothing * log_BK.mean(dim=-1)
        if len(set(self.weights)) > 1:
            losses_B = losses_B * log_BK.new_tensor(self.weights)[targets]
        return losses_B

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, K - 1) into probabilities (B, K)."""
        return torch.softmax(self.log_probabilities(outputs), dim=-1)

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the median, mean or mode; with thresholds, the highest class k reached: P(y >= k) against k's."""
        if thresholds is None and self.decide == "mode":
            likeliest: Labels = np.argmax(scores, axis=1)
            return likeliest
        if thresholds is None and self.decide == "mean":
            return np.rint(scores @ np.arange(len(self.classes))).astype(np.int64)
        reached_NK = scores[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        bars = np.array([(thresholds or {}).get(c, 0.5) for c in self.classes[1:]])
        steps: Labels = np.sum(reached_NK >= bars, axis=1)
        return steps

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N,) int64."""
        return targets.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models. ``mae`` is in steps between classes."""
        figures: dict[str, Metric] = {
            "qwk": m.qwk,
            "mae": m.mae,
            "adjacent": m.adjacent,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "macro_f1": m.macro_f1,
            "macro_auroc": m.macro_auroc,
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
    def from_state(cls, state: dict[str, Json]) -> OrdinalTarget:
        """Make the target again from its state."""
        return cls(**state | {"classes": tuple(state["classes"]), "weights": tuple(state["weights"])})
