"""ROC curve, AUROC and average precision of one score, for many weightings of the rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.targets.types import Array


class RocCurve:
    """Rows sorted by falling score once; counts of every threshold for any weights afterwards.

    ``scores`` (N,), higher = more likely positive; ``truth`` (N,) bool. T = distinct scores.
    """

    def __init__(self, scores: Array, truth: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else self.order
        self.thresholds: Array = ranked[self.last]
        """(T,) distinct scores, falling: the threshold "score >= threshold" of each column of the counts."""
        self.truth = truth[self.order]
        self.tied = len(self.last) < len(ranked)
        # Of each yes row, in rank order: where its group of equal scores starts and ends, among all rows and
        # among the yes rows.
        self.yes = np.flatnonzero(self.truth)
        group = np.searchsorted(self.last, self.yes)
        self.last_of_yes = self.last[group]
        self.first_of_yes = np.append(0, self.last + 1)[group]
        self.last_yes_of_yes = np.searchsorted(self.yes, self.last_of_yes, side="right") - 1
        self.first_yes_of_yes = np.searchsorted(self.yes, self.first_of_yes)

    def counts(self, weights_RN: Array) -> tuple[Array, Array]:
        """Count true and false positives (R, T) at each threshold."""
        drawn_RN = weights_RN[:, self.order]
        yes_RN = np.cumsum(drawn_RN * self.truth, axis=1)
        no_RN = np.cumsum(drawn_RN, axis=1) - yes_RN
        return (yes_RN[:, self.last], no_RN[:, self.last]) if self.tied else (yes_RN, no_RN)

    def auroc_auprc(self, weights_RN: Array) -> Array:
        """Compute the area under the ROC curve (ties count half) and average precision, (R, 2).

        AUROC is NaN unless both classes occur, average precision unless the positive class does. Both are sums over
        the positive rows, of which there are often few: nothing else is kept at full length.
        """
        all_RN = np.cumsum(weights_RN[:, self.order], axis=1)
        if not all_RN.shape[1]:
            return np.full((len(weights_RN), 2), np.nan)
        found_RP = weights_RN[:, self.order[self.yes]]
        tp_RP = np.cumsum(found_RP, axis=1)
        yes = tp_RP[:, -1] if len(self.yes) else np.zeros(len(weights_RN))
        no = all_RN[:, -1] - yes
        predicted_RP = all_RN[:, self.last_of_yes]
        if self.tied:
            tp_RP = tp_RP[:, self.last_yes_of_yes]
        above_RP = predicted_RP - tp_RP
        if self.tied:  # those tied with it count half
            before = np.pad(all_RN, ((0, 0), (1, 0)))[:, self.first_of_yes]
            before -= np.pad(np.cumsum(found_RP, axis=1), ((0, 0), (1, 0)))[:, self.first_yes_of_yes]
            above_RP = (above_RP + before) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc = 1 - np.einsum("rp,rp->r", found_RP, above_RP) / (yes * no)
            # a row that was not drawn may have nothing above it: its term is 0, whatever the divisor
            precision_RP = tp_RP / np.maximum(predicted_RP, 1e-300)
            average = np.einsum("rp,rp->r", found_RP, precision_RP) / yes
        auroc[(yes == 0) | (no == 0)] = np.nan
        return np.column_stack([auroc, average])


def roc_curve(scores: Array, truth: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return thresholds (T,), true positive rate (T,) and false positive rate (T,); NaN where a class is missing."""
    curve = RocCurve(scores, truth)
    tp_RT, fp_RT = curve.counts(np.ones((1, len(scores))))
    tp, fp = tp_RT[0], fp_RT[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return curve.thresholds, tp / tp[-1], fp / fp[-1]
