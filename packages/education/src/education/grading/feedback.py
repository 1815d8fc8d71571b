"""What a pupil is told about one answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.encoders.columns import ColumnsEncoder
from core.explanation.word_occlusion import WordEffect, word_effects
from core.oversight.decision_rule import CONFIRM, UNSURE
from core.serving.load import Loaded, load
from core.serving.verbs import SIMULATED, raw_rows
from core.atomic_io import write_atomically
from education.grading.gaming_detector import Detector, read_detector
from education.grading.gaming_detection import texts_of
from education.grading.human_review import certainty
from education.grading.word_attribution import MOST_WORDS, probability_of

if TYPE_CHECKING:
    import pandas as pd

MISSING_WORDS = 8
"""Words of the reference that are named as missing, at most."""


def give(run: str, source: str, output: str, words: int, device: str) -> list[dict[str, Any]]:
    """Read answers, grade and explain them, and write one JSON line each; gives them too.

    Raises ValueError for a run without classes or without a text, for missing columns, and for an output that can't
    be written.
    """
    target = Path(output)
    if target.suffix not in (".jsonl", ".ndjson"):
        raise ValueError(f"output={output}: feedback is JSON lines; its ending must be .jsonl")
    if not target.parent.is_dir():
        raise ValueError(f"output={output}: there is no folder {target.parent}; make it first")
    if words < 0:
        raise ValueError(f"words={words}: 0 or more")
    loaded = load(run, device)
    if loaded.target.kind not in ("binary", "multiclass", "ordinal") or len(loaded.roles.text) != 1:
        raise ValueError(f"run={run}: feedback needs a run that grades one text column in classes")
    lines = explained(loaded, raw_rows(source, None), words)
    write_atomically(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    if loaded.run.record.data.simulated:
        print(f"note: {SIMULATED}", file=sys.stderr)
    asked = sum(line["to_human"] for line in lines)
    print(f"{len(lines)} answers, {asked} of them for a human: {target.resolve()}")
    return lines


def explained(loaded: Loaded, frame: pd.DataFrame, words: int) -> list[dict[str, Any]]:
    """Grade and explain raw rows, in their order."""
    scores = loaded.scores(frame)
    labels = np.asarray(loaded.decide(scores, frame), np.int64)
    sure = certainty(scores, labels)
    said = loaded.oversee(frame, scores, labels)
    if said is None:
        raise ValueError(
            f"run={loaded.run.path}: made before there were rules of oversight, so nothing says which grades a human "
            "gives; train it again"
        )
    human = np.isin(said.decision, (UNSURE, CONFIRM))
    detector = read_detector(loaded.run.path)
    texts = texts_of(frame, loaded.roles)
    flags = _flags(detector, texts)
    column = loaded.roles.text[0]
    effects: list[list[WordEffect]] = [[] for _ in labels]
    if words:
        effects = word_effects(loaded.scorer(), frame, column, probability_of(labels), MOST_WORDS)
    encoder = loaded.encoder
    pairs = encoder.pairs if isinstance(encoder, ColumnsEncoder) else None
    lines = []
    for n in range(len(frame)):
        answer, prompt, references = texts[0][n], texts[1][n], texts[2][n]
        row: dict[str, Any] = {
            "row": n + 1,
            column: answer,
            "grade": loaded.target.classes[labels[n]],
            "probability": round(float(sure[n]), 4),
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
            best, lacking = pairs.missing(answer, references, prompt)
            row["nearest_reference"], row["missing"] = best, lacking[:MISSING_WORDS]
        lines.append(row)
    return lines


def _flags(
    detector: Detector | None, texts: tuple[list[str], list[str], list[list[str]]]
) -> list[dict[str, Any]]:
    if detector is None:
        return [{"flagged": False, "kind": None, "chance": None} for _ in texts[0]]
    chances = detector.chances(*texts)
    gamed, kinds = detector.gamed(chances), detector.kinds(chances)
    return [
        {
            "flagged": bool(g > detector.threshold),
            "kind": kind if g > detector.threshold else None,
            "chance": round(float(g), 4),
        }
        for g, kind in zip(gamed, kinds, strict=True)
    ]
