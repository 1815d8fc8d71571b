"""Do the words that are named as having moved a grade really move it? Tested against words drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.study import StudyResult
from core.explanation.word_occlusion import WordEffect, scores_without_spans, word_effects
from education.grading.resampling import plain

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study
    from core.explanation.word_occlusion import ExplainedScore
    from core.targets.types import Array

ANSWERS = 50
"""Test answers that are looked at."""
REMOVED = 2
"""Words removed together."""
MOST_WORDS = 60


def probability_of(labels: NDArray[np.int64]) -> ExplainedScore:
    """Make the outcome: the probability of each row's own grade, labels (N,)."""
    return lambda scores, places: np.asarray(scores[np.arange(len(scores)), labels[places]], np.float64)


def moving_words() -> Study:
    """Make the study of words."""

    def study(held: EvaluationContext) -> StudyResult:
        column = held.dataset.roles.text[0]
        p, frame = held.parts["test"], held.frames["test"]
        rng = np.random.default_rng(derive_seed(held.seed, "words"))
        chosen = np.sort(rng.permutation(len(frame))[:ANSWERS])
        rows, labels = frame.iloc[chosen], p.labels[chosen].astype(np.int64)
        outcome = probability_of(labels)
        base = outcome(p.scores[chosen], np.arange(len(rows)))
        effects = word_effects(held.scorer, rows, column, outcome, MOST_WORDS)
        long = [n for n, row in enumerate(effects) if len(row) > 2 * REMOVED]
        if len(long) < 2:
            return StudyResult("Too few test answers are long enough to remove words from.")

        def falls(picked: list[list[WordEffect]]) -> Array:
            spans = [[(w.start, w.start + len(w.word)) for w in words] for words in picked]
            return base - scores_without_spans(held.scorer, rows, column, outcome, spans)

        strongest = [sorted(row, key=lambda e: -e.effect)[:REMOVED] for row in effects]
        others = [[row[i] for i in rng.permutation(len(row))[:REMOVED]] for row in effects]
        a, b = falls(strongest)[long], falls(others)[long]
        order = rng.integers(len(a), size=(500, len(a)))
        low, high = np.quantile((a - b)[order].mean(axis=1), [0.025, 0.975])
        return StudyResult(
            f"Removing the {REMOVED} named words lowers the grade's probability by {a.mean():.2f} on average, removing "
            f"{REMOVED} words at random by {b.mean():.2f}.",
            {
                "fall without the named words": plain(float(a.mean())),
                "fall without random words": plain(float(b.mean())),
                "difference": {"value": float((a - b).mean()), "low": float(low), "high": float(high)},
            },
            notes=[
                f"{len(a)} test answers with more than {2 * REMOVED} words; each word is left out in turn and the "
                "answer scored again (occlusion).",
                "That the named words move the machine's grade does not say that they are right or wrong.",
            ],
        )

    return study
