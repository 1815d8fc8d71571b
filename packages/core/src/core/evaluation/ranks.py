"""Rank statistics of one score against a yes/no truth, for many weightings of the rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.types import Array


class Ranking:
    """Rows sorted by falling score once; counts of every threshold for any weights afterwards.

    ``scores`` (N,), higher = more likely yes; ``truth`` (N,) bool. T = distinct scores.
    """

    def __init__(self, scores: Array, truth: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else self.order
        self.cuts: Array = ranked[self.last]
        """(T,) distinct scores, falling: the threshold "score >= cut" of each column of the counts."""
        self.truth = truth[self.order]
        self.tied = len(self.last) < len(ranked)

    def counts(self, weights_RN: Array) -> tuple[Array, Array]:
        """Give (R, T) true and false positives of calling yes at or above each cut."""
        drawn_RN = weights_RN[:, self.order]
        yes_RN = np.cumsum(drawn_RN * self.truth, axis=1)
        no_RN = np.cumsum(drawn_RN, axis=1) - yes_RN
        return (yes_RN[:, self.last], no_RN[:, self.last]) if self.tied else (yes_RN, no_RN)

    def areas(self, weights_RN: Array) -> Array:
        """Give (R, 2): area under the ROC curve (ties count half) and average precision.

        AUROC is NaN unless both answers occur, average precision unless yes occurs.
        """
        tp_RT, fp_RT = self.counts(weights_RN)
        if not tp_RT.shape[1]:
            return np.full((len(weights_RN), 2), np.nan)
        yes, no = tp_RT[:, -1], fp_RT[:, -1]
        found_RT = np.diff(tp_RT, axis=1, prepend=0.0)
        # trapezoid without a second difference: sum of fp steps x mean tp = P*N - sum of tp steps x mean fp
        missed = np.einsum("rt,rt->r", found_RT, fp_RT)
        missed -= 0.5 * np.einsum("rt,rt->r", found_RT, np.diff(fp_RT, axis=1, prepend=0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc = 1 - missed / (yes * no)
            # where nothing was called yes, nothing was found either: the term is 0, whatever the divisor
            precision_RT = tp_RT / np.maximum(tp_RT + fp_RT, 1e-300)
            average = np.einsum("rt,rt->r", found_RT, precision_RT) / yes
        auroc[(yes == 0) | (no == 0)] = np.nan
        return np.column_stack([auroc, average])


def rates(scores: Array, truth: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Give cuts (T,), sensitivity (T,) and false-positive rate (T,) of the rows as they are; NaN if one-sided."""
    ranking = Ranking(scores, truth)
    tp_RT, fp_RT = ranking.counts(np.ones((1, len(scores))))
    tp, fp = tp_RT[0], fp_RT[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return ranking.cuts, tp / tp[-1], fp / fp[-1]
