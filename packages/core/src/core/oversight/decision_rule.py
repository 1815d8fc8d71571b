"""The decision rule of a run: what the model decides, what it only advises, and what a human decides.

Its one home: step 5 of a run measures it, ``predict``, ``evaluate`` and ``serve`` obey it, and record.json holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.oversight.declaration import Oversight
from core.oversight.section import DecisionCounts, QuantilesSection, ResidualScaleSection, RuleSection
from core.targets.prediction_sets import ConformalRule, Region, ResidualScale
from core.targets.types import Array, Labels, Target, target_type

if TYPE_CHECKING:
    import pandas as pd

MODEL, ADVICE = "model", "model advises"
UNSURE, CONFIRM = "human: unsure", "human: confirm"
DECISIONS = (MODEL, ADVICE, UNSURE, CONFIRM)
"""Values of ``decision``: the prediction takes effect; it only advises; a human decides; a human confirms it first."""
DEFER_ALL = 1.01
"""A threshold of confidence that no prediction reaches: a human decides everything."""


@dataclass(frozen=True)
class ConformalQuantiles:
    """Largest nonconformity of a class in a set, or of a value in an interval; infinite where too few rows calibrate.

    >>> by_group = ConformalQuantiles(0.5, {"sex": {"f": 0.7, "m": 0.4}})
    >>> by_group.of(2, {"sex": np.array(["f", "m"])}).tolist()
    [[0.7], [0.4]]
    """

    overall: float
    by_group: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Attribute -> group -> quantile; empty without ``mondrian=groups``."""
    by_class: tuple[float, ...] = ()
    """One per class; empty without ``mondrian=classes``."""

    def of(self, n: int, groups: Mapping[str, NDArray[np.str_]]) -> Array:
        """Return the quantiles of n rows, (n, 1) or (1, K).

        With several attributes a row takes the largest of its groups' quantiles, so that each group is covered
        (Barber, Candès, Ramdas and Tibshirani 2021); of an attribute that is not known here, the largest of all its
        groups.
        """
        if self.by_class:
            return np.asarray([self.by_class])
        found = np.full(n, -np.inf if self.by_group else self.overall)
        for attribute, quantiles in self.by_group.items():
            if attribute in groups:
                own = [quantiles.get(str(name), self.overall) for name in groups[attribute]]
                found = np.maximum(found, own)
            else:
                found = np.maximum(found, max([self.overall, *quantiles.values()]))
        return found[:, None]

    def section(self) -> QuantilesSection:
        """Return the quantiles for the record; null is infinite."""
        return QuantilesSection(
            overall=_finite(self.overall),
            by_group={a: {g: _finite(q) for g, q in own.items()} for a, own in self.by_group.items()},
            by_class=[_finite(q) for q in self.by_class],
        )

    @classmethod
    def restore(cls, section: QuantilesSection) -> ConformalQuantiles:
        """Return the quantiles that ``section()`` was made from."""
        return cls(
            _infinite(section.overall),
            {a: {g: _infinite(q) for g, q in own.items()} for a, own in section.by_group.items()},
            tuple(_infinite(q) for q in section.by_class),
        )


@dataclass(frozen=True)
class Decisions:
    """Who decides N rows, and between what."""

    decision: NDArray[np.str_]
    """(N,) one of ``DECISIONS``."""
    confidence: Array | None
    """(N,) probability that the prediction is right; of regression, relative precision; None without oversight."""
    region: Region | None = None
    """Prediction sets or intervals; None for dense kinds, which keep a summary, and without oversight."""

    def counts(self) -> DecisionCounts:
        """Count the rows by who decides them."""
        return count_decisions(self.decision)


def count_decisions(decision: NDArray[np.str_]) -> DecisionCounts:
    """Count rows by who decides them: the model, a human for want of confidence, a human to confirm.

    >>> count_decisions(np.array([MODEL, UNSURE, CONFIRM])).to_human
    2
    """
    unsure, confirm = int((decision == UNSURE).sum()), int((decision == CONFIRM).sum())
    rows = len(decision)
    return DecisionCounts(rows=rows, model=rows - unsure - confirm, unsure=unsure, confirm=confirm)


@dataclass(frozen=True)
class DecisionRule:
    """What a run decides by: quantiles and threshold from validation, the task's declaration, the user's additions.

    >>> rule = DecisionRule("binary", ("no", "yes"), acts=True, method="lac", threshold=0.8)
    >>> scores = np.array([[0.1, 0.9], [0.6, 0.4]])
    >>> rule.decide(scores, scores.argmax(axis=1), {}).decision.tolist()
    ['model', 'human: unsure']
    """

    kind: str
    classes: tuple[str, ...]
    acts: bool
    """Whether a prediction that stands takes effect, or only advises."""
    confirm: tuple[str, ...] = ()
    """Of ``classes``, those that a human confirms."""
    confirm_words: tuple[str, ...] = ()
    """Words of the input text that make a human confirm."""
    method: str = "none"
    """See ``core.oversight.config.METHODS``; none: no sets, nothing is deferred."""
    quantiles: ConformalQuantiles = field(default_factory=lambda: ConformalQuantiles(float("inf")))
    threshold: float = 0.0
    """A prediction with less confidence is deferred to a human."""
    residual_scale: ResidualScale = field(default_factory=ResidualScale)
    log: bool = False
    """The target was learnt on a logarithmic scale."""

    def decide(
        self,
        scores: Array,
        labels: Labels,
        groups: Mapping[str, NDArray[np.str_]],
        texts: Sequence[str] | None = None,
        sure: Array | None = None,
    ) -> Decisions:
        """Return who decides N rows of recalibrated scores and predicted labels (see ``Predictions``).

        ``texts``: the input text, where words ask for confirmation. ``sure``: of masks, each image's confidence (N,).
        """
        n = len(scores)
        decision = np.full(n, MODEL if self.acts else ADVICE, "U16")
        decision[self._to_confirm(labels, texts, n)] = CONFIRM
        if self.method == "none":
            return Decisions(decision, None)
        confident = self.confidence(scores, labels, sure)
        decision[confident < self.threshold] = UNSURE
        return Decisions(decision, confident, self.region(scores, groups))

    @property
    def type(self) -> type[Target]:
        """The class of the kind of target that is decided."""
        return target_type(self.kind)

    @property
    def conformal(self) -> ConformalRule:
        """How nonconformity is computed."""
        return ConformalRule(self.method, self.residual_scale, self.log)

    def confidence(self, scores: Array, labels: Labels, sure: Array | None = None) -> Array:
        """Return the confidence of each prediction, (N,)."""
        return self.type.confidence(scores, labels, sure, self.conformal)

    def region(self, scores: Array, groups: Mapping[str, NDArray[np.str_]]) -> Region | None:
        """Return the prediction sets or intervals of N rows; None for dense kinds."""
        return self.type.region(scores, self.quantiles.of(len(scores), groups), self.conformal, self.classes)

    def _to_confirm(self, labels: Labels, texts: Sequence[str] | None, n: int) -> NDArray[np.bool_]:
        confirm = np.zeros(n, bool)
        codes = [self.classes.index(name) for name in self.confirm]
        if codes:
            confirm |= self.type.includes(labels, codes)
        if self.confirm_words and texts is not None:
            words = re.compile(rf"\b({'|'.join(map(re.escape, self.confirm_words))})\b", re.IGNORECASE)
            confirm |= np.array([words.search(text) is not None for text in texts], bool)
        return confirm

    def section(self) -> RuleSection:
        """Return the rule for the record's ``oversight.rule``."""
        return RuleSection(
            kind=self.kind,
            classes=list(self.classes),
            acts=self.acts,
            confirm=list(self.confirm),
            confirm_words=list(self.confirm_words),
            method=self.method,
            quantiles=self.quantiles.section(),
            threshold=self.threshold,
            residual_scale=ResidualScaleSection(
                edges=list(self.residual_scale.edges), sizes=list(self.residual_scale.sizes)
            ),
            log=self.log,
        )

    @classmethod
    def restore(cls, section: RuleSection) -> DecisionRule:
        """Return the rule that ``section()`` was made from."""
        scale = section.residual_scale
        return cls(
            section.kind,
            tuple(section.classes),
            section.acts,
            tuple(section.confirm),
            tuple(section.confirm_words),
            section.method,
            ConformalQuantiles.restore(section.quantiles),
            section.threshold,
            ResidualScale(tuple(scale.edges), tuple(scale.sizes)),
            section.log,
        )


def rule_of_declaration(
    declared: Oversight, kind: str, classes: tuple[str, ...], confirm: Sequence[str], words: Sequence[str]
) -> DecisionRule:
    """Return the rule of a declaration and the user's additions, before anything was calibrated.

    Declared classes that the data do not have are left out here: see ``missing_confirm_classes``.
    """
    asked = [name for name in classes if name in (*declared.confirm, *confirm)]
    if declared.confirm_positive:
        judged = target_type(kind).judged_classes(classes)
        asked += [judged[0]] if len(judged) == 1 and judged[0] not in asked else []
    return DecisionRule(kind, classes, declared.acts, tuple(asked), (*declared.confirm_words, *words))


def joined_texts(frame: pd.DataFrame, columns: Sequence[str]) -> list[str] | None:
    """Return each row's texts joined, where words may ask for confirmation; None without text columns."""
    if not columns:
        return None
    return [" ".join(parts) for parts in zip(*(to_texts(frame[c]) for c in columns), strict=True)]


def missing_confirm_classes(declared: Oversight, classes: tuple[str, ...]) -> list[str]:
    """Return the classes whose confirmation is declared but which these data do not have."""
    return [name for name in declared.confirm if name not in classes]


def _finite(quantile: float) -> float | None:
    return float(quantile) if np.isfinite(quantile) else None


def _infinite(quantile: float | None) -> float:
    return float("inf") if quantile is None else float(quantile)
