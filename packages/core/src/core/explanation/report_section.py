"""The record's ``explanation``: what was measured, with intervals, and what it says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from core.explanation.explained_output import MEANING
from core.explanation.explain_and_test import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explain_and_test import ExplanationReport
    from core.targets.types import Array

SHOWN = 20
"""Names of columns or words in the record; there is room for every patch."""
LEAST_WORDS = 5
"""Explained rows that a word must stand in to be named: a rarer one may name a person."""
CHANGED = 0.5
"""Rank correlation with the permuted model below which explanations count as made by the weights."""
NAMES = {
    "occlusion": "occlusion",
    "integrated_gradients": "integrated gradients",
    "rollout": "attention roll-out",
}


def section(
    trial: ExplanationReport,
    weights: Array,
    confidence: float,
    groups: Mapping[str, NDArray[np.str_]],
    minimum: Mapping[str, set[str]],
    smallest: int,
) -> dict[str, Any]:
    """Put a trial into words and numbers.

    ``weights`` (R, N): bootstrap counts of the rows. ``groups``: attribute -> (N,) names; ``minimum``: attribute ->
    groups that are large enough in the test part; ``smallest``: explained rows that a group needs.
    """
    judge = _Judge(weights, confidence)
    faith, unit = trial.faith, trial.cases.unit
    faithful = _faithfulness(trial, judge)
    sanity = judge.mean(trial.sanity) | {"rows": _rows(trial.sanity)}
    sanity["passed"] = None if sanity["high"] is None else sanity["high"] < CHANGED
    stability = None
    if trial.stability is not None:
        stability = judge.mean(trial.stability) | {"rows": _rows(trial.stability)}
    importance = _importance(trial, judge)
    notes = [
        f"The number explained: {MEANING[trial.question.target.kind]}, before recalibration.",
        "Removed columns take quantiles that the encoder keeps, words are left out, patches and stretches take the "
        "mean of their own row, earlier events never happened: no training row is read.",
        *trial.notes,
    ]
    if stability is None:
        notes.append("Stability was not tried: no part of these inputs can be changed a little.")
    if unit == "word" and not importance:
        notes.append(f"No word stands in {LEAST_WORDS} explained rows, so none is named.")
    return {
        "headline": _headline(trial, importance, faithful),
        "detail": _detail(trial, faithful, sanity, stability),
        "method": trial.method,
        "method_name": NAMES[trial.method],
        "reason": trial.reason,
        "rows": len(trial.cases),
        "unit": unit,
        "units": plural(unit),
        "explains": MEANING[trial.question.target.kind],
        "confidence": confidence,
        "importance": importance,
        "concentration": concentration(trial),
        "faithfulness": faithful,
        "sanity": sanity,
        "stability": stability,
        "by_group": _by_group(faith.gains(), faith.whole, groups, minimum, smallest, judge),
        "comparison": {
            name: {"reason": found} if isinstance(found, str) else judge.mean(found)
            for name, found in trial.comparison.items()
        },
        "notes": notes,
    }


class _Judge:
    """Figures over rows with bootstrap intervals."""

    def __init__(self, weights: Array, confidence: float) -> None:
        self.weights = weights
        self.tail = 100 * (1 - confidence) / 2

    def mean(self, values: Array) -> dict[str, Any]:
        """Give the mean of the first rows' values, those that are NaN left out."""
        return self.ratio(values, np.ones(len(values)))

    def ratio(self, above: Array, below: Array) -> dict[str, Any]:
        """Give a ratio of sums over rows; null where it is undefined."""
        known = ~(np.isnan(above) | np.isnan(below))
        above, below = above[known], below[known]
        value = float(above.sum() / below.sum()) if len(below) and below.sum() > 0 else None
        if value is None or len(above) < 3:
            return {"value": value, "low": None, "high": None}
        samples = self.samples(above, below, known)
        low, high = (float(v) for v in np.nanpercentile(samples, [self.tail, 100 - self.tail]))
        return {"value": value, "low": low, "high": high}

    def samples(self, above: Array, below: Array, known: NDArray[np.bool_]) -> Array:
        """Give the ratio on each resample, (R,); NaN where no known row was drawn."""
        drawn = self.weights[:, : len(known)][:, known]
        sums = drawn @ below
        return np.where(sums > 0, drawn @ above / np.where(sums > 0, sums, 1.0), np.nan)


def _faithfulness(trial: ExplanationReport, judge: _Judge) -> dict[str, Any]:
    faith = trial.faith
    found: dict[str, Any] = {}
    for name, gain, area, random in (
        ("deletion", faith.deletion_gain(), faith.deletion, faith.random),
        ("insertion", faith.insertion_gain(), faith.insertion, faith.whole - faith.random),
    ):
        figure = judge.ratio(gain, faith.whole)
        times = judge.ratio(area, random)
        found[name] = {
            **figure,
            "above_random": figure["low"] is not None and figure["low"] > 0,
            "times": times,
            "random": judge.ratio(random, faith.whole),
        }
    found["above_random"] = found["deletion"]["above_random"] and found["insertion"]["above_random"]
    return found


def _importance(trial: ExplanationReport, judge: _Judge) -> list[dict[str, Any]]:
    """Rank names by their mean absolute effect over all rows; a name that a row lacks counts as nothing there."""
    n = len(trial.cases)
    totals: dict[str, Array] = {}
    present: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for row in range(n):
        here: dict[str, float] = {}
        names = trial.cases.names(row)
        kinds.update(zip(names, trial.cases.kinds(), strict=True))
        for name, effect in zip(names, trial.effects[row], strict=True):
            if not np.isnan(effect):
                here[name] = here.get(name, 0.0) + float(effect)
        for name, effect in here.items():
            totals.setdefault(name, np.zeros(n))[row] = abs(effect)
            present[name] = present.get(name, 0) + 1
    kept = [name for name in totals if kinds[name] != "word" or present[name] >= LEAST_WORDS]
    if trial.cases.unit not in ("patch", "stretch"):
        kept = sorted(kept, key=lambda name: -totals[name].mean())[:SHOWN]
    found = []
    for name in kept:
        figure = judge.mean(totals[name])
        line = {"name": name, "kind": kinds[name], "mean_abs": figure["value"]}
        found.append(line | {"low": figure["low"], "high": figure["high"]})
    return found


def concentration(trial: ExplanationReport) -> float | None:
    """Give the share of the absolute effect that the strongest quarter of a row's parts carries, mean over rows."""
    shares = []
    for row in trial.effects:
        sizes = np.sort(np.abs(row[~np.isnan(row)]))[::-1]
        if sizes.sum() > 0:
            shares.append(sizes[: -(-len(sizes) // 4)].sum() / sizes.sum())
    return float(np.mean(shares)) if shares else None


def _by_group(
    gains: Array,
    whole: Array,
    groups: Mapping[str, NDArray[np.str_]],
    minimum: Mapping[str, set[str]],
    smallest: int,
    judge: _Judge,
) -> dict[str, Any]:
    """Compare how far explanations are above random in each group; the widest gap allows for all pairs looked at."""
    found: dict[str, Any] = {}
    for attribute, names in groups.items():
        shown: dict[str, Any] = {}
        samples: dict[str, Array] = {}
        suppressed = []
        for name in sorted(set(names.tolist())):
            known = (names == name) & ~np.isnan(gains)
            if known.sum() < smallest or name not in minimum[attribute]:
                suppressed.append(name)
                continue
            inside = np.where(known, 1.0, np.nan)
            shown[name] = {"rows": int(known.sum()), **judge.ratio(gains * inside, whole * inside)}
            samples[name] = judge.samples(gains[known], whole[known], known)
        pairs = [p for p in combinations(shown, 2) if all(shown[g]["value"] is not None for g in p)]
        gap = None
        if pairs:
            a, b = max(pairs, key=lambda p: abs(shown[p[0]]["value"] - shown[p[1]]["value"]))
            if shown[a]["value"] < shown[b]["value"]:
                a, b = b, a
            apart = shown[a]["value"] - shown[b]["value"]
            half = NormalDist().inv_cdf(1 - judge.tail / 100 / len(pairs)) * float(
                np.nanstd(samples[a] - samples[b])
            )
            gap = {"value": apart, "low": apart - half, "high": apart + half, "between": [a, b]}
        found[attribute] = {"groups": shown, "suppressed": suppressed, "gap": gap}
    return found


def _headline(trial: ExplanationReport, importance: Sequence[Mapping[str, Any]], faithful: Mapping[str, Any]) -> str:
    if not faithful["above_random"]:
        return "Not explained better than at random"
    if trial.cases.unit in ("patch", "stretch"):
        share = concentration(trial)
        return f"A quarter of the {plural(trial.cases.unit)} carries {share or 0.0:.0%} of the effect"
    some = [line for line in importance[:3] if line["mean_abs"]]
    names = [f"“{line['name']}”" if line["kind"] == "word" else line["name"] for line in some]
    if not names:
        return f"Different {plural(trial.cases.unit)} in every row"
    return "Mostly " + (names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}")


def _detail(
    trial: ExplanationReport, faithful: Mapping[str, Any], sanity: Mapping[str, Any], stability: Mapping[str, Any] | None
) -> str:
    units, times = plural(trial.cases.unit), faithful["deletion"]["times"]
    said = []
    if times["value"] is not None and times["low"] is not None:
        said.append(
            f"Removing first the {units} it names changes the answer {times['value']:.1f} times as much as removing "
            f"{units} at random ({times['low']:.1f} to {times['high']:.1f})"
            + (
                "."
                if faithful["above_random"]
                else "; the explanations are not above random in both directions."
            )
        )
    else:
        said.append(f"Removing {units} does not move the answer, so nothing could be tested.")
    tests = []
    if sanity["value"] is not None:
        word = "change" if sanity["passed"] else "stay partly as they are"
        tests.append(
            f"with permuted weights the explanations {word} (rank correlation {sanity['value']:.2f})"
        )
    if stability is not None and stability["value"] is not None:
        tests.append(f"after a small change of the row it is {stability['value']:.2f}")
    if tests:
        text = "; ".join(tests)
        said.append(f"{text[0].upper()}{text[1:]}.")
    said.append(f"By {NAMES[trial.method]} on {len(trial.cases)} test rows.")
    return " ".join(said)


def _rows(values: Array) -> int:
    return int((~np.isnan(values)).sum())
