"""Reason codes of the alerts of held-out rows, and their stability under small perturbations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from core.evaluation.bootstrap import estimate
from core.evaluation.study import StudyResult
from core.explanation.column_occlusion import HISTORY, Attribution, occlude, quantile_references
from finance.reasons import reason_text

if TYPE_CHECKING:
    from torch import Tensor

    from core.evaluation.study import EvaluationContext
    from finance.reasons import Codes

MAX_ALERTS = 100
"""Alerts that are explained."""
PERTURBATION = 0.02
"""Standard deviation of the perturbation of every number, in its own standard deviations."""
REPETITIONS = 3
"""Perturbations of each alert."""


def reason_codes(context: EvaluationContext, codes: Codes, num_reasons: int) -> StudyResult:
    """Explain alerts of the test set, count their reason codes, and explain them again after small perturbations.

    ``top_reason_stability``: fraction of perturbed alerts whose first reason stays; ``reason_jaccard``: mean Jaccard
    index of the reasons. Raises ValueError for a column of no code.
    """
    part, frame = context.parts["test"], context.frames["test"]
    flagged = np.flatnonzero(part.labels == 1)
    if not len(flagged):
        return StudyResult("No row of the test set is flagged, so there are no alerts to explain.")
    rng = np.random.default_rng(context.seed)
    chosen = np.sort(rng.permutation(flagged)[:MAX_ALERTS])
    rows = frame.iloc[chosen]
    inputs = context.scorer.encode(rows, _history(context, rows))
    layout, places = context.scorer.layout(), context.scorer.column_positions()
    references = quantile_references(layout)
    groups = {code: columns for code, (_, columns) in codes.items()}

    def explained(given: dict[str, Tensor]) -> Attribution:
        return occlude(context.scorer, given, references, places, groups)

    first = explained(inputs).strongest(num_reasons)
    kept, jaccard = [], []
    generator = torch.Generator().manual_seed(context.seed % 2**63)
    for _ in range(REPETITIONS):
        again = explained(_perturbed(inputs, len(layout.numeric), generator)).strongest(num_reasons)
        for before, after in zip(first, again, strict=True):
            a, b = [code for code, _ in before], [code for code, _ in after]
            kept.append(a[:1] == b[:1])
            jaccard.append(len({*a} & {*b}) / len({*a, *b}) if a or b else 1.0)
    counts = Counter(reasons[0][0] for reasons in first if reasons)
    table = [
        {
            "code": _display_code(code),
            "reason": reason_text(codes, code),
            "fraction of alerts": n / len(first),
        }
        for code, n in counts.most_common()
    ]
    listed = pd.DataFrame(
        [
            {
                "row": int(part.index[n]),
                "rank": rank,
                "code": _display_code(code),
                "reason": reason_text(codes, code),
                "effect": e,
            }
            for n, reasons in zip(chosen, first, strict=True)
            for rank, (code, e) in enumerate(reasons, 1)
        ],
        columns=["row", "rank", "code", "reason", "effect"],
    )
    metrics = {
        "top_reason_stability": estimate(np.mean(kept)),
        "reason_jaccard": estimate(np.mean(jaccard)),
        "explained_fraction": estimate(np.mean([len(r) > 0 for r in first])),
    }
    top = table[0]["reason"] if table else "none"
    return StudyResult(
        f"The most frequent first reason is {top}; after small perturbations the first reason stays the same in "
        f"{np.mean(kept):.0%} of alerts.",
        metrics,
        {"First reason of alerts": table},
        notes=[
            f"{len(first)} alerts of the test set; effects are log odds lost when the columns of a code take values "
            "spread over the training set's quantiles, one group of columns at a time.",
            f"A perturbation has a standard deviation of {PERTURBATION:g} standard deviations of every numeric column.",
        ],
        files={"reasons.csv": listed},
    )


def _history(context: EvaluationContext, rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return all rows of the same units, so that few have to be encoded."""
    unit = context.dataset.roles.unit
    if unit is None:
        return None
    whole = context.dataset.frame
    return whole[whole[unit].isin(rows[unit])]


def _perturbed(inputs: dict[str, Tensor], num_numeric: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the inputs with perturbed numeric columns, in the row's own event too."""
    perturbed = dict(inputs)
    if num_numeric:
        change = (
            PERTURBATION * torch.randn(inputs["numeric"].shape, generator=generator) * (1 - inputs["missing"])
        )
        perturbed["numeric"] = inputs["numeric"] + change
        if "events" in inputs:
            events = inputs["events"].clone()
            events[:, -1, :num_numeric] += change
            perturbed["events"] = events
    return perturbed


def _display_code(code: str) -> str:
    return "R9" if code == HISTORY else code
