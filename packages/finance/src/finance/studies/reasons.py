"""Reason codes of the alerts of held-out rows, and whether they hold when the row changes a little."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from core.evaluation.study import StudyResult
from core.explanation.column_occlusion import HISTORY, Attribution, occlude, quantile_references
from finance.reasons import reason_text

if TYPE_CHECKING:
    from torch import Tensor

    from core.evaluation.study import EvaluationContext
    from finance.reasons import Codes

MOST = 100
"""Alerts that are explained."""
SHAKE = 0.02
"""Small change: noise of so many deviations on every number."""
TIMES = 3
"""Small changes of each alert."""


def reasons(held: EvaluationContext, codes: Codes, most: int) -> StudyResult:
    """Explain alerts of the test part, count their reasons, and explain them again after small changes.

    ``stability_first``: share of changed alerts whose strongest reason stays; ``stability_all``: mean overlap
    (Jaccard) of the reasons given. Raises ValueError for a column of no code.
    """
    part, frame = held.parts["test"], held.frames["test"]
    flagged = np.flatnonzero(part.labels == 1)
    if not len(flagged):
        return StudyResult("No row of the test part is flagged, so there is nothing to give reasons for.")
    rng = np.random.default_rng(held.seed)
    chosen = np.sort(rng.permutation(flagged)[:MOST])
    rows = frame.iloc[chosen]
    inputs = held.scorer.encode(rows, _history(held, rows))
    layout, places = held.scorer.layout(), held.scorer.column_positions()
    references = quantile_references(layout)
    groups = {code: columns for code, (_, columns) in codes.items()}

    def explained(given: dict[str, Tensor]) -> Attribution:
        return occlude(held.scorer, given, references, places, groups)

    first = explained(inputs).strongest(most)
    kept, overlap = [], []
    generator = torch.Generator().manual_seed(held.seed % 2**63)
    for _ in range(TIMES):
        again = explained(_shaken(inputs, len(layout.numeric), generator)).strongest(most)
        for before, after in zip(first, again, strict=True):
            a, b = [code for code, _ in before], [code for code, _ in after]
            kept.append(a[:1] == b[:1])
            overlap.append(len({*a} & {*b}) / len({*a, *b}) if a or b else 1.0)
    counts = Counter(said[0][0] for said in first if said)
    table = [
        {"code": _shown(code), "reason": reason_text(codes, code), "first in": n / len(first)}
        for code, n in counts.most_common()
    ]
    listed = pd.DataFrame(
        [
            {
                "row": int(part.index[n]),
                "place": place,
                "code": _shown(code),
                "reason": reason_text(codes, code),
                "effect": e,
            }
            for n, said in zip(chosen, first, strict=True)
            for place, (code, e) in enumerate(said, 1)
        ],
        columns=["row", "place", "code", "reason", "effect"],
    )
    figures = {
        "stability_first": {"value": float(np.mean(kept)), "low": None, "high": None},
        "stability_all": {"value": float(np.mean(overlap)), "low": None, "high": None},
        "with_reasons": {"value": float(np.mean([bool(said) for said in first])), "low": None, "high": None},
    }
    top = table[0]["reason"] if table else "none"
    return StudyResult(
        f"The strongest reason most often is {top}; after small changes it stays the strongest in "
        f"{np.mean(kept):.0%} of alerts.",
        figures,
        {"Strongest reasons of alerts": table},
        notes=[
            f"{len(first)} alerts of the test part; effects are log odds lost when the columns of a code take values "
            "spread over the training part's quantiles, one group of columns at a time.",
            f"A small change adds noise of {SHAKE:g} standard deviations to every number of the row.",
        ],
        files={"reasons.csv": listed},
    )


def _history(held: EvaluationContext, rows: pd.DataFrame) -> pd.DataFrame | None:
    """Leave of all rows those of the same units, so that few have to be encoded."""
    unit = held.dataset.roles.unit
    if unit is None:
        return None
    whole = held.dataset.frame
    return whole[whole[unit].isin(rows[unit])]


def _shaken(inputs: dict[str, Tensor], numbers: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Add a little noise to the row's own numbers, in its own event too."""
    shaken = dict(inputs)
    if numbers:
        noise = SHAKE * torch.randn(inputs["numeric"].shape, generator=generator) * (1 - inputs["missing"])
        shaken["numeric"] = inputs["numeric"] + noise
        if "events" in inputs:
            events = inputs["events"].clone()
            events[:, -1, :numbers] += noise
            shaken["events"] = events
    return shaken


def _shown(code: str) -> str:
    return "R9" if code == HISTORY else code
