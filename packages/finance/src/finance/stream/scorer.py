"""Scores of incoming transactions from the model and the stored history, and the alerts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.config import from_dict
from core.data.coercion import to_numbers
from core.explanation.column_occlusion import HISTORY, occlude, quantile_references
from finance.reasons import fraud_reason_codes, reason_text
from finance.schema import DAY_MS
from finance.windows import window_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.serving.load import LoadedRun
    from finance.schema import TransactionSchema
    from finance.stream.jsonl_stream import Transaction
    from finance.stream.state import State, StoredTransaction


class FraudScorer:
    """A saved fraud model that scores transactions of a stream and explains alerts."""

    def __init__(self, loaded: LoadedRun, schema: TransactionSchema, threshold: float | None) -> None:
        self.schema = schema
        self.columns = tuple(
            c for c in (schema.id, schema.card, schema.time, schema.amount, schema.terminal, schema.unit) if c
        ) + tuple(schema.extra_inputs)
        """Columns that a line must have."""
        self.max_events = int(loaded.config["encoder"]["max_events"])
        self.lookback_ms = round(schema.lookback_days * DAY_MS)
        self._scorer = loaded.scorer()
        positive = loaded.target.classes[1]
        own = (loaded.thresholds or {}).get(positive, 0.5)
        self.threshold = own if threshold is None else threshold
        self._numeric = tuple(c for c in loaded.roles.numeric if c not in schema.features())
        self._positions = loaded.encoder.column_positions()
        self._references = quantile_references(loaded.encoder.layout())
        self._codes = fraud_reason_codes(schema.amount, loaded.roles.inputs())
        self._num_reasons = int(from_dict("task", loaded.config["task"]).num_reasons)

    def score(
        self, transactions: Sequence[Transaction], state: State
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Return window features (N, F) of transactions in order of time, and a JSON line for each alert.

        Raises ValueError with the column for a value that the model can't read.
        """
        is_date = state.get_metadata("time_is_date") or str(transactions[0].time_is_date)
        if any(str(t.time_is_date) != is_date for t in transactions):
            found = "number" if is_date == "True" else "date"
            raise ValueError(f"{self.schema.time!r} is a {found} here, unlike in earlier lines")
        first = state.get_count("next_seq")
        past = state.history(transactions, self.lookback_ms, self.max_events)
        rows = self._frame(transactions, range(first, first + len(transactions)), is_date == "True")
        before = self._frame(past, [t.seq for t in past], is_date == "True")
        features = window_features(rows, self.schema, before)
        rows = rows.join(features)
        if past:
            stored = pd.DataFrame([t.features for t in past], before.index, self.schema.features())
            before = before.join(stored)
        inputs = self._scorer.encode(rows, before if past else rows)
        scores = self._scorer.scores(inputs)[:, 1]
        if not np.isfinite(scores).all():
            raise ValueError("the model gives it no score: a value is too large")
        flagged = np.flatnonzero(scores >= self.threshold)
        alerts: list[str] = []
        if len(flagged):
            groups = {code: columns for code, (_, columns) in self._codes.items()}
            flagged_inputs = {name: tensor[flagged] for name, tensor in inputs.items()}
            attribution = occlude(self._scorer, flagged_inputs, self._references, self._positions, groups)
            alerts = [
                self._alert(transactions[int(n)], float(scores[n]), reasons)
                for n, reasons in zip(flagged, attribution.strongest(self._num_reasons), strict=True)
            ]
        state.set_metadata({"time_is_date": is_date})
        return features.to_numpy(np.float64), alerts

    def _frame(
        self,
        transactions: Sequence[Transaction | StoredTransaction],
        index: Sequence[int],
        time_is_date: bool,
    ) -> pd.DataFrame:
        """Return transactions in the columns of the training table."""
        schema = self.schema
        table: dict[str, Any] = {
            c: [t.row[c] for t in transactions] for c in (*schema.extra_inputs, schema.amount)
        }
        frame = pd.DataFrame(table, index=pd.Index(index, dtype=np.int64), dtype=object)
        for column in self._numeric:
            frame[column] = to_numbers(frame[column], column)
        times = np.array([t.time for t in transactions], np.int64)
        frame[schema.time] = (
            pd.to_datetime(times, unit="ms") if time_is_date else times / DAY_MS * schema.time_units_per_day
        )
        if schema.unit is not None:
            frame[schema.unit] = pd.array([t.unit for t in transactions], dtype=object)
        frame[schema.card] = pd.array([t.card for t in transactions], dtype=object)
        if schema.terminal is not None:
            frame[schema.terminal] = pd.array([t.terminal for t in transactions], dtype=object)
        frame[schema.label] = np.array(
            [np.nan if t.fraud is None else t.fraud for t in transactions], np.float64
        )
        return frame

    def _alert(self, transaction: Transaction, score: float, reasons: list[tuple[str, float]]) -> str:
        schema = self.schema
        described = [
            {
                "code": code if code != HISTORY else "R9",
                "description": reason_text(self._codes, code),
                "effect": round(effect, 3),
            }
            for code, effect in reasons
        ]
        content = {
            "line": transaction.line.number,
            "id": transaction.id,
            "card": transaction.card,
            "time": transaction.row[schema.time],
            "amount": transaction.row[schema.amount],
            "score": round(score, 6),
            "threshold": self.threshold,
            "reasons": described,
        }
        return json.dumps(content, ensure_ascii=False)
