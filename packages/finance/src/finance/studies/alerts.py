"""Card precision at the investigators' daily capacity, and amount-weighted recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numeric, to_categories, to_numbers
from core.data.times import to_times
from core.evaluation.bootstrap import estimate, interval_estimate, ratio_estimate
from core.evaluation.study import StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

MIN_DAYS = 3
"""Days from which on an interval over days is computed."""


def card_precision(
    day: NDArray[np.int64],
    card: NDArray[np.object_],
    fraud: NDArray[np.bool_],
    score: NDArray[np.float64],
    capacity: int,
) -> pd.DataFrame:
    """Return card precision at k = ``capacity`` for each day; a card found compromised is dropped from later days.

    Columns: day, cards (in use), compromised (in use), found (among the k cards with the highest score), precision =
    found / k. Source: the card precision top-k of Le Borgne et al. (2022), chapter 4.
    """
    rows = pd.DataFrame({"day": day, "card": card, "fraud": fraud, "score": score})
    found: set[object] = set()
    daily = []
    for today, of_day in rows.groupby("day", sort=True):
        in_use = (
            of_day[~of_day["card"].isin(found)]
            .groupby("card", sort=True)
            .agg({"score": "max", "fraud": "max"})
        )
        reviewed = in_use.sort_values("score", ascending=False, kind="stable").head(capacity)
        caught = reviewed.index[reviewed["fraud"]]
        compromised = int(in_use["fraud"].sum())
        daily.append((today, len(in_use), compromised, len(caught), len(caught) / capacity))
        found |= set(caught)
    return pd.DataFrame(daily, columns=["day", "cards", "compromised", "found", "precision"])


def alerts(context: EvaluationContext, capacity: int, amount: str) -> StudyResult:
    """Compute card precision at the daily capacity, and the recall of frauds weighted by amount."""
    frame, part, roles = context.frames["test"], context.parts["test"], context.dataset.roles
    assert roles.time is not None
    assert roles.unit is not None
    times = to_times(frame[roles.time], roles.time)
    is_number = is_numeric(frame[roles.time])
    fraud, score = part.targets == 1, part.scores[:, 1]
    value = np.abs(to_numbers(frame[amount], amount))
    metrics = {
        "amount_weighted_recall": ratio_estimate(
            context, value * (fraud & (part.labels == 1)), value * fraud, part.units
        )
    }
    notes = ["A card found compromised is dropped from later days; precision is found / capacity."]
    tables = {}
    if is_number:
        notes.append("Times are numbers, not dates: there are no days, so no card precision.")
        summary = "Recall of frauds weighted by their amount."
    else:
        days = card_precision(
            np.floor(times).astype(np.int64), to_categories(frame[roles.unit]), fraud, score, capacity
        )
        daily = days["precision"].to_numpy(np.float64)
        rng = np.random.default_rng(context.seed)
        drawn = daily[rng.integers(0, len(daily), (context.resamples, len(daily)))].mean(axis=1)
        mean = float(daily.mean())
        metrics[f"card_precision_at_{capacity}"] = (
            interval_estimate(context, mean, drawn) if len(daily) >= MIN_DAYS else estimate(mean)
        )
        reachable = np.minimum(days["compromised"].to_numpy(float), capacity) / capacity
        metrics[f"max_card_precision_at_{capacity}"] = estimate(reachable.mean())
        shown = days.assign(day=pd.to_datetime(days["day"], unit="D").dt.strftime("%Y-%m-%d"))
        tables["Card precision by day"] = [
            {str(k): v for k, v in row.items()} for row in shown.head(31).to_dict("records")
        ]
        summary = (
            f"Of {capacity} cards reviewed a day, {daily.mean():.1%} are compromised (card precision; at most "
            f"{reachable.mean():.1%} is possible)."
        )
    return StudyResult(summary, metrics, tables, notes=notes)
