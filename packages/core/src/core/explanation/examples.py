"""Single rows with their explanation: reason codes, highlighted words, images with an overlay, signals."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.data.coercion import to_texts
from core.explanation.section import ExampleSection, HighlightedText, Reason, SignalExample, TextPiece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explain_and_test import ExplanationReport
    from core.targets.types import Array, Predictions

MOST_REASONS = 6
MOST_WORDS = 150
"""Words of a text that are shown."""
OVERLAY_SIDE = 112
"""Pixels of an overlay's longer side."""
MOST_POINTS = 240
"""Samples of a signal that are shown."""
FOR, AGAINST = np.array([0, 114, 178]), np.array([213, 94, 0])
"""Colors of what speaks for and against the prediction: told apart by color-blind readers too."""


def select_examples(
    confidence: Array, correct: NDArray[np.bool_] | None, count: int
) -> list[tuple[int, str]]:
    """Select rows to show, each with the code of the reason.

    In turn the most confident correct one, the most confident wrong one, the least confident one.

    >>> select_examples(np.array([0.9, 0.8, 0.6]), np.array([True, False, True]), 3)
    [(0, 'confident_correct'), (1, 'wrong'), (2, 'least_confident')]
    """
    order = np.argsort(-confidence, kind="stable")
    if correct is None:
        return [(int(row), "") for row in order[:count]]
    good, bad = [r for r in order if correct[r]], [r for r in order if not correct[r]]
    queues = [(good, "confident_correct"), (bad, "wrong"), (list(order[::-1]), "least_confident")]
    found: dict[int, str] = {}
    while len(found) < min(count, len(order)):
        for queue, reason in queues:
            while queue and int(queue[0]) in found:
                queue.pop(0)
            if queue and len(found) < count:
                found[int(queue.pop(0))] = reason
    return list(found.items())


def show_examples(
    report: ExplanationReport, test: Predictions, rows: NDArray[np.int64], count: int
) -> list[ExampleSection]:
    """Return ``count`` explained rows with their content; ``rows`` (N,): place of the explained rows in ``test``."""
    if not count:
        return []
    some = test.take(rows)
    certainty, correct = test.type.certainty(some), test.type.correct(some)
    names = report.explained.class_names()
    found = []
    for place, reason in select_examples(certainty, correct, count):
        example = show_example(report, place)
        example.row = int(some.index[place])
        example.chosen_as = reason
        example.predicted = test.type.describe(some.labels[place], some.classes)
        example.label = test.type.describe(some.targets[place], some.classes)
        example.explained_class = names[place]
        example.score = None if correct is None else float(certainty[place])
        example.shows_labels = not test.type.dense
        found.append(example)
    return found


def show_example(report: ExplanationReport, row: int) -> ExampleSection:
    """Return one explained row: its strongest features, and its text, image or signal where it has one."""
    masker, effects = report.masker, report.effects[row]
    names = masker.feature_names(row)
    order = [int(p) for p in np.argsort(-np.abs(np.nan_to_num(effects)), kind="stable")[:MOST_REASONS]]
    reasons = []
    for feature in order:
        if np.isnan(effects[feature]) or not effects[feature]:
            continue
        reason = Reason(name=names[feature], effect=float(effects[feature]))
        if feature < len(masker.columns):
            value = masker.frame[names[feature]].iloc[row]
            value = value.item() if hasattr(value, "item") else value
            reason.value = value if isinstance(value, int | str) or value == value else None
            reason.has_value = True
        reasons.append(reason)
    example = ExampleSection(
        row=row, chosen_as="", predicted="", label="", explained_class="", score=None, reasons=reasons
    )
    if masker.texts:
        example.texts = _texts(report, row)
    if masker.grid is not None:
        start = len(masker.columns) + masker.history_length
        own = effects[start : start + len(masker.grid.names)]
        if "image" in masker.inputs:
            feature_mask = masker.grid.feature_mask
            example.image = overlay(masker.inputs["image"][row].cpu().numpy(), own[feature_mask])
            example.strongest_patch = patch_location(int(np.argmax(np.abs(own))), feature_mask)
        else:
            signal = masker.inputs["signal"][row, 0].cpu().numpy()
            keep = np.linspace(0, len(signal) - 1, min(MOST_POINTS, len(signal))).round().astype(int)
            example.signal = SignalExample(
                points=[round(float(v), 4) for v in signal[keep]],
                effects=[round(float(v), 5) for v in own],
                segments=list(masker.grid.names),
            )
    return example


def _texts(report: ExplanationReport, row: int) -> list[HighlightedText]:
    """Cut each text into pieces, each with the effect of its word, null between words."""
    masker = report.masker
    found = []
    for column in masker.texts:
        text = to_texts(masker.frame[column].iloc[[row]])[0]
        pieces: list[TextPiece] = []
        place = 0
        words = [(p, w) for p, w in enumerate(masker.words[row]) if w.column == column]
        for feature, word in words[:MOST_WORDS]:
            if word.start > place:
                pieces.append(TextPiece(text=text[place : word.start], effect=None))
            effect = float(report.effects[row, masker.num_fixed + feature])
            pieces.append(TextPiece(text=text[word.start : word.end], effect=effect))
            place = word.end
        rest = text[place:] if len(words) <= MOST_WORDS else " …"
        if rest:
            pieces.append(TextPiece(text=rest, effect=None))
        found.append(HighlightedText(column=column, pieces=pieces))
    return found


def overlay(image: NDArray[np.uint8], effects: Array) -> str:
    """Return effects (H, W) drawn over an image (C, H, W), as a PNG of few colors in a data address."""
    shown = np.repeat(image[:1], 3, axis=0) if len(image) < 3 else image[:3]
    gray = shown.mean(axis=0, keepdims=True).transpose(1, 2, 0)
    size = np.abs(effects) / max(float(np.abs(effects).max()), 1e-12)
    color = np.where((effects > 0)[..., None], FOR, AGAINST)
    mixed = gray * (1 - 0.7 * size[..., None]) + color * 0.7 * size[..., None]
    both = np.concatenate([shown.transpose(1, 2, 0), mixed], axis=1).round().clip(0, 255)
    drawn = Image.fromarray(both.astype(np.uint8), "RGB")
    factor = OVERLAY_SIDE / max(effects.shape)
    drawn = drawn.resize(
        (round(drawn.width * factor), round(drawn.height * factor)),
        Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR,
    )
    file = io.BytesIO()
    drawn.quantize(48).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def patch_location(patch: int, feature_mask: NDArray[np.int64]) -> list[str]:
    """Return where a patch lies: top, middle or bottom; left, center or right.

    >>> patch_location(3, np.array([[0, 1], [2, 3]]))
    ['bottom', 'right']
    """
    ys, xs = np.nonzero(feature_mask == patch)
    down = ("top", "middle", "bottom")[min(2, int(3 * (ys.mean() + 0.5) / feature_mask.shape[0]))]
    across = ("left", "center", "right")[min(2, int(3 * (xs.mean() + 0.5) / feature_mask.shape[1]))]
    return [down, across]
