"""Scoring payments as they come, with what the state remembers, and the alerts that follow."""

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
from finance.windows import window_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.serving.load import Loaded
    from finance.schema import TransactionSchema
    from finance.stream.jsonl_stream import Transaction
    from finance.stream.state import State, StoredTransaction

DAY = 86_400_000


class FraudScorer:
    """The model as the monitor asks it."""

    def __init__(self, loaded: Loaded, schema: TransactionSchema, threshold: float | None) -> None:
        self.schema = schema
        self.columns = tuple(
            c for c in (schema.id, schema.card, schema.time, schema.amount, schema.terminal, schema.unit) if c
        ) + tuple(schema.others)
        """What a line must have."""
        self.events = int(loaded.config["encoder"]["history"])
        self.memory = round(schema.memory * DAY)
        self._scorer = loaded.scorer()
        positive = loaded.target.classes[1]
        decided = (loaded.thresholds or {}).get(positive, 0.5)
        self.threshold = decided if threshold is None else threshold
        self._numbers = tuple(c for c in loaded.roles.numeric if c not in schema.features())
        self._places = loaded.encoder.column_positions()
        self._references = quantile_references(loaded.encoder.layout())
        self._codes = fraud_reason_codes(schema.amount, loaded.roles.inputs())
        self._most = int(from_dict("task", loaded.config["task"]).reasons)

    def judge(self, payments: Sequence[Transaction], state: State) -> tuple[NDArray[np.float64], list[str]]:
        """Score payments in order of time: what was known of each (N, F), and a line for each alert.

        Raises ValueError with the column for a value that the model can't read.
        """
        dated = state.fact("dated") or str(payments[0].dated)
        if any(str(p.dated) != dated for p in payments):
            raise ValueError(
                f"{self.schema.time!r} is a {'number' if dated == 'True' else 'date'} here, unlike in earlier lines"
            )
        first = state.number("next")
        past = state.past(payments, self.memory, self.events)
        rows = self._frame(payments, range(first, first + len(payments)), dated == "True")
        before = self._frame(past, [p.seq for p in past], dated == "True")
        known = window_features(rows, self.schema, before)
        rows = rows.join(known)
        if past:
            stored = pd.DataFrame([p.features for p in past], before.index, self.schema.features())
            before = before.join(stored)
        inputs = self._scorer.encode(rows, before if past else rows)
        scores = self._scorer.scores(inputs)[:, 1]
        chosen = np.flatnonzero(scores >= self.threshold)
        alerts: list[str] = []
        if len(chosen):
            groups = {code: columns for code, (_, columns) in self._codes.items()}
            taken = {name: tensor[chosen] for name, tensor in inputs.items()}
            found = occlude(self._scorer, taken, self._references, self._places, groups)
            alerts = [
                self._alert(payments[int(n)], float(scores[n]), reasons)
                for n, reasons in zip(chosen, found.strongest(self._most), strict=True)
            ]
        state.keep({"dated": dated})
        return known.to_numpy(np.float64), alerts

    def _frame(
        self, payments: Sequence[Transaction | StoredTransaction], index: Any, dated: bool
    ) -> pd.DataFrame:
        """Lay payments out as the training table was."""
        schema = self.schema
        table: dict[str, Any] = {c: [p.row[c] for p in payments] for c in (*schema.others, schema.amount)}
        frame = pd.DataFrame(table, index=pd.Index(index, dtype=np.int64), dtype=object)
        for column in self._numbers:
            frame[column] = to_numbers(frame[column], column)
        times = np.array([p.time for p in payments], np.int64)
        frame[schema.time] = pd.to_datetime(times, unit="ms") if dated else times / DAY * schema.per_day
        if schema.unit is not None:
            frame[schema.unit] = pd.array([p.unit for p in payments], dtype=object)
        frame[schema.card] = pd.array([p.card for p in payments], dtype=object)
        if schema.terminal is not None:
            frame[schema.terminal] = pd.array([p.terminal for p in payments], dtype=object)
        frame[schema.label] = np.array([np.nan if p.fraud is None else p.fraud for p in payments], np.float64)
        return frame

    def _alert(self, payment: Transaction, score: float, reasons: list[tuple[str, float]]) -> str:
        schema = self.schema
        said = [
            {
                "code": code if code != HISTORY else "R9",
                "words": reason_text(self._codes, code),
                "effect": round(effect, 3),
            }
            for code, effect in reasons
        ]
        content = {
            "line": payment.line.number,
            "id": payment.id,
            "card": payment.card,
            "time": payment.row[schema.time],
            "amount": payment.row[schema.amount],
            "score": round(score, 6),
            "threshold": self.threshold,
            "reasons": said,
        }
        return json.dumps(content, ensure_ascii=False)
