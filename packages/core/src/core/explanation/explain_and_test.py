"""Everything about one run's explanations that is measured: effects, their faithfulness, sanity and stability."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.config import derive_seed
from core.explanation.aggregate import TextAlignment
from core.explanation.config import LEAST_ROWS
from core.explanation.faithfulness import Faithfulness, faithfulness
from core.explanation.faithfulness import num_forward_passes as passes_of_curves
from core.explanation.integrated_gradients import PASSES, integrated_gradients
from core.explanation.occlusion import occlusion
from core.explanation.ranks import rank_correlation
from core.explanation.rollout import MethodUnavailable, rollout

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.explanation.masker import Masker
    from core.explanation.config import StandardExplanation
    from core.explanation.explained_output import ExplainedOutput
    from core.targets.scorer import Scorer
    from core.targets.types import Array

QUARTER = 4
"""Sanity, stability and other methods are tried on one row in so many, but on the least below."""
LEAST_TRIED = 6


@dataclass(frozen=True)
class ModelUnderTest:
    """What is explained: a model, how it is asked, and how its texts become tokens."""

    model: Model
    scorer: Scorer
    scorer_of: Callable[[Model], Scorer]
    """Makes the scorer of another model of the same run."""
    reading: TextAlignment


@dataclass(frozen=True)
class ExplanationReport:
    """What was measured on N rows, the first n of them for sanity, stability and other methods. P parts."""

    cases: Masker
    question: ExplainedOutput
    method: str
    reason: str
    effects: Array
    """(N, P) in the number explained; NaN where a row has no such part."""
    whole: Array
    empty: Array
    faith: Faithfulness
    sanity: Array
    """(n,) rank correlation of absolute effects with those of the model with permuted weights."""
    stability: Array | None
    """(n,) rank correlation of effects with those of the row changed a little; None where it can't be."""
    comparison: Mapping[str, Array | str]
    """Other method -> (n,) rank correlation of effects (absolute ones with roll-out), or why there is none."""
    notes: list[str]


def select_method(settings: StandardExplanation, cases: Masker) -> tuple[str, str]:
    """Settle which method explains, and say why."""
    if settings.method != "auto":
        return settings.method, f"explanation.method={settings.method} was asked for"
    parts = float(cases.exists().sum(axis=1).mean())
    has = f"a row has {parts:.0f} {plural(cases.unit)} on average"
    if parts <= settings.parts:
        return "occlusion", (
            f"{has}, at most {settings.parts}: each can be removed in turn, which asks the whole model"
        )
    return "integrated_gradients", (
        f"{has}, more than {settings.parts}: removing each in turn would cost too much"
    )


def plural(unit: str) -> str:
    """Write several of a unit."""
    return {"patch": "patches", "stretch": "stretches"}.get(unit, f"{unit}s")


@dataclass(frozen=True)
class ExplanationBudget:
    """How much is explained."""

    rows: int
    compared: tuple[str, ...]
    """Other methods that explain some rows too."""


def plan_budget(settings: StandardExplanation, cases: Masker, method: str, num_forward_passes: float) -> ExplanationBudget:
    """Find how much ``passes`` forward passes pay for, never fewer than the least rows where there are so many.

    Counted, not timed, so that a run repeated explains the same. Other methods come last, the cheapest first.
    """
    costs = {
        "rollout": 1.0,
        "integrated_gradients": float(PASSES * settings.steps),
        "occlusion": float((cases.exists() * cases.tries()).sum(axis=1).mean()),
    }
    curves = passes_of_curves(settings.orders) + 1 + cases.alternatives
    each = costs[method] + curves
    rows = len(cases)
    while rows > LEAST_ROWS and rows * each + 2 * n_check_rows(rows) * costs[method] > num_forward_passes:
        rows -= 1
    left = num_forward_passes - rows * each - 2 * n_check_rows(rows) * costs[method]
    compared = []
    for name, cost in costs.items():
        if settings.compare and name != method and (n_check_rows(rows) * cost <= left or name == "rollout"):
            compared.append(name)
            left -= n_check_rows(rows) * cost
    return ExplanationBudget(rows, tuple(compared))


def n_check_rows(rows: int) -> int:
    """Count the rows on which sanity, stability and other methods are tried."""
    return min(rows, max(LEAST_TRIED, rows // QUARTER))


def with_permuted_weights(model: Model, seed: int) -> Model:
    """Give a copy whose weights are each permuted at random: as large as before, but knowing nothing."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def attribute(
    subject: ModelUnderTest, cases: Masker, question: ExplainedOutput, method: str, settings: StandardExplanation
) -> tuple[Array, list[str]]:
    """Give effects (N, P) by a method, with notes on how well it did."""
    if method == "occlusion":
        return occlusion(subject.scorer, cases, question), []
    if method == "rollout":
        return rollout(subject.model, cases, subject.reading), []
    found = integrated_gradients(subject.model, cases, question, subject.reading, settings.steps)
    return found.effects, found.notes()


def explain_and_test(
    subject: ModelUnderTest,
    cases: Masker,
    question: ExplainedOutput,
    method: str,
    reason: str,
    compared: Sequence[str],
    settings: StandardExplanation,
    seed: int,
) -> ExplanationReport:
    """Explain the rows by a method and test the explanations, and explain some by other methods too."""
    effects, notes = attribute(subject, cases, question, method, settings)
    whole, empty = question.whole(subject.scorer, cases)
    generator = np.random.default_rng(derive_seed(seed, "orders"))
    faith = faithfulness(subject.scorer, cases, question, effects, whole, empty, settings.orders, generator)
    some = cases.first(n_check_rows(len(cases)))
    own = effects[: len(some), : some.count]
    other = with_permuted_weights(subject.model, derive_seed(seed, "permuted"))
    ignorant = ModelUnderTest(other, subject.scorer_of(other), subject.scorer_of, subject.reading)
    sanity = rank_correlation(own, attribute(ignorant, some, question, method, settings)[0], sizes_only=True)
    return ExplanationReport(
        cases,
        question,
        method,
        reason,
        effects,
        whole,
        empty,
        faith,
        sanity,
        _stability(subject, some, question, own, method, settings, seed),
        _compared(subject, some, question, own, method, compared, settings),
        notes,
    )


def _stability(
    subject: ModelUnderTest,
    cases: Masker,
    question: ExplainedOutput,
    effects: Array,
    method: str,
    settings: StandardExplanation,
    seed: int,
) -> Array | None:
    stirred = cases.stirred(np.random.default_rng(derive_seed(seed, "stirred")))
    if stirred is None:
        return None
    changed, lost = stirred
    again, _ = attribute(subject, changed, question, method, settings)
    kept = np.full(again.shape, np.nan)
    for row, part in enumerate(lost):
        left = effects[row] if part < 0 else np.delete(effects[row], part)
        kept[row, : min(len(left), again.shape[1])] = left[: again.shape[1]]
    return rank_correlation(kept, again)


def _compared(
    subject: ModelUnderTest,
    cases: Masker,
    question: ExplainedOutput,
    effects: Array,
    method: str,
    compared: Sequence[str],
    settings: StandardExplanation,
) -> dict[str, Array | str]:
    found: dict[str, Array | str] = {}
    for name in compared:
        try:
            other, _ = attribute(subject, cases, question, name, settings)
        except MethodUnavailable as error:
            found[name] = str(error)
            continue
        found[name] = rank_correlation(effects, other, sizes_only="rollout" in (name, method))
    return found
