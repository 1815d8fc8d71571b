"""Explain a run's rows and test the explanations: faithfulness, sanity, stability, agreement of methods."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import ConstantInputWarning, spearmanr

from core.config import derive_seed
from core.explanation.attribution import Attributions, ModelUnderTest, attribute
from core.explanation.config import MIN_ROWS
from core.explanation.faithfulness import Faithfulness, faithfulness, num_forward_passes
from core.explanation.integrated_gradients import FORWARD_PASSES_PER_STEP
from core.explanation.rollout import MethodUnavailable

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.explanation.config import StandardExplanation
    from core.explanation.explained_output import ExplainedOutput
    from core.explanation.masker import Masker
    from core.targets.types import Array

ONE_IN = 4
"""Sanity, stability and other methods are tested on one row in so many, but on at least the number below."""
MIN_CHECK_ROWS = 6


@dataclass(frozen=True)
class ExplanationReport:
    """What was measured on N rows, the first n of them for sanity, stability and other methods. P features."""

    masker: Masker
    explained: ExplainedOutput
    method: str
    attributions: Attributions
    full: Array
    """(N,) output of each row as it is."""
    empty: Array
    """(N,) output with all features masked."""
    faithfulness: Faithfulness
    sanity: Array
    """(n,) rank correlation of absolute effects with those of the model with permuted weights."""
    stability: Array | None
    """(n,) rank correlation of effects with those of the perturbed row; None where no input can be perturbed."""
    comparison: Mapping[str, Array | str]
    """Other method -> (n,) rank correlation of effects (absolute ones with rollout), or why it is unavailable."""

    @property
    def effects(self) -> Array:
        """(N, P) effects in the explained output; NaN where a row has no such feature."""
        return self.attributions.effects


@dataclass(frozen=True)
class ExplanationBudget:
    """How much is explained."""

    rows: int
    compared: tuple[str, ...]
    """Other methods that explain some rows too."""


def plan_budget(
    settings: StandardExplanation, masker: Masker, method: str, passes: float
) -> ExplanationBudget:
    """Return how much ``passes`` forward passes pay for, never fewer than ``MIN_ROWS`` rows where there are so many.

    Counted, not timed, so that a repeated run explains the same. Other methods come last, the cheapest first.
    """
    costs = {
        "rollout": 1.0,
        "integrated_gradients": float(FORWARD_PASSES_PER_STEP * settings.steps),
        "occlusion": float((masker.present() * masker.references_per_feature()).sum(axis=1).mean()),
    }
    curves = num_forward_passes(settings.random_orders) + 1 + masker.num_references
    each = costs[method] + curves
    rows = len(masker)
    while rows > MIN_ROWS and rows * each + 2 * n_check_rows(rows) * costs[method] > passes:
        rows -= 1
    left = passes - rows * each - 2 * n_check_rows(rows) * costs[method]
    compared = []
    for name, cost in costs.items():
        if settings.compare and name != method and (n_check_rows(rows) * cost <= left or name == "rollout"):
            compared.append(name)
            left -= n_check_rows(rows) * cost
    return ExplanationBudget(rows, tuple(compared))


def n_check_rows(rows: int) -> int:
    """Return the number of rows on which sanity, stability and other methods are tested.

    >>> n_check_rows(400), n_check_rows(12)
    (100, 6)
    """
    return min(rows, max(MIN_CHECK_ROWS, rows // ONE_IN))


def with_permuted_weights(model: Model, seed: int) -> Model:
    """Return a copy whose weights are each permuted at random: of the same distribution, without what was learnt."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def rank_correlation(effects: Array, others: Array, absolute: bool = False) -> Array:
    """Compute Spearman's correlation of each row's effects, (N, P) each, (N,).

    Features that are NaN in either are left out; NaN for a row of fewer than three features or without differences.
    ``absolute`` compares absolute effects, as for explanations without sign.

    >>> rank_correlation(np.array([[1.0, 2.0, 3.0, np.nan]]), np.array([[0.1, 0.3, 0.2, 5.0]])).round(2)
    array([0.5])
    """
    found = np.full(len(effects), np.nan)
    for row, (a, b) in enumerate(zip(effects, others, strict=True)):
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() < 3:
            continue
        x, y = (np.abs(a[both]), np.abs(b[both])) if absolute else (a[both], b[both])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)  # no differences: NaN
            found[row] = spearmanr(x, y).statistic
    return found


def explain_and_test(
    subject: ModelUnderTest,
    masker: Masker,
    explained: ExplainedOutput,
    method: str,
    compared: Sequence[str],
    settings: StandardExplanation,
    seed: int,
) -> ExplanationReport:
    """Explain the rows by a method and test the explanations; explain some by other methods too.

    Raises ``MethodUnavailable`` where the network does not have the method.
    """
    attributions = attribute(subject, masker, explained, method, settings)
    effects = attributions.effects
    full, empty = explained.full_and_empty(subject.scorer, masker)
    generator = np.random.default_rng(derive_seed(seed, "orders"))
    faithful = faithfulness(
        subject.scorer, masker, explained, effects, full, empty, settings.random_orders, generator
    )
    some = masker.head(n_check_rows(len(masker)))
    own = effects[: len(some), : some.num_features]
    other = with_permuted_weights(subject.model, derive_seed(seed, "permuted"))
    randomized = ModelUnderTest(other, subject.scorer_of(other), subject.scorer_of, subject.alignment)
    by_randomized = attribute(randomized, some, explained, method, settings).effects
    return ExplanationReport(
        masker,
        explained,
        method,
        attributions,
        full,
        empty,
        faithful,
        rank_correlation(own, by_randomized, absolute=True),
        _stability(subject, some, explained, own, method, settings, seed),
        _comparison(subject, some, explained, own, method, compared, settings),
    )


def _stability(
    subject: ModelUnderTest,
    masker: Masker,
    explained: ExplainedOutput,
    effects: Array,
    method: str,
    settings: StandardExplanation,
    seed: int,
) -> Array | None:
    perturbed = masker.perturbed(np.random.default_rng(derive_seed(seed, "stirred")))
    if perturbed is None:
        return None
    changed, lost = perturbed
    again = attribute(subject, changed, explained, method, settings).effects
    kept = np.full(again.shape, np.nan)
    for row, feature in enumerate(lost):
        left = effects[row] if feature < 0 else np.delete(effects[row], feature)
        kept[row, : min(len(left), again.shape[1])] = left[: again.shape[1]]
    return rank_correlation(kept, again)


def _comparison(
    subject: ModelUnderTest,
    masker: Masker,
    explained: ExplainedOutput,
    effects: Array,
    method: str,
    compared: Sequence[str],
    settings: StandardExplanation,
) -> dict[str, Array | str]:
    found: dict[str, Array | str] = {}
    for name in compared:
        try:
            other = attribute(subject, masker, explained, name, settings).effects
        except MethodUnavailable as error:
            found[name] = str(error)
            continue
        found[name] = rank_correlation(effects, other, absolute="rollout" in (name, method))
    return found
