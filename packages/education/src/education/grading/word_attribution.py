"""Faithfulness of word attributions: removing the attributed words, against removing random words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.config.section import Estimate
from core.evaluation.bootstrap import estimate
from core.evaluation.study import StudyResult
from core.explanation.word_occlusion import WordEffect, scores_without_spans, word_effects

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study
    from core.explanation.word_occlusion import ExplainedScore
    from core.targets.types import Array

ANSWERS = 50
"""Test answers that are explained."""
REMOVED = 2
"""Words removed together."""
MAX_WORDS = 60


def label_probability_score(labels: NDArray[np.int64]) -> ExplainedScore:
    """Return the explained score: the probability of each row's own grade, labels (N,)."""
    return lambda scores, places: np.asarray(scores[np.arange(len(scores)), labels[places]], np.float64)


def word_attribution() -> Study:
    """Return the study of word attributions."""

    def study(context: EvaluationContext) -> StudyResult:
        column = context.dataset.roles.text[0]
        p, frame = context.parts["test"], context.frames["test"]
        rng = np.random.default_rng(derive_seed(context.seed, "words"))
        chosen = np.sort(rng.permutation(len(frame))[:ANSWERS])
        rows, labels = frame.iloc[chosen], p.labels[chosen].astype(np.int64)
        explained = label_probability_score(labels)
        base = explained(p.scores[chosen], np.arange(len(rows)))
        effects = word_effects(context.scorer, rows, column, explained, MAX_WORDS)
        long = [n for n, row in enumerate(effects) if len(row) > 2 * REMOVED]
        if len(long) < 2:
            return StudyResult("Too few test answers are long enough to remove words from.")

        def drops(picked: list[list[WordEffect]]) -> Array:
            spans = [[(w.start, w.start + len(w.word)) for w in words] for words in picked]
            return base - scores_without_spans(context.scorer, rows, column, explained, spans)

        strongest = [sorted(row, key=lambda e: -e.effect)[:REMOVED] for row in effects]
        others = [[row[i] for i in rng.permutation(len(row))[:REMOVED]] for row in effects]
        a, b = drops(strongest)[long], drops(others)[long]
        order = rng.integers(len(a), size=(500, len(a)))
        low, high = np.quantile((a - b)[order].mean(axis=1), [0.025, 0.975])
        return StudyResult(
            f"Removing the {REMOVED} strongest attributed words lowers the grade's probability by {a.mean():.2f} on "
            f"average, removing {REMOVED} random words by {b.mean():.2f}.",
            {
                "drop_attributed_words": estimate(a.mean()),
                "drop_random_words": estimate(b.mean()),
                "difference": Estimate(value=float((a - b).mean()), low=float(low), high=float(high)),
            },
            notes=[
                f"{len(a)} test answers with more than {2 * REMOVED} words; each word is removed in turn and the "
                "answer scored again (occlusion).",
                "That words change the machine's grade does not mean that they are right or wrong.",
            ],
        )

    return study
