"""What investigators get: precision among the cards they can look at in a day, and the money that is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numeric, to_categories, to_numbers
from core.data.times import to_times
from core.evaluation.intervals import interval
from core.evaluation.study import StudyResult
from finance.studies.resampling import kept, ratio_of_sums

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

LEAST_DAYS = 3
"""Days from which on an interval over days is made."""


def card_precision(
    day: NDArray[np.int64],
    card: NDArray[np.object_],
    fraud: NDArray[np.bool_],
    score: NDArray[np.float64],
    most: int,
) -> pd.DataFrame:
    """Look each day at the ``most`` cards with the highest score; a card found compromised leaves the later days.

    Gives one row a day: day, cards (in use), compromised (in use), found, precision = found / ``most``. Source: the
    card precision top-k of Le Borgne et al. (2022), chapter 4.
    """
    rows = pd.DataFrame({"day": day, "card": card, "fraud": fraud, "score": score})
    found: set[object] = set()
    told = []
    for today, of_day in rows.groupby("day", sort=True):
        left = (
            of_day[~of_day["card"].isin(found)]
            .groupby("card", sort=True)
            .agg({"score": "max", "fraud": "max"})
        )
        seen = left.sort_values("score", ascending=False, kind="stable").head(most)
        caught = seen.index[seen["fraud"]]
        told.append((today, len(left), int(left["fraud"].sum()), len(caught), len(caught) / most))
        found |= set(caught)
    return pd.DataFrame(told, columns=["day", "cards", "compromised", "found", "precision"])


def alerts(held: EvaluationContext, capacity: int, amount: str) -> StudyResult:
    """Measure card precision at the daily capacity, and the share of the stolen amount that alerts catch."""
    frame, part, roles = held.frames["test"], held.parts["test"], held.dataset.roles
    assert roles.time is not None
    assert roles.unit is not None
    times = to_times(frame[roles.time], roles.time)
    numbered = is_numeric(frame[roles.time])
    fraud, score = part.targets == 1, part.scores[:, 1]
    value = np.abs(to_numbers(frame[amount], amount))
    figures = {
        "amount_weighted_recall": ratio_of_sums(
            held, "test", value * (fraud & (part.labels == 1)), value * fraud
        )
    }
    notes = ["A card that was found compromised is left out of later days; precision is found / capacity."]
    tables = {}
    if numbered:
        notes.append("Times are numbers without a calendar: no days, so no card precision.")
        summary = "The share of the stolen amount that alerts catch."
    else:
        days = card_precision(
            np.floor(times).astype(np.int64), to_categories(frame[roles.unit]), fraud, score, capacity
        )
        daily = days["precision"].to_numpy(np.float64)
        rng = np.random.default_rng(held.seed)
        drawn = daily[rng.integers(0, len(daily), (held.resamples, len(daily)))].mean(axis=1)
        found = interval(float(daily.mean()), drawn, held.confidence)
        if len(daily) < LEAST_DAYS:
            found |= {"low": None, "high": None}
        figures[f"card_precision_at_{capacity}"] = kept(found)
        reachable = np.minimum(days["compromised"].to_numpy(float), capacity) / capacity
        figures[f"card_precision_at_{capacity}_at_best"] = {
            "value": float(reachable.mean()), "low": None, "high": None
        }  # fmt: skip
        shown = days.assign(day=pd.to_datetime(days["day"], unit="D").dt.strftime("%Y-%m-%d"))
        tables["Cards looked at, day by day"] = [
            {str(k): v for k, v in row.items()} for row in shown.head(31).to_dict("records")
        ]
        summary = (
            f"Looking at {capacity} cards a day, {daily.mean():.1%} of those looked at are compromised "
            f"({reachable.mean():.1%} at the very best)."
        )
    return StudyResult(summary, figures, tables, notes=notes)
