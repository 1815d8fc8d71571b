"""Detection of gamed answers: recall by kind at a bounded false positive rate on honest answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import derive_seed
from core.config.section import Estimate
from core.data.coercion import to_texts
from core.data.encoders.text_pair_features import reference_lists
from core.evaluation.bootstrap import estimate
from core.evaluation.intervals import binomial_interval
from core.evaluation.study import StudyResult
from education.grading.adversarial import KINDS, make_adversarial
from education.grading.gaming_detector import FILE, GamingDetector
from education.grading.metrics import Array, grades_of

if TYPE_CHECKING:
    from core.data.types import ColumnRoles
    from core.evaluation.study import EvaluationContext, Json, Study
    from core.targets.types import Predictions
    from education.config import GradingTask

MAX_TRAINING = 3000
MAX_TEST = 300
"""Test answers that are altered; more would only narrow the intervals."""
Texts = tuple[list[str], list[str], list[list[str]]]


def texts_of(frame: pd.DataFrame, roles: ColumnRoles) -> Texts:
    """Return answers, prompts and references of rows; those that the data lack are empty."""
    prompts = to_texts(frame[roles.prompt]) if roles.prompt else [""] * len(frame)
    return to_texts(frame[roles.text[0]]), prompts, reference_lists(frame, roles.references)


def gaming_detection(task: GradingTask) -> Study:
    """Return the study of gaming detection."""

    def study(context: EvaluationContext) -> StudyResult:
        if "train" not in context.frames:
            return StudyResult(
                "Not measured: the detector learns from training answers, which this run keeps private."
            )
        roles = context.dataset.roles
        rng = np.random.default_rng(derive_seed(context.seed, "gaming"))
        train = context.frames["train"]
        if len(train) > MAX_TRAINING:
            train = train.iloc[np.sort(rng.permutation(len(train))[:MAX_TRAINING])]
        training, validation = texts_of(train, roles), texts_of(context.frames["validation"], roles)
        detector = GamingDetector.fit(*training, rng, known_prompts=set(validation[1]) <= set(training[1]))
        detector.set_threshold(
            detector.gaming_probability(detector.probabilities(*validation)), task.gaming_max_fpr
        )
        test = context.frames["test"]
        if len(test) > MAX_TEST:
            test = test.iloc[np.sort(rng.permutation(len(test))[:MAX_TEST])]
        texts = texts_of(test, roles)
        honest = detector.gaming_probability(detector.probabilities(*texts)) > detector.threshold
        metrics = {"false_positive_rate": _proportion(honest)}
        rows: list[dict[str, Json]] = []
        for kind in KINDS:
            changed = make_adversarial(kind, texts[0], texts[1], rng)
            if len(changed) < 2:
                continue
            places = [i for i, _ in changed]
            probabilities = detector.probabilities(
                [t for _, t in changed], [texts[1][i] for i in places], [texts[2][i] for i in places]
            )
            caught = detector.gaming_probability(probabilities) > detector.threshold
            metrics[f"recall_{kind.replace(' ', '_').replace('-', '_')}"] = _proportion(caught)
            identified = np.array(detector.likeliest_kinds(probabilities)) == kind
            rows.append(
                {
                    "kind": kind,
                    "answers": len(changed),
                    "recall": float(caught.mean()),
                    "recall with the right kind": float((caught & identified).mean()),
                    **_graded(context, test, changed, caught, task),
                }
            )
        recalls = ", ".join(f"{row['kind']} {row['recall']:.0%}" for row in rows)
        fpr = metrics["false_positive_rate"].value
        return StudyResult(
            f"Recall on gamed test answers: {recalls}; the false positive rate on honest ones is {fpr:.1%} "
            f"(at most {task.gaming_max_fpr:.0%} on validation).",
            {**metrics, "threshold": estimate(detector.threshold)},
            {"Gamed test answers": rows},
            notes=[
                "The detector is trained on training answers and altered copies of them; its threshold is set on "
                "honest validation answers. education.feedback uses it too.",
                "Answers are altered by rules; people find other ways.",
            ],
            files={FILE: detector.to_table()},
        )

    return study


def _graded(
    context: EvaluationContext,
    test: pd.DataFrame,
    changed: list[tuple[int, str]],
    caught: NDArray[np.bool_],
    task: GradingTask,
) -> dict[str, Json]:
    """Return the mean change of grade of altered answers, and the fraction with the highest grade, undetected."""
    p = context.parts["test"]
    grades = grades_of(p, task.grade_order)
    if grades is None:
        return {}
    rows = test.iloc[[i for i, _ in changed]].copy()
    rows[context.dataset.roles.text[0]] = pd.Series([t for _, t in changed], index=rows.index, dtype=object)
    scores = context.scorer.scores(rows)
    place = {label: n for n, label in enumerate(context.frames["test"].index)}
    at = np.array([place[label] for label in rows.index], np.int64)
    labels = context.scorer.labels(scores, {name: groups[at] for name, groups in p.groups.items()})
    both = grades_of(_with_scores(p, scores, labels), task.grade_order)
    assert both is not None
    before = grades.rounded[at]
    top = float(np.max(grades.human))
    return {
        "mean change of grade": float((both.rounded - before).mean()),
        "highest grade, not detected": float(((both.rounded >= top) & ~caught).mean()),
    }


def _with_scores(p: Predictions, scores: Array, labels: NDArray[Any]) -> Predictions:
    n = len(scores)
    return replace(
        p,
        scores=scores,
        labels=labels,
        targets=np.zeros(n, np.int64),
        groups={},
        units=None,
        index=np.arange(n),
    )


def _proportion(flags: NDArray[np.bool_]) -> Estimate:
    """Return a proportion with its Wilson interval."""
    low, high = binomial_interval(int(flags.sum()), len(flags), 0.95, "wilson")
    return Estimate(value=float(np.mean(flags)), low=low, high=high)
