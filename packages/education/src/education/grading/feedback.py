"""Feedback on answers: grade, human review, gaming, words that changed the grade, what is missing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic_io import write_atomically
from core.data.encoders.columns import ColumnsEncoder
from core.explanation.word_occlusion import WordEffect, word_effects
from core.oversight.decision_rule import CONFIRM, UNSURE
from core.report.console import print_lines
from core.report.sentences.notices import SIMULATED_MODEL
from core.serving.load import LoadedRun, load
from core.serving.verbs import raw_rows
from education.grading.gaming_detection import texts_of
from education.grading.gaming_detector import GamingDetector, read_detector
from education.grading.human_review import label_probability
from education.grading.word_attribution import MAX_WORDS, label_probability_score

if TYPE_CHECKING:
    import pandas as pd

    from core.domain import Domain
    from education.grading.command import FeedbackConfig

MISSING_WORDS = 8
"""Most missing words of the reference that are listed."""
log = logging.getLogger(__name__)


def feedback(config: FeedbackConfig, folder: Path, domain: Domain) -> list[dict[str, Any]]:
    """Run the command ``feedback``: write the lines; return them."""
    return write_feedback(config.run, config.input, config.output, config.words, config.device)


def print_summary(lines: list[dict[str, Any]]) -> None:
    """Print how many answers were graded and how many of them go to a human."""
    print_lines(f"{len(lines)} answers, {sum(line['to_human'] for line in lines)} of them for human review")


def write_feedback(run: str, source: str, output: str, words: int, device: str) -> list[dict[str, Any]]:
    """Read answers, grade and explain them, write one JSON line each, and return the lines.

    Raises ValueError for a run without classes or without a text, for missing columns, and for an output that can't
    be written.
    """
    target = Path(output)
    if target.suffix not in (".jsonl", ".ndjson"):
        raise ValueError(f"output={output}: feedback is JSON lines; its suffix must be .jsonl")
    if not target.parent.is_dir():
        raise ValueError(f"output={output}: there is no folder {target.parent}; create it first")
    if words < 0:
        raise ValueError(f"words={words}: 0 or more")
    loaded = load(run, device)
    if not loaded.target.has_row_class or len(loaded.roles.text) != 1:
        raise ValueError(f"run={run}: feedback needs a run that grades one text column in classes")
    lines = feedback_lines(loaded, raw_rows(source, None, loaded.contract), words)
    write_atomically(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    if loaded.run.record.data.simulated:
        log.warning(SIMULATED_MODEL)
    return lines


def feedback_lines(loaded: LoadedRun, frame: pd.DataFrame, words: int) -> list[dict[str, Any]]:
    """Return the feedback of raw rows, in their order."""
    scores = loaded.scores(frame)
    labels = np.asarray(loaded.labels(scores, frame), np.int64)
    confidence = label_probability(scores, labels)
    decisions = loaded.decisions(frame, scores, labels)
    if decisions is None:
        raise ValueError(
            f"run={loaded.run.path}: it has no rules of oversight, which decide the grades that a human gives; train "
            "it again"
        )
    human = np.isin(decisions.decision, (UNSURE, CONFIRM))
    detector = read_detector(loaded.run.path)
    texts = texts_of(frame, loaded.roles)
    flags = _flags(detector, texts)
    column = loaded.roles.text[0]
    effects: list[list[WordEffect]] = [[] for _ in labels]
    if words:
        effects = word_effects(loaded.scorer(), frame, column, label_probability_score(labels), MAX_WORDS)
    encoder = loaded.encoder
    pairs = encoder.text_pairs if isinstance(encoder, ColumnsEncoder) else None
    lines = []
    for n in range(len(frame)):
        answer, prompt, references = texts[0][n], texts[1][n], texts[2][n]
        row: dict[str, Any] = {
            "row": n + 1,
            column: answer,
            "grade": loaded.target.classes[labels[n]],
            "probability": round(float(confidence[n]), 4),
            "to_human": bool(human[n] or flags[n]["flagged"]),
            "gaming": flags[n],
        }
        if words:
            strongest = sorted(effects[n], key=lambda e: -abs(e.effect))[:words]
            row["words"] = [
                {"word": e.word, "start": e.start, "effect": round(e.effect, 4)}
                for e in strongest
                if e.effect
            ]
        if pairs is not None and references:
            best, missing = pairs.missing(answer, references, prompt)
            row["nearest_reference"], row["missing"] = best, missing[:MISSING_WORDS]
        lines.append(row)
    return lines


def _flags(
    detector: GamingDetector | None, texts: tuple[list[str], list[str], list[list[str]]]
) -> list[dict[str, Any]]:
    if detector is None:
        return [{"flagged": False, "kind": None, "probability": None} for _ in texts[0]]
    probabilities = detector.probabilities(*texts)
    gaming, kinds = detector.gaming_probability(probabilities), detector.likeliest_kinds(probabilities)
    return [
        {
            "flagged": bool(g > detector.threshold),
            "kind": kind if g > detector.threshold else None,
            "probability": round(float(g), 4),
        }
        for g, kind in zip(gaming, kinds, strict=True)
    ]
