"""The decision rule of a run: what the model decides, what it only proposes, and what a human decides.

Its one home: step 5 of a run measures it, ``predict``, ``evaluate`` and ``serve`` obey it, and record.json holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.oversight.prediction_sets import Sets, ResidualScale, confidence, prediction_interval, link, prediction_sets
from core.oversight.declaration import Oversight
from core.targets.types import Array, Labels

if TYPE_CHECKING:
    import pandas as pd

Json = Any
MODEL, ADVICE = "model", "model advises"
UNSURE, CONFIRM = "human: unsure", "human: confirm"
DECISIONS = (MODEL, ADVICE, UNSURE, CONFIRM)
"""What ``decision`` can say: the answer takes effect; it only advises; a human decides; a human confirms it first."""
DEFER_ALL = 1.01
"""A limit of confidence that no answer reaches: a human decides everything."""


@dataclass(frozen=True)
class ConformalQuantiles:
    """Largest nonconformity of a class in a set, or of a number in an interval; infinite where too few rows speak."""

    overall: float
    by_group: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Attribute -> group -> limit; empty without ``mondrian=groups``."""
    by_class: tuple[float, ...] = ()
    """One a class; empty without ``mondrian=classes``."""

    def of(self, n: int, groups: Mapping[str, NDArray[np.str_]]) -> Array:
        """Give the limits of n rows, (n, 1) or (1, K).

        With several attributes a row takes the widest of its groups' limits, so that each group is covered (Barber,
        Candès, Ramdas and Tibshirani 2021); of an attribute that is not known here, the widest of all its groups.
        """
        if self.by_class:
            return np.asarray([self.by_class])
        found = np.full(n, -np.inf if self.by_group else self.overall)
        for attribute, limits in self.by_group.items():
            if attribute in groups:
                own = [limits.get(str(name), self.overall) for name in groups[attribute]]
                found = np.maximum(found, own)
            else:
                found = np.maximum(found, max([self.overall, *limits.values()]))
        return found[:, None]

    def state(self) -> dict[str, Json]:
        """Give the limits as JSON; null is infinite."""
        return {
            "overall": _finite(self.overall),
            "by_group": {a: {g: _finite(q) for g, q in own.items()} for a, own in self.by_group.items()},
            "by_class": [_finite(q) for q in self.by_class],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> ConformalQuantiles:
        """Make them again from ``state()``."""
        return cls(
            _infinite(state["overall"]),
            {a: {g: _infinite(q) for g, q in own.items()} for a, own in state["by_group"].items()},
            tuple(_infinite(q) for q in state["by_class"]),
        )


@dataclass(frozen=True)
class Decisions:
    """What the rule says of N rows."""

    decision: NDArray[np.str_]
    """(N,) one of ``DECISIONS``."""
    confidence: Array | None
    """(N,) probability that the answer is right; of numbers, how sure beside the others; None without oversight."""
    prediction_sets: Sets | None = None
    """(N, K) classes in each set; None for numbers, masks and without oversight."""
    low: Array | None = None
    """(N,) lower ends, of numbers."""
    high: Array | None = None


def count_decisions(decision: NDArray[np.str_]) -> dict[str, int]:
    """Count the rows of each fate: rows, model (stands as given, taking effect or advising), unsure, confirm."""
    unsure, waits = int((decision == UNSURE).sum()), int((decision == CONFIRM).sum())
    return {
        "rows": len(decision),
        "model": len(decision) - unsure - waits,
        "unsure": unsure,
        "confirm": waits,
    }


def told(counted: Mapping[str, int]) -> str:
    """Say in words how many rows go to a human."""
    human = counted["unsure"] + counted["confirm"]
    return (
        f"{human:,} of {counted['rows']:,} go to a human "
        f"({counted['unsure']:,} unsure, {counted['confirm']:,} to confirm)"
    )


@dataclass(frozen=True)
class DecisionRule:
    """What a run decides by: limits and threshold from validation, the task's declaration, the user's own additions."""

    kind: str
    classes: tuple[str, ...]
    acts: bool
    """Whether an answer that stands takes effect, or only advises."""
    confirm: tuple[str, ...] = ()
    """Of ``classes``, those that a human confirms."""
    words: tuple[str, ...] = ()
    """Words of the input text that make a human confirm."""
    method: str = "none"
    """See ``core.oversight.config.METHODS``; none: no sets, nothing is unsure."""
    limits: ConformalQuantiles = field(default_factory=lambda: ConformalQuantiles(float("inf")))
    threshold: float = 0.0
    """An answer with less confidence goes to a human."""
    spread: ResidualScale = field(default_factory=ResidualScale)
    log: bool = False
    """Numbers were learnt on a logarithmic scale."""

    def decide(
        self,
        scores: Array,
        labels: Labels,
        groups: Mapping[str, NDArray[np.str_]],
        texts: Sequence[str] | None = None,
        sure: Array | None = None,
    ) -> Decisions:
        """Decide N rows from recalibrated scores and given labels (see ``Predictions``).

        ``texts``: what was said, where words ask for confirmation. ``sure``: of masks, each picture's confidence (N,).
        """
        n = len(scores)
        decision = np.full(n, MODEL if self.acts else ADVICE, "U16")
        decision[self._waiting(labels, texts, n)] = CONFIRM
        if self.method == "none":
            return Decisions(decision, None)
        certain = self.certainty(scores, labels, sure)
        decision[certain < self.threshold] = UNSURE
        if self.kind == "regression":
            return Decisions(decision, certain, None, *self.interval(scores, groups))
        if self.kind == "mask":
            return Decisions(decision, certain)
        return Decisions(decision, certain, self.sets(scores, groups))

    def certainty(self, scores: Array, labels: Labels, sure: Array | None = None) -> Array:
        """Give how sure each answer is, (N,)."""
        if self.kind == "regression":
            wide = self.spread.of(link(scores[:, 0], self.log))
            return np.asarray(1.0 / (1.0 + wide / np.mean(self.spread.sizes)))
        if self.kind == "mask":
            assert sure is not None, "a picture's confidence comes from its pixels"
            return sure
        return confidence(self.kind, scores, labels, len(self.classes))

    def prediction_sets(self, scores: Array, groups: Mapping[str, NDArray[np.str_]]) -> Sets:
        """Give each row's set, (N, K)."""
        limits = self.limits.of(len(scores), groups)
        return prediction_sets(self.method, scores[:, : len(self.classes)], limits, empty=self.kind == "multilabel")

    def prediction_interval(self, scores: Array, groups: Mapping[str, NDArray[np.str_]]) -> tuple[Array, Array]:
        """Give each row's interval, (N,) lower and upper ends."""
        return prediction_interval(scores[:, 0], self.limits.of(len(scores), groups)[:, 0], self.spread, self.log)

    def _waiting(self, labels: Labels, texts: Sequence[str] | None, n: int) -> NDArray[np.bool_]:
        waits = np.zeros(n, bool)
        codes = [self.classes.index(name) for name in self.confirm]
        if codes and self.kind == "multilabel":
            waits |= (labels[:, codes] > 0).any(axis=1)
        elif codes and self.kind == "mask":
            waits |= np.array([bool(np.isin(mask, codes).any()) for mask in labels])
        elif codes:
            waits |= np.isin(labels[:, 0] if self.kind == "tokens" else labels, codes)
        if self.words and texts is not None:
            asks = re.compile(rf"\b({'|'.join(map(re.escape, self.words))})\b", re.IGNORECASE)
            waits |= np.array([asks.search(text) is not None for text in texts], bool)
        return waits

    def told(self) -> list[str]:
        """Say the rule in sentences."""
        stands = "takes effect" if self.acts else "is offered as advice"
        if self.method == "none":
            said = [f"Every answer {stands}, however unsure: oversight=none."]
        elif self.threshold <= 0:
            said = [f"Every answer {stands}; none is so unsure that it goes to a human."]
        elif self.threshold >= DEFER_ALL:
            said = [
                "Every answer goes to a human: on validation no confidence reached what was asked of the rest."
            ]
        else:
            what = (
                "its confidence (how narrow its interval is beside the others')"
                if self.kind == "regression"
                else "its probability"
            )
            said = [
                f"An answer {stands} where {what} is at least {self.threshold:.3f}; else a human decides."
            ]
        if self.confirm:
            said.append(f"A human confirms {', '.join(self.confirm)} before anything is done.")
        if self.words:
            said.append(f"A human confirms what is said with one of the words {', '.join(self.words)}.")
        return said

    def state(self) -> dict[str, Json]:
        """Give the rule as JSON, as the record's ``oversight.rule`` keeps it."""
        return {
            "kind": self.kind,
            "classes": list(self.classes),
            "acts": self.acts,
            "confirm": list(self.confirm),
            "words": list(self.words),
            "method": self.method,
            "limits": self.limits.state(),
            "threshold": self.threshold,
            "spread": {"edges": list(self.spread.edges), "sizes": list(self.spread.sizes)},
            "log": self.log,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> DecisionRule:
        """Make the rule again from ``state()``."""
        lists = {name: tuple(state[name]) for name in ("classes", "confirm", "words")}
        spread = ResidualScale(tuple(state["spread"]["edges"]), tuple(state["spread"]["sizes"]))
        return cls(**{**state, **lists, "limits": ConformalQuantiles.restore(state["limits"]), "spread": spread})


def rule_of_declaration(
    declared: Oversight, kind: str, classes: tuple[str, ...], confirm: Sequence[str], words: Sequence[str]
) -> DecisionRule:
    """Make the rule of a declaration and the user's additions, before anything was measured.

    Declared classes that the data do not have are left out here: ``absent`` names them.
    """
    asked = [name for name in classes if name in (*declared.confirm, *confirm)]
    if declared.confirm_positive and kind == "binary" and classes[1] not in asked:
        asked.append(classes[1])
    return DecisionRule(kind, classes, declared.acts, tuple(asked), (*declared.confirm_words, *words))


def joined_texts(frame: pd.DataFrame, columns: Sequence[str]) -> list[str] | None:
    """Join each row's texts, where words may ask for confirmation; None without text columns."""
    if not columns:
        return None
    return [" ".join(parts) for parts in zip(*(to_texts(frame[c]) for c in columns), strict=True)]


def missing_confirm_classes(declared: Oversight, classes: tuple[str, ...]) -> list[str]:
    """Name the classes whose confirmation is declared but which these data do not have."""
    return [name for name in declared.confirm if name not in classes]


def _finite(limit: float) -> float | None:
    return float(limit) if np.isfinite(limit) else None


def _infinite(limit: float | None) -> float:
    return float("inf") if limit is None else float(limit)
