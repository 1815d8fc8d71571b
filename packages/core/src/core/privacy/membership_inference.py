"""Membership inference: how well a model's losses separate its training rows from others.

Scores compare the model's loss on a row with that of shadow models, each trained on a random half of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.config.section import Estimate
from core.privacy.section import AttackResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.1)
"""False positive rates at which true positives are counted (Carlini et al. 2022: averages hide what is certain)."""
RESAMPLES = 500


def rmia(losses_N: NDArray[np.float64], shadows_KN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of rows by the relative attack of Zarifzadeh, Liu and Shokri (2024, arXiv:2312.03262, eq. 4).

    The likelihood p(x | model) over its mean under the shadow models. Comparing it with the same ratio of
    other rows, as the paper does, keeps the order and so changes no rate.
    """
    logs = -shadows_KN
    peak = logs.max(axis=0)
    mean = peak + np.log(np.exp(logs - peak).mean(axis=0))
    return np.asarray(-losses_N - mean)


def lira(
    losses_N: NDArray[np.float64], shadows_KN: NDArray[np.float64], inside_KN: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the scores of rows by the likelihood ratio attack of Carlini et al. (2022, arXiv:2112.03570, algorithm 1).

    Logit-scaled confidences are Gaussian under models with and without the row; with few shadow models the
    variances are shared by all rows (section VI-C). Rows that are in all or in none score 0.
    """
    phi_N, phi_KN = _confidence(losses_N), _confidence(shadows_KN)
    means, variances = [], []
    for side in (inside_KN, ~inside_KN):
        count = side.sum(axis=0)
        mean = np.where(count > 0, (phi_KN * side).sum(axis=0) / np.maximum(count, 1), np.nan)
        spread = np.where(side, phi_KN - mean, 0.0)
        freedom = np.maximum(count - 1, 0).sum()
        means.append(mean)
        variances.append(max(float(np.nansum(spread**2) / max(freedom, 1)), 1e-12))
    within, without = (
        -((phi_N - mean) ** 2) / (2 * variance) - 0.5 * np.log(variance)
        for mean, variance in zip(means, variances, strict=True)
    )
    return np.asarray(np.nan_to_num(within - without, nan=0.0))


def _confidence(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of p = exp(-loss)."""
    clipped = np.clip(losses, 1e-12, 50.0)
    return np.asarray(-clipped - np.log(-np.expm1(-clipped)))


@dataclass(frozen=True)
class AttackRoc:
    """The attack's ROC curve along falling scores, from weights of rows."""

    tpr: NDArray[np.float64]
    fpr: NDArray[np.float64]

    def auc(self) -> float:
        """Return the area under the curve; 0.5 is chance."""
        tpr, fpr = np.concatenate([[0.0], self.tpr]), np.concatenate([[0.0], self.fpr])
        return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))

    def tpr_at(self, rate: float) -> float:
        """Return the largest true positive rate whose false positive rate is at most ``rate``."""
        allowed = self.tpr[self.fpr <= rate]
        return float(allowed[-1]) if len(allowed) else 0.0


class RankedScores:
    """Rows in falling order of score, equal scores together."""

    def __init__(
        self, scores: NDArray[np.float64], member: NDArray[np.bool_], units: NDArray[np.int64]
    ) -> None:
        order = np.argsort(-scores, kind="stable")
        self.member, self.units = member[order], units[order]
        ordered = scores[order]
        self.ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def roc(self, weights: NDArray[np.float64] | None = None) -> AttackRoc:
        """Return the curve with a weight for each unit (one for all by default)."""
        weight = np.ones(len(self.member)) if weights is None else weights[self.units]
        true = np.cumsum(weight * self.member)[self.ends]
        false = np.cumsum(weight * ~self.member)[self.ends]
        return AttackRoc(true / true[-1], false / false[-1])


def evaluate_attack(
    attack: Literal["loss", "rmia", "lira"],
    scores: NDArray[np.float64],
    member: NDArray[np.bool_],
    units: NDArray[np.int64],
    *,
    shadow_models: int,
    seed: int,
) -> AttackResult:
    """Return AUC and true positive rates of an attack with 95 % bootstrap intervals over units.

    scores (N,), member (N,) bool, units (N,) int64 codes; a unit is wholly in or wholly out.
    """
    ranked = RankedScores(scores, member, units)
    rng = np.random.default_rng(seed)
    inside = np.unique(units[member])
    outside = np.unique(units[~member])
    draws = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(side, len(side)) for side in (inside, outside)])
        draws.append(
            _summary(ranked.roc(np.bincount(drawn, minlength=int(units.max()) + 1).astype(np.float64)))
        )
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    auc, *rates = (
        Estimate(value=value, low=float(a), high=float(b))
        for value, a, b in zip(_summary(ranked.roc()), low, high, strict=True)
    )
    return AttackResult(
        attack=attack,
        shadow_models=shadow_models,
        members=int(member.sum()),
        non_members=int((~member).sum()),
        auc=auc,
        tpr_at_fpr={f"{rate:g}": found for rate, found in zip(FALSE_POSITIVE_RATES, rates, strict=True)},
    )


def _summary(curve: AttackRoc) -> list[float]:
    return [curve.auc(), *(curve.tpr_at(rate) for rate in FALSE_POSITIVE_RATES)]
