"""How many gamed answers are caught, at a stated rate of false alarms on honest ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.encoders.text_pair_features import reference_lists
from core.data.coercion import to_texts
from core.evaluation.study import StudyResult
from education.grading.adversarial import KINDS, altered
from education.grading.gaming_detector import FILE, Detector
from education.grading.metrics import Array, grades_of
from education.grading.resampling import plain

if TYPE_CHECKING:
    from core.data.types import ColumnRoles
    from core.evaluation.study import EvaluationContext, Json, Study
    from core.targets.types import Predictions
    from education.config import Grading

MOST_TRAINING = 3000
MOST_TEST = 300
"""Test answers that are altered; the rest would only narrow the intervals."""
Texts = tuple[list[str], list[str], list[list[str]]]


def texts_of(frame: pd.DataFrame, roles: ColumnRoles) -> Texts:
    """Read answers, prompts and references of rows; those that the data lack are empty."""
    prompts = to_texts(frame[roles.prompt]) if roles.prompt else [""] * len(frame)
    return to_texts(frame[roles.text[0]]), prompts, reference_lists(frame, roles.references)


def gaming(task: Grading) -> Study:
    """Make the study of gaming."""

    def study(held: EvaluationContext) -> StudyResult:
        if "train" not in held.frames:
            return StudyResult(
                "Not measured: the detector learns from training answers, which this run keeps private."
            )
        roles = held.dataset.roles
        rng = np.random.default_rng(derive_seed(held.seed, "gaming"))
        train = held.frames["train"]
        if len(train) > MOST_TRAINING:
            train = train.iloc[np.sort(rng.permutation(len(train))[:MOST_TRAINING])]
        learnt, honest_ones = texts_of(train, roles), texts_of(held.frames["validation"], roles)
        detector = Detector.fit(*learnt, rng, known_prompts=set(honest_ones[1]) <= set(learnt[1]))
        detector.tune(detector.gamed(detector.chances(*honest_ones)), task.false_alarms)
        test = held.frames["test"]
        if len(test) > MOST_TEST:
            test = test.iloc[np.sort(rng.permutation(len(test))[:MOST_TEST])]
        texts = texts_of(test, roles)
        honest = detector.gamed(detector.chances(*texts)) > detector.threshold
        figures = {"false alarms on honest answers": _share(honest)}
        rows: list[dict[str, Json]] = []
        for kind in KINDS:
            changed = altered(kind, texts[0], texts[1], rng)
            if len(changed) < 2:
                continue
            places = [i for i, _ in changed]
            chances = detector.chances(
                [t for _, t in changed], [texts[1][i] for i in places], [texts[2][i] for i in places]
            )
            caught = detector.gamed(chances) > detector.threshold
            figures[f"{kind} caught"] = _share(caught)
            named = np.array(detector.kinds(chances)) == kind
            rows.append(
                {
                    "altered": kind,
                    "answers": len(changed),
                    "caught": float(caught.mean()),
                    "caught and named so": float((caught & named).mean()),
                    **_graded(held, test, changed, caught, task),
                }
            )
        caught_all = ", ".join(f"{row['altered']} {row['caught']:.0%}" for row in rows)
        alarms = figures["false alarms on honest answers"]["value"]
        return StudyResult(
            f"Caught of altered test answers: {caught_all}; {alarms:.1%} of honest ones are flagged "
            f"(at most {task.false_alarms:.0%} allowed on validation).",
            {**figures, "threshold": plain(detector.threshold)},
            {"Altered test answers": rows},
            notes=[
                "The detector learns from training answers and altered copies of them; its threshold is set on honest "
                "validation answers. It serves in education.feedback too.",
                "An altered answer is made by a rule; people find other ways.",
            ],
            files={FILE: detector.table()},
        )

    return study


def _graded(
    held: EvaluationContext,
    test: pd.DataFrame,
    changed: list[tuple[int, str]],
    caught: NDArray[np.bool_],
    task: Grading,
) -> dict[str, Json]:
    """Tell what grades the altered answers would get: mean change, and how many uncaught get the highest."""
    p = held.parts["test"]
    grades = grades_of(p, task.order)
    if grades is None:
        return {}
    rows = test.iloc[[i for i, _ in changed]].copy()
    rows[held.dataset.roles.text[0]] = pd.Series([t for _, t in changed], index=rows.index, dtype=object)
    scores = held.scorer.scores(rows)
    place = {label: n for n, label in enumerate(held.frames["test"].index)}
    at = np.array([place[label] for label in rows.index], np.int64)
    labels = held.scorer.labels(scores, {name: groups[at] for name, groups in p.groups.items()})
    both = grades_of(_as(p, scores, labels), task.order)
    assert both is not None
    before = grades.rounded[at]
    top = float(np.max(grades.human))
    return {
        "mean change of grade": float((both.rounded - before).mean()),
        "highest grade and not caught": float(((both.rounded >= top) & ~caught).mean()),
    }


def _as(p: Predictions, scores: Array, labels: NDArray[Any]) -> Predictions:
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


def _share(flags: NDArray[np.bool_]) -> dict[str, Json]:
    """Give a share with its Wilson interval (Wilson 1927)."""
    n, share, z = len(flags), float(np.mean(flags)), 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"value": share, "low": float(max(middle - half, 0.0)), "high": float(min(middle + half, 1.0))}
