"""Options of the groups ``evaluation`` and ``baseline``. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import BaselineConfig, EvaluationConfig, config_error, field, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from core.data.types import Encoder, ColumnRoles
    from core.evaluation.types import BaselineResult
    from core.targets.types import Target

RULES = ("auto", "youden", "cost", "sensitivity", "specificity", "f1", "0.5", "balanced", "macro_f1")
SCALINGS = ("auto", "none", "platt", "temperature")


def _check(key: str, value: int, least: int) -> None:
    if value < least:
        raise config_error(f"baseline.{key}", value, f"give a whole number of at least {least}")


@register("evaluation", "standard")
class StandardEvaluation(EvaluationConfig):
    """Held-out metrics with bootstrap intervals, calibration, thresholds from validation, tables by group."""

    resamples: int = field(1000, help="bootstrap resamples behind every interval")
    resamples_single: int = field(
        200, help="resamples of a metric that has no vectorised form, and of every group's metrics"
    )
    confidence: float = field(0.95, help="confidence of the intervals")
    rule: str = field(
        "auto",
        help="threshold rule: auto (youden; f1 for multilabel), youden, cost, sensitivity, specificity, f1, 0.5; "
        "balanced, macro_f1 (several classes: rare ones weighed up until mean recall, or macro-F1, is best)",
    )
    sensitivity: float = field(0.90, help="sensitivity that 'specificity at' and rule=sensitivity must reach")
    specificity: float = field(0.90, help="specificity that 'sensitivity at' and rule=specificity must reach")
    prevalence: float | None = field(
        None, help="prevalence for PPV and NPV (null: the validation part's own)"
    )
    cost_false_positive: float = field(1.0, help="cost of a false alarm, in any unit")
    cost_false_negative: float | None = field(
        None, help="cost of a miss (null: so many false alarms as there are negatives per positive)"
    )
    decision_thresholds: list[float] = field(
        [], help="threshold probabilities of the decision curve (empty: 50, up to four times the prevalence)"
    )
    studies: bool = field(True, help="carry out the task's own studies (robustness, gates, costs ...)")
    minimum_group: int = field(50, help="groups with fewer rows are not shown")
    scaling: str = field(
        "auto",
        help="recalibration fitted on validation: auto (kept if it lowers the cross-fitted log loss), none, "
        "platt, temperature",
    )
    bins: int = field(10, help="bins of the reliability curve and of the calibration error")

    def check(self) -> None:
        """Refuse values that can't be meant, before any data is read."""
        for key, least in (("resamples", 20), ("resamples_single", 20), ("minimum_group", 1), ("bins", 2)):
            if getattr(self, key) < least:
                raise config_error(
                    f"evaluation.{key}", getattr(self, key), f"give a whole number of at least {least}"
                )
        for key in ("confidence", "sensitivity", "specificity", "prevalence"):
            value = getattr(self, key)
            if value is not None and not 0 < value < 1:
                raise config_error(f"evaluation.{key}", value, "give a share between 0 and 1, both excluded")
        for key in ("cost_false_positive", "cost_false_negative"):
            value = getattr(self, key)
            if value is not None and not 0 < value < float("inf"):
                raise config_error(f"evaluation.{key}", value, "give a cost above 0")
        one_of("evaluation.rule", self.rule, RULES)
        one_of("evaluation.scaling", self.scaling, SCALINGS)
        for value in self.decision_thresholds:
            if not 0 < value < 1:
                raise config_error(
                    "evaluation.decision_thresholds", value, "each is a probability between 0 and 1"
                )


@register("baseline", "none")
class NoBaseline(BaselineConfig):
    """No classical model beside this one."""

    rows: int = field(
        100_000, "without effect: an experiment that sets it for other baselines goes with none too"
    )

    def check(self) -> None:
        """Nothing can be wrong."""

    def run(
        self, frames: Mapping[str, pd.DataFrame], encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
    ) -> BaselineResult | None:
        """Return None."""
        return None


@register("baseline", "auto")
class AutoBaseline(BaselineConfig):
    """The classical model that suits the inputs: boosting, TF-IDF, logistic (texts with references), a linear probe."""

    rows: int = field(100_000, help="most training rows it is fitted on (a random part of them beyond that)")

    def check(self) -> None:
        """Refuse values that can't be meant."""
        _check("rows", self.rows, 20)

    def run(
        self, frames: Mapping[str, pd.DataFrame], encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
    ) -> BaselineResult | None:
        """Choose by the kinds of input and fit; the record says which was chosen."""
        from core.evaluation.baseline import challenge, suited

        return challenge(self._chosen(suited(roles)), frames, encoder, roles, target, seed)

    def _chosen(self, name: str) -> Boosting | Logistic:
        kinds: dict[str, type[Boosting | Logistic]] = {
            "boosting": Boosting,
            "logistic": Logistic,
            "tfidf": Tfidf,
            "linear_probe": LinearProbe,
        }
        chosen = kinds[name]()
        chosen.rows = self.rows
        return chosen


@register("baseline", "boosting")
class Boosting(BaselineConfig):
    """Histogram gradient boosting on the table's columns, text topics, image or signal features."""

    rows: int = field(100_000, help="most training rows it is fitted on (a random part of them beyond that)")
    iterations: int = field(300, help="most trees; fewer when validation stops improving")
    learning_rate: float = field(0.06, help="shrinkage of each tree")
    leaves: int = field(31, help="leaves of a tree")
    topics: int = field(32, help="dimensions that the TF-IDF of each text column is reduced to")

    def check(self) -> None:
        """Refuse values that can't be meant, before any data is read."""
        for key, least in (("rows", 20), ("iterations", 1), ("leaves", 2), ("topics", 1)):
            _check(key, getattr(self, key), least)
        if not 0 < self.learning_rate <= 1:
            raise config_error(
                "baseline.learning_rate", self.learning_rate, "give a number above 0 and up to 1"
            )

    def run(
        self, frames: Mapping[str, pd.DataFrame], encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
    ) -> BaselineResult | None:
        """Fit on the training frame, stop by validation, predict validation and test."""
        from core.evaluation.baseline import challenge

        return challenge(self, frames, encoder, roles, target, seed)


@register("baseline", "logistic")
class Logistic(BaselineConfig):
    """Logistic (ridge for values) regression on every input."""

    rows: int = field(100_000, help="most training rows it is fitted on (a random part of them beyond that)")
    strengths: list[float] = field(
        [0.01, 0.1, 1.0, 10.0, 100.0], help="inverse penalties tried; validation decides"
    )
    vocabulary: int = field(50_000, help="most words and word pairs of a text column")

    def check(self) -> None:
        """Refuse values that can't be meant, before any data is read."""
        _check("rows", self.rows, 20)
        _check("vocabulary", self.vocabulary, 1)
        if not self.strengths or min(self.strengths) <= 0:
            raise config_error("baseline.strengths", self.strengths, "give at least one number, all above 0")

    def run(
        self, frames: Mapping[str, pd.DataFrame], encoder: Encoder, roles: ColumnRoles, target: Target, seed: int
    ) -> BaselineResult | None:
        """Fit on the training frame, choose the penalty by validation, predict validation and test."""
        from core.evaluation.baseline import challenge

        return challenge(self, frames, encoder, roles, target, seed)


@register("baseline", "tfidf")
class Tfidf(Logistic):
    """TF-IDF of the text columns alone, then logistic regression."""


@register("baseline", "linear_probe")
class LinearProbe(Logistic):
    """Colour and gradient histograms (images) or shape (signals), then logistic regression."""
