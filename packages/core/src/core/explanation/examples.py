"""Single rows with their explanation: reason codes, highlighted words, pictures with an overlay, signals."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from core.data.coercion import to_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explain_and_test import ExplanationReport
    from core.targets.types import Array

REASONS = 6
WORDS = 150
"""Words of a text that are shown."""
SIDE = 112
"""Pixels of an overlay's longer side."""
POINTS = 240
"""Samples of a signal that are shown."""
FOR, AGAINST = np.array([0, 114, 178]), np.array([213, 94, 0])
"""Colours of what speaks for and against the answer: told apart by colour-blind readers too."""


def select_examples(sure: Array, right: NDArray[np.bool_] | None, count: int) -> list[tuple[int, str]]:
    """Choose rows to show and say why: the surest right one, the surest wrong one, the least sure one, then further."""
    order = np.argsort(-sure, kind="stable")
    if right is None:
        return [(int(row), "") for row in order[:count]]
    good, bad = [r for r in order if right[r]], [r for r in order if not right[r]]
    queues = [(good, "right and sure"), (bad, "wrong"), (list(order[::-1]), "least sure")]
    found: dict[int, str] = {}
    while len(found) < min(count, len(order)):
        for queue, why in queues:
            while queue and int(queue[0]) in found:
                queue.pop(0)
            if queue and len(found) < count:
                found[int(queue.pop(0))] = why
    return list(found.items())


def show_example(trial: ExplanationReport, row: int) -> dict[str, Any]:
    """Show one explained row: its strongest parts, and its text, picture or signal where it has one."""
    cases, effects = trial.cases, trial.effects[row]
    names = cases.names(row)
    order = [int(p) for p in np.argsort(-np.abs(np.nan_to_num(effects)), kind="stable")[:REASONS]]
    reasons = []
    for part in order:
        if np.isnan(effects[part]) or not effects[part]:
            continue
        reason: dict[str, Any] = {"name": names[part], "effect": float(effects[part])}
        if part < len(cases.columns):
            value = cases.frame[names[part]].iloc[row]
            reason["value"] = value.item() if hasattr(value, "item") else value
            if reason["value"] != reason["value"]:
                reason["value"] = None
        reasons.append(reason)
    shown: dict[str, Any] = {"reasons": reasons}
    if cases.texts:
        shown["texts"] = _texts(trial, row)
    if cases.grid is not None:
        start = len(cases.columns) + cases.earlier
        own = effects[start : start + len(cases.grid.names)]
        if "image" in cases.inputs:
            shown["picture"] = overlay(cases.inputs["image"][row].cpu().numpy(), own[cases.grid.part])
            shown["strongest"] = _where(int(np.argmax(np.abs(own))), cases.grid.part)
        else:
            signal = cases.inputs["signal"][row, 0].cpu().numpy()
            keep = np.linspace(0, len(signal) - 1, min(POINTS, len(signal))).round().astype(int)
            shown["signal"] = {
                "points": [round(float(v), 4) for v in signal[keep]],
                "effects": [round(float(v), 5) for v in own],
                "stretches": list(cases.grid.names),
            }
    return shown


def _texts(trial: ExplanationReport, row: int) -> list[dict[str, Any]]:
    """Cut each text into pieces, each with the effect of its word, null between words."""
    cases = trial.cases
    found = []
    for column in cases.texts:
        text = to_texts(cases.frame[column].iloc[[row]])[0]
        pieces: list[dict[str, Any]] = []
        place = 0
        words = [(p, w) for p, w in enumerate(cases.words[row]) if w.column == column]
        for part, word in words[:WORDS]:
            if word.start > place:
                pieces.append({"text": text[place : word.start], "effect": None})
            effect = float(trial.effects[row, cases.fixed + part])
            pieces.append({"text": text[word.start : word.end], "effect": effect})
            place = word.end
        rest = text[place:] if len(words) <= WORDS else " …"
        if rest:
            pieces.append({"text": rest, "effect": None})
        found.append({"column": column, "pieces": pieces})
    return found


def overlay(image: NDArray[np.uint8], effects: Array) -> str:
    """Draw effects (H, W) over an image (C, H, W) as a PNG of few colours, in a data address."""
    shown = np.repeat(image[:1], 3, axis=0) if len(image) < 3 else image[:3]
    grey = shown.mean(axis=0, keepdims=True).transpose(1, 2, 0)
    size = np.abs(effects) / max(float(np.abs(effects).max()), 1e-12)
    colour = np.where((effects > 0)[..., None], FOR, AGAINST)
    mixed = grey * (1 - 0.7 * size[..., None]) + colour * 0.7 * size[..., None]
    pictures = np.concatenate([shown.transpose(1, 2, 0), mixed], axis=1).round().clip(0, 255)
    drawn = Image.fromarray(pictures.astype(np.uint8), "RGB")
    factor = SIDE / max(effects.shape)
    drawn = drawn.resize(
        (round(drawn.width * factor), round(drawn.height * factor)),
        Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR,
    )
    file = io.BytesIO()
    drawn.quantize(48).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _where(part: int, grid: NDArray[np.int64]) -> str:
    """Say in words where a patch lies."""
    ys, xs = np.nonzero(grid == part)
    down = ("top", "middle", "bottom")[min(2, int(3 * ys.mean() / grid.shape[0]))]
    across = ("left", "centre", "right")[min(2, int(3 * xs.mean() / grid.shape[1]))]
    return f"{down} {across}"
