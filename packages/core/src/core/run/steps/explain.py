"""Part of step 5: which features the predictions rest on, and whether the explanations are faithful."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.config import derive_seed
from core.evaluation.intervals import resampled_weights
from core.explanation.aggregate import TextAlignment
from core.explanation.attribution import ModelUnderTest, features_per_row, select_method
from core.explanation.config import StandardExplanation
from core.explanation.examples import show_examples
from core.explanation.explain_and_test import explain_and_test, plan_budget
from core.explanation.explained_output import ExplainedOutput
from core.explanation.integrated_gradients import FORWARD_PASSES_PER_STEP
from core.explanation.masker import Masker
from core.explanation.report_section import report_section
from core.explanation.rollout import MethodUnavailable
from core.explanation.section import ExplanationSection
from core.run.state import RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.targets.types import Predictions

RESAMPLES = 1000
SHOWN_OF_SIMULATED = 3
"""Examples shown where the data are simulated."""


def explain(state: RunState) -> ExplanationSection | None:
    """Return the record's ``explanation``; None with ``explanation=none``.

    Only test rows and what the fitted encoder keeps are read.
    """
    settings = state.config.explanation
    if not isinstance(settings, StandardExplanation):
        return None
    evaluation = state.evaluation
    begun, seed = time.perf_counter(), derive_seed(state.config.seed, "explanation")
    test = state.evaluated.evaluation.parts["test"]
    rows = sample_rows(test, settings.rows, seed)
    if len(rows) < 2:
        return ExplanationSection(unavailable="too_few_rows")
    scorer, encoder = state.evaluated.scorer, state.data.encoder
    masker = Masker.from_frame(
        scorer,
        state.data.frames["test"].iloc[rows],
        state.data.dataset.roles.text,
        patches=settings.patches,
        segments=settings.segments,
        num_references=settings.num_references,
    )
    method, method_reason = select_method(settings, masker)
    mean_features = features_per_row(masker)
    passes = settings.compute_fraction * training_forward_passes(state)
    budget = plan_budget(settings, masker, method, passes)
    masker, rows = masker.head(budget.rows), rows[: budget.rows]
    explained = ExplainedOutput.of_predictions(
        state.data.target, test.labels[rows], scorer.outputs(masker.inputs)
    )
    subject = ModelUnderTest(
        state.design.model,
        scorer,
        lambda model: replace(scorer, model=model),
        TextAlignment(encoder.token_offsets, encoder.tfidf_matrix),
    )
    try:
        report = explain_and_test(subject, masker, explained, method, budget.compared, settings, seed)
    except MethodUnavailable as error:
        return ExplanationSection(unavailable=str(error), method=method)
    units = None if test.units is None else test.units[rows]
    weights = np.concatenate(list(resampled_weights(len(rows), units, RESAMPLES, seed)))
    groups = {name: values[rows] for name, values in test.groups.items()}
    large = {
        name: {g for g in set(values.tolist()) if (values == g).sum() >= evaluation.min_group_rows}
        for name, values in test.groups.items()
    }
    section = report_section(report, weights, evaluation.confidence, groups, large, settings.min_group_rows)
    section.method_reason, section.features_per_row = method_reason, mean_features
    section.max_occluded_features = settings.max_occluded_features
    section.rows_requested = min(settings.rows, len(test))
    section.compute_fraction = settings.compute_fraction
    section.stratified = test.type.stratum(test) is not None
    count, section.examples_reason = num_examples(settings.examples, state.data.dataset.simulated)
    section.examples = show_examples(report, test, rows, count)
    section.seconds = time.perf_counter() - begun
    return section


def sample_rows(test: Predictions, count: int, seed: int) -> NDArray[np.int64]:
    """Draw test rows in random order, stratified by predicted class: rare ones are explained too."""
    order = np.random.default_rng(derive_seed(seed, "rows")).permutation(len(test))
    stratum = test.type.stratum(test)
    if stratum is None:
        return order[:count]
    turn = np.empty(len(order), np.int64)
    for label in np.unique(stratum):
        own = np.flatnonzero(stratum[order] == label)
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn, kind="stable")][:count]


def training_forward_passes(state: RunState) -> float:
    """Count training's passes of a row through the network, a backward pass as two: planned, so always the same."""
    epochs = state.design.setup.batches.steps / state.design.setup.epoch_steps
    return FORWARD_PASSES_PER_STEP * epochs * len(state.data.splits["train"])


def num_examples(requested: int | None, simulated: bool) -> tuple[int, str]:
    """Return how many rows are shown with their content, and the code of the reason.

    >>> num_examples(None, simulated=False), num_examples(2, simulated=False)
    ((0, 'withheld'), (2, 'requested'))
    """
    if requested is not None:
        return requested, "requested"
    return (SHOWN_OF_SIMULATED, "simulated") if simulated else (0, "withheld")
