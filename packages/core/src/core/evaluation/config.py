"""Options of the groups ``evaluation`` and ``baseline``. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from core.config import BaselineConfig, EvaluationConfig, config_error, field, register
from core.config.validate import one_of

THRESHOLD_RULES = (
    "auto",
    "youden",
    "cost",
    "sensitivity",
    "specificity",
    "f1",
    "0.5",
    "balanced",
    "macro_f1",
)
RECALIBRATIONS = ("auto", "none", "platt", "temperature")
_MAX_ROWS = "most training rows it is fitted on (a random subset of them beyond that)"


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise config_error(key, value, f"give a whole number of at least {least}")


@register("evaluation", "standard")
class StandardEvaluation(EvaluationConfig):
    """Held-out metrics with bootstrap intervals, calibration, thresholds from validation, tables by group."""

    resamples: int = field(1000, help="bootstrap resamples behind every interval")
    resamples_slow: int = field(
        200, help="resamples of a metric that has no weighted form, and of every group's metrics"
    )
    confidence: float = field(0.95, help="confidence of the intervals")
    threshold_rule: str = field(
        "auto",
        help="auto (youden; f1 for multilabel), youden, cost, sensitivity, specificity, f1, 0.5; "
        "balanced, macro_f1 (several classes: rare ones are weighted up until mean recall, or macro-F1, is best)",
    )
    target_sensitivity: float = field(
        0.90, help="sensitivity that 'specificity at' and threshold_rule=sensitivity must reach"
    )
    target_specificity: float = field(
        0.90, help="specificity that 'sensitivity at' and threshold_rule=specificity must reach"
    )
    prevalence: float | None = field(
        None, help="prevalence for PPV and NPV (null: that of the validation set)"
    )
    cost_false_positive: float = field(1.0, help="cost of a false positive, in any unit")
    cost_false_negative: float | None = field(
        None,
        help="cost of a false negative (null: as many false positives as there are negatives per positive)",
    )
    decision_thresholds: list[float] = field(
        [], help="threshold probabilities of the decision curve (empty: 50, up to four times the prevalence)"
    )
    studies: bool = field(True, help="carry out the task's own studies (robustness, gates, costs ...)")
    min_group_rows: int = field(50, help="groups with fewer rows are not shown")
    recalibration: str = field(
        "auto",
        help="fitted on validation: auto (kept if it lowers the cross-fitted log loss), none, platt, temperature",
    )
    bins: int = field(10, help="bins of the reliability diagram and of the expected calibration error")

    def __post_init__(self) -> None:
        for key, least in (("resamples", 20), ("resamples_slow", 20), ("min_group_rows", 1), ("bins", 2)):
            _at_least(f"evaluation.{key}", getattr(self, key), least)
        for key in ("confidence", "target_sensitivity", "target_specificity", "prevalence"):
            value = getattr(self, key)
            if value is not None and not 0 < value < 1:
                raise config_error(f"evaluation.{key}", value, "give a share between 0 and 1, both excluded")
        for key in ("cost_false_positive", "cost_false_negative"):
            value = getattr(self, key)
            if value is not None and not 0 < value < float("inf"):
                raise config_error(f"evaluation.{key}", value, "give a cost above 0")
        one_of("evaluation.threshold_rule", self.threshold_rule, THRESHOLD_RULES)
        one_of("evaluation.recalibration", self.recalibration, RECALIBRATIONS)
        for value in self.decision_thresholds:
            if not 0 < value < 1:
                raise config_error(
                    "evaluation.decision_thresholds", value, "each is a probability between 0 and 1"
                )


def standard(config: EvaluationConfig) -> StandardEvaluation:
    """Return the option under its own type: there is one."""
    assert isinstance(config, StandardEvaluation)
    return config


@register("baseline", "none", builds="core.evaluation.baseline:no_baseline")
class NoBaseline(BaselineConfig):
    """No classical baseline."""

    max_rows: int = field(100_000, help="not used: lets an experiment that sets it compose with none")


@register("baseline", "auto", builds="core.evaluation.baseline:fit_suited")
class AutoBaseline(BaselineConfig):
    """The classical model that suits the inputs: boosting, TF-IDF, logistic (texts with references), a linear probe."""

    max_rows: int = field(100_000, help=_MAX_ROWS)

    def __post_init__(self) -> None:
        _at_least("baseline.max_rows", self.max_rows, 20)


@register("baseline", "boosting", builds="core.evaluation.baseline:fit_baseline")
class Boosting(BaselineConfig):
    """Histogram gradient boosting on the table's columns, SVD of TF-IDF, image or signal features."""

    max_rows: int = field(100_000, help=_MAX_ROWS)
    max_iter: int = field(300, help="most trees; fewer when validation stops improving")
    learning_rate: float = field(0.06, help="shrinkage of each tree")
    max_leaf_nodes: int = field(31, help="leaves of a tree")
    svd_components: int = field(32, help="dimensions that the TF-IDF of each text column is reduced to")

    def __post_init__(self) -> None:
        for key, least in (("max_rows", 20), ("max_iter", 1), ("max_leaf_nodes", 2), ("svd_components", 1)):
            _at_least(f"baseline.{key}", getattr(self, key), least)
        if not 0 < self.learning_rate <= 1:
            raise config_error(
                "baseline.learning_rate", self.learning_rate, "give a number above 0 and up to 1"
            )


@register("baseline", "logistic", builds="core.evaluation.baseline:fit_baseline")
class Logistic(BaselineConfig):
    """Logistic (ridge for numbers) regression on every input."""

    max_rows: int = field(100_000, help=_MAX_ROWS)
    C_grid: list[float] = field(
        [0.01, 0.1, 1.0, 10.0, 100.0], help="inverse penalties tried; validation decides"
    )
    max_features: int = field(50_000, help="most words and word pairs of a text column")

    def __post_init__(self) -> None:
        _at_least("baseline.max_rows", self.max_rows, 20)
        _at_least("baseline.max_features", self.max_features, 1)
        if not self.C_grid or min(self.C_grid) <= 0:
            raise config_error("baseline.C_grid", self.C_grid, "give at least one number, all above 0")


@register("baseline", "tfidf", builds="core.evaluation.baseline:fit_baseline")
class Tfidf(Logistic):
    """TF-IDF of the text columns alone, then logistic regression."""


@register("baseline", "linear_probe", builds="core.evaluation.baseline:fit_baseline")
class LinearProbe(Logistic):
    """Color and gradient histograms (images) or shape (signals), then logistic regression."""
