"""The protocol of a target, and held-out predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import Json

Array = NDArray[np.float64]
Labels = NDArray[Any]
"""int64 classes or 0/1 labels; float64 for a regression."""


@dataclass
class Predictions:
    """Held-out predictions, never of training rows. N rows, K classes."""

    scores: NDArray[np.float64]
    """(N, K) probabilities (binary: K = 2; multilabel: each label's own), or (N, 1) values for regression.

    Tokens: (N, K + 1 + T), the probabilities of intents, then what ``TokensTarget`` decoded for the words.
    Mask: (N, K), each class's probability in the mean over the pixels.
    """
    labels: Labels
    """(N,) decoded class index (ordinal too), (N, K) 0/1 for multilabel, (N,) value for regression.

    Tokens: (N, 1 + T), the intent's index and each word's label, -1 beyond the last word.
    Mask: (N, H, W) uint8, a class for each pixel; 255 in ``targets``: none.
    """
    targets: Labels
    """The truth in the shape of ``labels``."""
    classes: tuple[str, ...] = ()
    kind: str = "binary"
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    """Sensitive attribute -> (N,) group names."""
    units: NDArray[np.str_] | None = None
    index: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Row number in the source's frame."""
    slots: tuple[str, ...] = ()
    """Tokens: names of the slots that words' labels stand for."""
    sure: NDArray[np.float64] | None = None
    """Mask: (N,) mean over a picture's places of the likeliest class's probability."""
    _ranks: NDArray[np.int32] | None = field(default=None, init=False, repr=False, compare=False)
    _counts: NDArray[np.int64] | None = field(default=None, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    def ranks(self) -> NDArray[np.int32]:
        """Rank each column of scores from 0, ties equal, shape (N, K); sorted once and kept by ``take``.

        A resample keeps the order of its source, so a thousand bootstrap resamples need no further sort.
        """
        if self._ranks is None:
            columns = [np.unique(column, return_inverse=True)[1] for column in self.scores.T]
            self._ranks = np.stack(columns, axis=1).astype(np.int32)
        return self._ranks

    def counts(self) -> NDArray[np.int64]:
        """Count the pixels of each (true, decided) class of each mask, (N, K, K); once, and kept by ``take``."""
        if self._counts is None:
            k = len(self.classes)
            counted = np.zeros((len(self), k, k), np.int64)
            for n, (truth, label) in enumerate(zip(self.targets, self.labels, strict=True)):
                known = truth < k
                pairs = truth[known].astype(np.int64) * k + label[known]
                counted[n] = np.bincount(pairs, minlength=k * k).reshape(k, k)
            self._counts = counted
        return self._counts

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
        """Keep some rows, in the order given (repeats allowed, as a bootstrap needs)."""
        taken = Predictions(
            self.scores[rows],
            self.labels[rows],
            self.targets[rows],
            self.classes,
            self.kind,
            {k: v[rows] for k, v in self.groups.items()},
            None if self.units is None else self.units[rows],
            self.index[rows] if len(self.index) else self.index,
            self.slots,
            None if self.sure is None else self.sure[rows],
        )
        if self.kind == "mask":
            taken._counts = self.counts()[rows]
        elif self.kind not in ("regression", "tokens"):
            taken._ranks = self.ranks()[rows]
        return taken


Metric = Callable[[Predictions], float]
"""A figure of held-out predictions; NaN where it is undefined (one class only), never an exception."""


class Target(Protocol):
    """What is predicted: how it is read from rows, learnt, decoded and judged."""

    kind: str
    """binary, multiclass, multilabel, ordinal, regression, tokens, mask (later: trajectory)."""
    reads: str
    """Which features its head reads: pooled, tokens, joint or map."""
    classes: tuple[str, ...]
    explanation: str
    """Why this kind and these classes were chosen, in sentences for the record."""

    @property
    def width(self) -> int:
        """Number of outputs the head has for one example (or token, or pixel)."""

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read the truth of rows as a tensor, raising ValueError with column and row for what can't be read."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's own loss, shape (B,), coupling no two examples."""

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, width) into probabilities (B, K) or values (B, 1), float32."""

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide from scores (N, K); thresholds (per class or for the positive class) come from validation."""

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded targets into the shape of ``labels``."""

    def metrics(self) -> dict[str, Metric]:
        """Name the figures this kind of answer is judged by; the first is the one that selects models.

        Whether less is better is in ``core.targets.metrics.LOWER_IS_BETTER``.
        """

    def state(self) -> dict[str, Json]:
        """Give everything that ``core.targets.restore`` needs, as JSON."""


def slots_of(target: Target) -> tuple[str, ...]:
    """Name the slots of a target of kind tokens; others have none."""
    names: tuple[str, ...] = getattr(target, "slots", ())
    return names
