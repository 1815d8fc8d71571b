"""What is predicted: the base class of all kinds of target, and held-out predictions, which know their kind.

Everything that depends on the kind of target is a method here: its loss, its decoding, its default metrics, how it is
recalibrated and thresholded, its conformal score, its fairness criteria, the number that is explained, its columns in
files and its classical baseline. A new kind is one class in one module (``core.targets.<kind>`` or a domain's own)
that overrides what differs from the defaults below, and one option (see ``core.targets.config``).

Methods over ``Predictions`` are class methods, since predictions read from a file have a kind but no fitted target.
N rows, K classes.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from core.targets.arrays import Array as Array
from core.targets.arrays import Flags as Flags
from core.targets.arrays import Labels as Labels
from core.targets.arrays import OneVsRest as OneVsRest

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import Encoder, Json
    from core.targets.fairness_metrics import FairnessMetric
    from core.targets.prediction_sets import CalibrationScores, ConformalRule, Region
    from core.targets.recalibration import Recalibration


@dataclass
class Predictions:
    """Held-out predictions, never of training rows. N rows, K classes.

    >>> import numpy as np
    >>> p = Predictions(np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0, 1]), np.array([0, 0]), ("no", "yes"))
    >>> len(p), p.type.__name__
    (2, 'BinaryTarget')
    >>> p.take(np.array([1, 1])).labels
    array([1, 1])
    """

    scores: Array
    """(N, K) probabilities (binary: K = 2; multilabel: each label's own), or (N, 1) values for regression.

    Intent and slots: (N, K + 1 + T), the probabilities of intents, then what was decoded for the words.
    Segmentation: (N, K), each class's probability in the mean over the pixels.
    """
    labels: Labels
    """(N,) decoded class index (ordinal too), (N, K) 0/1 for multilabel, (N,) value for regression.

    Intent and slots: (N, 1 + T), the intent's index and each word's label, -1 beyond the last word.
    Segmentation: (N, H, W) uint8, a class for each pixel; 255 in ``targets``: none.
    """
    targets: Labels
    """Ground truth in the shape of ``labels``."""
    classes: tuple[str, ...] = ()
    kind: str = "binary"
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    """Sensitive attribute -> (N,) group names."""
    units: NDArray[np.str_] | None = None
    index: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Row number in the source's frame."""
    slots: tuple[str, ...] = ()
    """Names of the slots that words' labels stand for."""
    sure: Array | None = None
    """Segmentation: (N,) mean over an image's places of the likeliest class's probability."""
    derived: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Name -> (N, ...): what is computed once a row and kept by ``take``, such as ranks and pixel counts."""

    def __post_init__(self) -> None:
        self.kind = current_kind(self.kind)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def type(self) -> type[Target]:
        """Return the class of their kind, whose class methods take predictions."""
        return target_type(self.kind)

    def ranks(self) -> NDArray[np.int32]:
        """Return each column's ranks of scores from 0, ties equal, shape (N, K); sorted once and kept by ``take``.

        A resample keeps the order of its source, so a thousand bootstrap resamples need no further sort.
        """
        if "ranks" not in self.derived:
            columns = [np.unique(column, return_inverse=True)[1] for column in self.scores.T]
            self.derived["ranks"] = np.stack(columns, axis=1).astype(np.int32)
        return self.derived["ranks"]

    def counts(self) -> NDArray[np.int64]:
        """Return the pixels of each (true, predicted) class of each mask, (N, K, K); counted once, kept by ``take``."""
        if "counts" not in self.derived:
            k = len(self.classes)
            counted = np.zeros((len(self), k, k), np.int64)
            for n, (truth, label) in enumerate(zip(self.targets, self.labels, strict=True)):
                known = truth < k
                pairs = truth[known].astype(np.int64) * k + label[known]
                counted[n] = np.bincount(pairs, minlength=k * k).reshape(k, k)
            self.derived["counts"] = counted
        return self.derived["counts"]

    def take(self, rows: NDArray[np.int64] | Flags) -> Predictions:
        """Return some rows, in the order given (repeats allowed, as a bootstrap needs)."""
        self.type.precompute(self)
        taken = replace(
            self,
            scores=self.scores[rows],
            labels=self.labels[rows],
            targets=self.targets[rows],
            groups={k: v[rows] for k, v in self.groups.items()},
            units=None if self.units is None else self.units[rows],
            index=self.index[rows] if len(self.index) else self.index,
            sure=None if self.sure is None else self.sure[rows],
        )
        taken.derived = {name: values[rows] for name, values in self.derived.items()}
        return taken


Metric = Callable[[Predictions], float]
"""A metric of held-out predictions; NaN where it is undefined (one class only), never an exception."""
Weighted = Callable[[Array], Array]
"""Weights (R, N), one row of counts a resample -> values (R, k); NaN where a metric is undefined."""


LOWER_IS_BETTER = {"log_loss", "brier", "rmse", "mae"}
"""The metrics of which less is better, ``Target.lower_is_better`` of every kind included; others: higher."""


@dataclass(frozen=True)
class Statistic:
    """One or more metrics in a form that takes thousands of weightings of the same rows at once."""

    names: tuple[str, ...]
    prepare: Callable[[Predictions], Weighted]
    """Do once what does not depend on the weights (sorting, errors), and return the rest as a function."""


@dataclass(frozen=True)
class MetricSettings:
    """What default metrics depend on beside the predictions: choices of the evaluation, made on validation."""

    bins: int = 15
    """Bins of the expected calibration error."""
    target_sensitivity: float = 0.9
    target_specificity: float = 0.9
    cuts: Mapping[str, float | None] = field(default_factory=dict)
    """Threshold rule -> threshold of the positive class; null where validation gave none."""
    prevalence: float = 0.5
    """For predictive values."""
    cost_threshold: float = 0.5
    """Probability from which acting is worth its cost."""


@dataclass(frozen=True)
class Decoded:
    """What predictions keep of the scores of N rows."""

    scores: Array
    """(N, K)"""
    labels: Labels
    sure: Array | None = None
    """(N,) see ``Predictions.sure``."""
    doubtful: Array | None = None
    """Segmentation: (N,) share of places where more than one class is as likely as was asked."""

    @classmethod
    def joined(cls, pieces: Sequence[Decoded]) -> Decoded:
        """Return the rows of all pieces, one after another."""

        def concatenated(name: str) -> Any:
            each = [getattr(piece, name) for piece in pieces]
            return None if each[0] is None else np.concatenate(each)

        return cls(
            concatenated("scores"), concatenated("labels"), concatenated("sure"), concatenated("doubtful")
        )


@dataclass(frozen=True)
class TableColumn:
    """Cells of a column of ``predictions.parquet``, and their type: number, text, texts (lists) or bytes."""

    values: Sequence[Any] | NDArray[Any]
    type: str = "number"


@dataclass(frozen=True)
class FittedBaseline:
    """A classical model's predictions on the split of the network."""

    name: str
    validation: Predictions
    test: Predictions
    details: dict[str, Any]
    """Estimator, settings, features, rows it was fitted on, seconds: for the record."""


class BaselineSettings(Protocol):
    """What a kind's own baseline reads of its option (see ``core.evaluation.config``)."""

    max_rows: int


class Target(ABC):
    """What is predicted: how it is read from rows, learnt, decoded and evaluated.

    A subclass is a dataclass with ``kind`` (its name, unique in a process), ``classes`` and ``explanation`` (why
    this kind and these classes were chosen, in sentences for the record). Its fields are its state.
    """

    kind: ClassVar[str]
    reads: ClassVar[str] = "pooled"
    """Which features its head reads: pooled, tokens, joint or map."""
    dense: ClassVar[bool] = False
    """Scores are a map a row, of which predictions keep a summary: labels can't be decided anew from them."""
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    """Of this kind's metrics, those of which less is better, beside log loss, Brier score, RMSE and MAE."""
    has_row_class: ClassVar[bool] = False
    """Each row has exactly one of ``classes``, and ``labels`` and ``targets`` are its index, (N,)."""
    item: ClassVar[str] = "class"
    """What a prediction set or interval covers, a code for sentences: class, label, intent, number or pixel."""

    classes: tuple[str, ...]
    explanation: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _TYPES[cls.kind] = cls
        LOWER_IS_BETTER.update(cls.lower_is_better)

    # Learning

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of outputs the head has for one example (or token, or pixel)."""

    @abstractmethod
    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return the ground truth of rows, raising ValueError with column and row for what can't be read."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's own loss, shape (B,), coupling no two examples."""

    # Decoding

    @abstractmethod
    def scores(self, outputs: Tensor) -> Tensor:
        """Return probabilities (B, K) or values (B, 1) of outputs (B, width), float32."""

    @abstractmethod
    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide from scores (N, K); thresholds (per class or for the positive class) come from validation."""

    @abstractmethod
    def truth(self, targets: Tensor) -> Labels:
        """Return encoded targets in the shape of ``labels``."""

    @classmethod
    def kept_scores(cls, scores: Array) -> Array:
        """Return what predictions keep of scores, (N, K)."""
        return scores

    def decode(self, scores: Array, likely: Array | None = None) -> Decoded:
        """Decide from scores and keep of them what predictions keep.

        ``likely`` (N or 1, K or 1): the probability from which a class can't be excluded, for dense scores.
        """
        return Decoded(scores, self.labels(scores))

    def predictions(
        self,
        scores: Array,
        labels: Labels,
        truth: Labels,
        groups: Mapping[str, NDArray[np.str_]] | None = None,
        units: NDArray[np.str_] | None = None,
        index: NDArray[np.int64] | None = None,
        sure: Array | None = None,
    ) -> Predictions:
        """Return predictions of this target's kind and classes."""
        rows = np.empty(0, np.int64) if index is None else index
        return Predictions(
            scores, labels, truth, self.classes, self.kind, dict(groups or {}), units, rows, sure=sure
        )

    def log_scale(self) -> bool:
        """Return whether numbers are learnt on a logarithmic scale."""
        return False

    def state(self) -> dict[str, Json]:
        """Return everything that ``core.targets.restore`` needs, as JSON."""
        own: Any = self  # every kind is a dataclass
        return {"kind": self.kind, "reads": self.reads, **_lists(asdict(own))}

    @classmethod
    def from_state(cls, state: Mapping[str, Json]) -> Self:
        """Return the target whose ``state()`` this is; what older versions kept besides is left out."""
        own: Any = cls  # every kind is a dataclass
        names = {each.name for each in fields(own)}
        return cls(**{name: _tuples(value) for name, value in state.items() if name in names})

    # Metrics

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics this kind is evaluated by; the first is the one that selects models by default.

        Whether less is better is in ``LOWER_IS_BETTER``.
        """

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return the default metrics in weighted form, in the order a reader wants them.

        A name that ``metrics`` has too is the same metric (tests compare them).
        """
        return []

    @classmethod
    def precompute(cls, p: Predictions) -> None:
        """Compute what a resample of ``p`` would otherwise compute again (see ``Predictions.derived``)."""
        return

    @classmethod
    def headline_metric(cls) -> HeadlineMetric:
        """Return the metric by which slices and perturbed rows are compared, raising ValueError for a kind without."""
        raise ValueError(f"a {cls.kind} target has no accuracy to compare; leave this study out")

    # Probabilities: recalibration, thresholds, curves

    recalibrations: ClassVar[tuple[str, ...]] = ()
    """Methods of ``evaluation.recalibration`` that suit, the default first; empty: scores are no probabilities."""
    binary_threshold_rule: ClassVar[str] = "youden"
    """What ``evaluation.threshold_rule=auto`` is for the decisions of ``binary_decisions``."""
    balances_classes: ClassVar[bool] = False
    """Each class's probability may be divided by a threshold of its own before the largest is taken."""
    decided_by: ClassVar[str] = "highest probability"
    """The rule where no thresholds are used."""

    @classmethod
    def recalibrate(cls, scores: Array, recalibration: Recalibration) -> Array:
        """Return corrected scores (N, K)."""
        assert recalibration.method == "none", f"a {cls.kind} target is not recalibrated"
        return scores

    @classmethod
    def probabilistic(cls, p: Predictions) -> Predictions:
        """Return the part of predictions that are probabilities of classes: all of them, or the intents alone."""
        return p

    @classmethod
    def log_losses(cls, p: Predictions) -> Array:
        """Compute each row's negative log-likelihood in nats, (N,)."""
        raise NotImplementedError(f"a {cls.kind} target has no likelihood")

    @classmethod
    def brier_scores(cls, p: Predictions) -> Array:
        """Compute each row's squared error of probabilities, (N,) (Brier 1950)."""
        raise NotImplementedError(f"a {cls.kind} target has no probabilities")

    @classmethod
    def binary_decisions(cls, p: Predictions) -> OneVsRest:
        """Return the yes/no decisions that predictions consist of: those that take a threshold each."""
        return {}

    @classmethod
    def one_vs_rest(cls, p: Predictions) -> OneVsRest:
        """Return each class against all others, for ROC and precision-recall curves."""
        return cls.binary_decisions(p)

    @classmethod
    def outcome(cls, p: Predictions) -> tuple[Array, Flags] | None:
        """Return the probability of the one positive class and its truth, (N,) each; None for other kinds."""
        return None

    @classmethod
    def forecasts(cls, p: Predictions) -> tuple[Array, Flags] | None:
        """Return probabilities (N, C) that calibration is measured on and whether they came true; None without."""
        return None

    @classmethod
    def confusion(cls, p: Predictions) -> dict[str, Json] | None:
        """Return the counts of a confusion matrix, ready for the record; None for kinds without."""
        return None

    @classmethod
    def residuals(cls, p: Predictions) -> tuple[Array, Array] | None:
        """Return predicted and true values, (N,) each; None for kinds without."""
        return None

    # Uncertainty: conformal prediction and deferral

    conformal_methods: ClassVar[tuple[str, ...]] = ()
    """Methods of ``oversight.method`` that suit, the default first."""
    mondrian: ClassVar[str] = "none"
    """What ``oversight.mondrian=auto`` is."""
    deferrals: ClassVar[tuple[str, ...]] = ("none", "cost", "fraction", "accuracy")
    """Values of ``oversight.defer`` that suit."""
    deferred_by: ClassVar[str] = "cost"
    """What ``oversight.defer=auto`` is, unless the task names an accuracy and rows have one class."""

    @classmethod
    def calibration_scores(cls, p: Predictions, rule: ConformalRule) -> CalibrationScores:
        """Return the nonconformity of the ground truth of each row; dense kinds are scored place by place instead."""
        raise NotImplementedError(f"a {cls.kind} target has no conformal score")

    @classmethod
    def region(
        cls, scores: Array, limits: Array, rule: ConformalRule, classes: Sequence[str]
    ) -> Region | None:
        """Return the sets or intervals of scores (N, ...) below ``limits`` (N or 1, K or 1); None without."""
        return None

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return how sure each prediction is, (N,), such as the probability that it is right."""
        raise NotImplementedError(f"a {cls.kind} target has no confidence")

    @classmethod
    def confidence_varies(cls, method: str) -> bool:
        """Return whether rows can be ordered by their confidence under this conformal method."""
        return True

    @classmethod
    def row_losses(cls, p: Predictions, unit: float = 1.0) -> Array:
        """Compute what each row's error costs, (N,): 1 where it is wrong; numbers count in steps of ``unit``."""
        return np.asarray(p.labels != p.targets, np.float64)

    @classmethod
    def error_unit(cls, p: Predictions) -> float:
        """Return the size of an error that counts 1; 1 for what is right or wrong."""
        return 1.0

    @classmethod
    def includes(cls, labels: Labels, codes: Sequence[int]) -> Flags:
        """Return whether a row's prediction names any of the classes ``codes``, (N,)."""
        return np.isin(labels, list(codes))

    # Fairness

    thresholds_by_group: ClassVar[bool] = False
    """Groups may be decided by thresholds of their own (fairness=threshold)."""

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return the rates that groups should share, those that name the best-known criteria first."""
        return []

    @classmethod
    def judged_classes(cls, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the classes whose probabilities say everything: of two, the positive one."""
        return tuple(classes)

    @classmethod
    def indicators(cls, labels: Labels, count: int) -> Flags:
        """Return which of ``count`` classes each row's labels or truth name, (N, K)."""
        return np.asarray(labels[:, None] == np.arange(count))

    @classmethod
    def neutral_threshold(cls, classes: Sequence[str]) -> float:
        """Return the threshold that changes nothing."""
        return 0.5

    @classmethod
    def decision_utility(cls, hits: Array, false: Array, true: Array, rest: Array) -> float:
        """Compute what thresholds by group are chosen for, from counts (J,) of each judged class.

        True positives, false positives, rows of the class, rows of other classes. By default the mean recall.
        """
        recall = hits / np.maximum(true, 1)
        return float(recall[true > 0].mean())

    # Explanation

    explained_output: ClassVar[str] = "value"
    """The number that is explained, before recalibration, a code for sentences."""

    @classmethod
    def stratum(cls, p: Predictions) -> Labels | None:
        """Return the predicted class by which explained rows are drawn alike, (N,); None: rows are drawn at random."""
        return None

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return the class whose evidence is explained, (N,): labels as in ``Predictions``, outputs (N, ...).

        0 where the number explained is a value.
        """
        return np.zeros(len(outputs), np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the number explained (B,) from a head's outputs (B, ...), for the classes (B,) asked about."""
        return self.scores(outputs)[:, 0]

    def explained_name(self, explained: int) -> str:
        """Return the name of an explained class; empty where the number explained is a value."""
        return ""

    @classmethod
    def certainty(cls, p: Predictions) -> Array:
        """Return by which examples are chosen, (N,): surer ones have larger values."""
        return -np.abs(np.asarray(p.labels - p.targets, np.float64))

    @classmethod
    def correct(cls, p: Predictions) -> Flags | None:
        """Return whether each prediction is right, (N,); None where predictions are not right or wrong."""
        return None

    # Columns and words

    @classmethod
    @abstractmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return one prediction (a row of ``labels``) or its truth in words."""

    @classmethod
    @abstractmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return each row's prediction as a cell of a table: class name, ``a;b`` for several, a number, a mask."""

    @classmethod
    @abstractmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return labels or truth as a column of ``predictions.parquet``."""

    @classmethod
    @abstractmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return the labels that ``label_column`` wrote."""

    @classmethod
    def score_names(cls, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the columns of scores that a file keeps."""
        return tuple(classes)

    @classmethod
    def more_columns(cls, p: Predictions) -> dict[str, TableColumn]:
        """Return further columns of ``predictions.parquet``."""
        return {}

    @classmethod
    def file_details(cls, p: Predictions) -> dict[str, Json]:
        """Return what must be known beside kind and classes to read predictions from a file."""
        return {}

    @classmethod
    def read_more(
        cls, p: Predictions, column: Callable[[str], Sequence[Any]], details: Mapping[str, Json]
    ) -> Predictions:
        """Return predictions completed by what ``more_columns`` and ``file_details`` wrote."""
        return p

    def served_scores(self, scores: Array) -> dict[str, Array]:
        """Return the columns of scores that ``predict`` gives beside a prediction."""
        return {f"score:{name}": scores[:, k] for k, name in enumerate(self.classes)}

    def served_details(
        self, frame: pd.DataFrame, scores: Array, labels: Labels
    ) -> dict[str, Sequence[Any] | Array]:
        """Return further columns that ``predict`` gives, in the order of the rows."""
        return {}

    # Baseline

    own_baselines: ClassVar[tuple[str, ...]] = ()
    """Options of ``baseline=`` that this kind implements itself, the default first; empty: the general ones."""
    estimates_numbers: ClassVar[bool] = False
    """A general baseline takes a regressor, not a classifier."""

    def fit_baseline(
        self, settings: BaselineSettings, frames: Mapping[str, pd.DataFrame], encoder: Encoder, seed: int
    ) -> FittedBaseline:
        """Fit one of ``own_baselines`` on ``frames["train"]``, tune it on validation, predict validation and test."""
        raise NotImplementedError(f"a {self.kind} target has no baseline of its own")

    @classmethod
    def estimated_columns(cls, truth: Labels) -> list[Labels]:
        """Return what estimators are fitted to, one (N,) for each estimator."""
        return [truth]

    @classmethod
    def mean_columns(cls, truth: Labels, count: int) -> Array:
        """Return truth as numbers (N, C) whose means say something of a category; ``count``: of classes."""
        return np.asarray(truth, np.float64).reshape(len(truth), -1)

    def estimated_scores(self, estimates: Sequence[Array], known: Sequence[Labels]) -> Array:
        """Return scores (N, K) from each estimator's probabilities (N, k) of its ``known`` classes, or numbers (N,)."""
        scores = np.zeros((len(estimates[0]), len(self.classes)))
        scores[:, np.asarray(known[0], np.int64)] = estimates[0]
        return scores

    @classmethod
    def estimator_loss(cls, p: Predictions) -> float:
        """Compute the loss on validation by which a baseline's penalty is chosen."""
        return float(cls.log_losses(p).mean())


@dataclass(frozen=True)
class HeadlineMetric:
    """A metric that needs only the weighted sums of some columns of the predictions."""

    name: str
    words: str
    """The name for a reader."""
    columns: Callable[[Predictions], Array]
    """(N, C)"""
    combine: Callable[[Array], Array]
    """Sums (R, C) -> the metric (R,); NaN where it is undefined."""


_TYPES: dict[str, type[Target]] = {}
RENAMED_KINDS = {"mask": "segmentation", "tokens": "intent_slots"}
"""Kinds as records, encoders and predictions of version 0.1 name them."""


def current_kind(kind: str) -> str:
    """Return today's name of a kind.

    >>> current_kind("tokens"), current_kind("binary")
    ('intent_slots', 'binary')
    """
    return RENAMED_KINDS.get(kind, kind)


def target_type(kind: str) -> type[Target]:
    """Return the class of a kind of target, raising ValueError for one this process does not know.

    Core's own kinds are imported when they are asked for; a domain's are known once its modules are imported.

    >>> target_type("mask").kind
    'segmentation'
    """
    name = current_kind(kind)
    if name not in _TYPES and name.isidentifier() and importlib.util.find_spec(f"core.targets.{name}"):
        importlib.import_module(f"core.targets.{name}")
    if name not in _TYPES:
        raise ValueError(f"this version of core knows no target of kind {kind!r}")
    return _TYPES[name]


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(entry) for key, entry in value.items()}
    return [_lists(entry) for entry in value] if isinstance(value, tuple | list) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
