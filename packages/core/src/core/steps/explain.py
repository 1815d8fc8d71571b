"""Part of step 5: why the model answers as it does, and whether the explanations hold."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import RunConfig, derive_seed
from core.evaluation.intervals import resampled_weights
from core.explanation.config import NoExplanation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explain_and_test import ExplanationReport
    from core.steps.design import ModelAndData
    from core.steps.evaluate import EvaluationResult
    from core.steps.prepare import PreparedData
    from core.targets.types import Array, Predictions

RESAMPLES = 1000
BALANCED = ("binary", "multiclass", "ordinal", "tokens")
"""Kinds of targets whose explained rows are drawn alike from every decision."""


def explain(
    config: RunConfig, prepared: PreparedData, designed: ModelAndData, judged: EvaluationResult
) -> dict[str, Any] | None:
    """Give the record's ``explanation`` section; None where none was asked for.

    Only test rows and what the fitted encoder keeps are read.
    """
    if isinstance(config.explanation, NoExplanation):
        return None
    from core.explanation.aggregate import TextAlignment
    from core.explanation.masker import Masker
    from core.explanation.explained_output import ExplainedOutput
    from core.explanation.rollout import MethodUnavailable
    from core.explanation.report_section import section
    from core.explanation.explain_and_test import ModelUnderTest, plan_budget, select_method, explain_and_test

    begun = time.perf_counter()
    settings, seed = config.explanation, derive_seed(config.seed, "explanation")
    test = judged.evaluation.parts["test"]
    rows = sample_rows(test, settings.rows, seed)
    if len(rows) < 2:
        return {"headline": "Not explained", "detail": "The test part has fewer than two rows.", "rows": 0}
    scorer, encoder = judged.scorer, prepared.encoder
    cases = Masker.of(
        scorer,
        prepared.frames["test"].iloc[rows],
        prepared.dataset.roles.text,
        patches=settings.patches,
        stretches=settings.stretches,
        references=settings.references,
    )
    method, reason = select_method(settings, cases)
    extent = plan_budget(settings, cases, method, settings.share * trained_passes(designed, prepared))
    most = extent.rows
    cases = cases.first(most)
    rows = rows[:most]
    question = ExplainedOutput.of(prepared.target, test.labels[rows], scorer.outputs(cases.inputs))
    subject = ModelUnderTest(
        designed.model,
        scorer,
        lambda model: replace(scorer, model=model),
        TextAlignment(encoder.token_offsets, encoder.tfidf_matrix),
    )
    try:
        trial = explain_and_test(subject, cases, question, method, reason, extent.compared, settings, seed)
    except MethodUnavailable as error:
        why = f"explanation.method={method}: {error}; choose another method."
        return {"headline": "Not explained", "detail": why, "rows": 0}
    units = None if test.units is None else test.units[rows]
    weights = np.concatenate(list(resampled_weights(len(rows), units, RESAMPLES, seed)))
    groups = {name: values[rows] for name, values in test.groups.items()}
    large = {
        name: {g for g in set(values.tolist()) if (values == g).sum() >= config.evaluation.min_group_rows}
        for name, values in test.groups.items()
    }
    found = section(trial, weights, config.evaluation.confidence, groups, large, settings.minimum_group)
    asked = min(settings.rows, len(test))
    if most < asked:
        found["notes"].append(
            f"{most} of {asked} rows were explained: more would take over {settings.share:.0%} of training's passes "
            "through the network (explanation.share)."
        )
    balanced = test.kind in BALANCED
    found["notes"].append(
        "Rows are drawn at random from the test part" + (", of every decision alike." if balanced else ".")
    )
    shown, why = _shown(settings.examples, prepared.dataset.simulated)
    found["notes"].append(why)
    found["examples"] = _examples(trial, test, rows, shown)
    found["seconds"] = time.perf_counter() - begun
    return found


def sample_rows(test: Predictions, count: int, seed: int) -> NDArray[np.int64]:
    """Draw test rows in random order, of every decision alike while there are any: rare ones are explained too."""
    order = np.random.default_rng(derive_seed(seed, "rows")).permutation(len(test))
    if test.kind not in BALANCED:
        return order[:count]
    decided = test.labels[:, 0] if test.kind == "tokens" else test.labels
    turn = np.empty(len(order), np.int64)
    for label in np.unique(decided):
        own = np.flatnonzero(decided[order] == label)
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn, kind="stable")][:count]


def trained_passes(designed: ModelAndData, prepared: PreparedData) -> float:
    """Count training's passes of a row through the network, a backward pass as two: planned, so always the same."""
    from core.explanation.integrated_gradients import PASSES

    return PASSES * designed.setup.batches.steps / designed.setup.epoch_steps * len(prepared.parts["train"])


def _shown(examples: int | None, simulated: bool) -> tuple[int, str]:
    if examples is not None:
        return (
            examples,
            f"explanation.examples={examples} was asked for: {examples} test rows are shown with content.",
        )
    if simulated:
        return 3, "The data are simulated: three test rows are shown with their content."
    return 0, (
        "No single row is shown, because these are no simulated data: explanation.examples=3 shows three, with what is "
        "in them."
    )


def _examples(trial: ExplanationReport, test: Predictions, rows: NDArray[np.int64], count: int) -> list[dict[str, Any]]:
    from core.explanation.examples import select_examples, show_example

    if not count:
        return []
    sure, right = _sureness(test, rows)
    found = []
    for place, why in select_examples(sure, right, count):
        row = rows[place]
        found.append(
            {
                "row": int(test.index[row]),
                "why": why,
                "decided": _named(test, test.labels, row),
                "truth": _named(test, test.targets, row),
                "explains": trial.question.names()[place],
                "score": None if test.kind in ("regression", "mask") else float(sure[place]),
                **show_example(trial, place),
            }
        )
    return found


def _sureness(test: Predictions, rows: NDArray[np.int64]) -> tuple[Array, NDArray[np.bool_] | None]:
    """Give how sure each answer is, (n,), and whether it is right; None where answers are not right or wrong."""
    scores, labels, targets = test.scores[rows], test.labels[rows], test.targets[rows]
    if test.kind == "regression":
        return -np.abs(labels - targets), None
    if test.kind == "mask":
        return -np.asarray((labels != targets).mean(axis=(1, 2)), np.float64), None
    if test.kind == "multilabel":
        return np.abs(scores - 0.5).min(axis=1) + 0.5, (labels == targets).all(axis=1)
    if test.kind == "tokens":
        labels, targets = labels[:, 0], targets[:, 0]
    return scores[np.arange(len(rows)), labels.astype(np.int64)], labels == targets


def _named(test: Predictions, values: NDArray[Any], row: int) -> str:
    if test.kind == "regression":
        return f"{float(values[row]):.3g}"
    if test.kind == "mask":
        return "a picture"
    if test.kind == "multilabel":
        names = [name for name, given in zip(test.classes, values[row], strict=True) if given]
        return ", ".join(names) or "none"
    return test.classes[int(values[row, 0] if test.kind == "tokens" else values[row])]
