"""The ``target=`` options: which kind of target is predicted, how it is learnt and how it is decided."""

from __future__ import annotations

from core.config import TargetConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of

WEIGHTS = ("none", "balanced", "sqrt")
_SMOOTHING = "share of the true class's probability spread over all classes, 0 to below 1"
_WEIGHTS = "none, balanced (each class counts the same) or sqrt (half-way); counted on the training rows"


def _check_common(class_weights: str, label_smoothing: float = 0.0) -> None:
    one_of("target.class_weights", class_weights, WEIGHTS)
    fractions("target", label_smoothing=label_smoothing)


@register("target", "auto", builds="core.targets.infer:fit_inferred")
class AutoTarget(TargetConfig):
    """Infer the kind of target from the target column of the training rows; the choice is explained."""

    positive: str | None = field(None, help="binary: the value of the positive class")
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)


@register("target", "binary", builds="core.targets.binary:BinaryTarget.fit")
class BinaryOption(TargetConfig):
    """One of two classes."""

    positive: str | None = field(
        None, help="the value of the positive class; empty: 1, true, yes, or the rarer one"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    focal: float = field(0.0, help="gamma of the focal loss; 0 is the plain logistic loss")

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", focal=self.focal)


@register("target", "multiclass", builds="core.targets.multiclass:MulticlassTarget.fit")
class MulticlassOption(TargetConfig):
    """One of several classes without an order."""

    classes: list[str] = field([], help="the classes, in order; empty: those of the training rows")
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    focal: float = field(0.0, help="gamma of the focal loss; 0 is plain cross-entropy")
    logit_adjustment: float = field(
        0.0, help="share of the classes' log frequencies added to the logits in training"
    )

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", focal=self.focal)


@register("target", "multilabel", builds="core.targets.multilabel:MultilabelTarget.fit")
class MultilabelOption(TargetConfig):
    """Any number of labels: several 0/1 columns, a column of lists, or one of ``a;b`` texts."""

    classes: list[str] = field([], help="the labels, in order; empty: those of the training rows")
    separator: str = field(";", help="separator of the labels of one text cell")
    at_least_one: bool = field(
        False, help="every row has a label, so the likeliest is predicted when none reaches its threshold"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)
        if not self.separator:
            raise config_error("target.separator", self.separator, "it must be one or more characters")


@register("target", "ordinal", builds="core.targets.ordinal:OrdinalTarget.fit")
class OrdinalOption(TargetConfig):
    """One of several classes in an order (grades, stages)."""

    classes: list[str] = field(
        [], help="the classes, lowest first; empty: numbers by size, or the column's own order"
    )
    method: str = field("cumulative", help="cumulative (ordered logits) or corn (conditional steps)")
    decision_rule: str = field(
        "median", help="median, mean (rounded expectation) or mode of the predicted distribution"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)
        one_of("target.method", self.method, ("cumulative", "corn"))
        one_of("target.decision_rule", self.decision_rule, ("median", "mean", "mode"))


@register("target", "regression", builds="core.targets.regression:RegressionTarget.fit")
class RegressionOption(TargetConfig):
    """A number."""

    loss: str = field("squared", help="squared, absolute or huber, on the scaled target")
    scale: str = field(
        "standard",
        help="standard (mean 0, deviation 1 on the training rows), log (log1p, then standard) or none",
    )

    def __post_init__(self) -> None:
        one_of("target.loss", self.loss, ("squared", "absolute", "huber"))
        one_of("target.scale", self.scale, ("standard", "log", "none"))


@register("target", "segmentation", builds="core.targets.segmentation:SegmentationTarget.fit")
class SegmentationOption(TargetConfig):
    """A class for each pixel of an image."""

    height: int = field(0, help="height in which masks are learnt and predicted; 0: the training masks' own")
    width: int = field(0, help="width in which masks are learnt and predicted; 0: the training masks' own")
    class_weights: str = field("none", help="none, balanced or sqrt (half-way); counted on training pixels")
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    jaccard: float = field(0.0, help="weight of 1 minus the soft Jaccard index beside cross-entropy")

    def __post_init__(self) -> None:
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", height=self.height, width=self.width, jaccard=self.jaccard)


@register("target", "intent_slots", builds="core.targets.intent_slots:IntentSlotsTarget.fit")
class IntentSlotsOption(TargetConfig):
    """One intent for an utterance and a slot label for each of its words."""

    slots: list[str] = field([], help="the slots; empty: those of the training rows")
    max_words: int = field(48, help="most words of a labelled utterance")
    slot_weight: float = field(1.0, help="weight of the words' labels in the loss beside the intent")

    def __post_init__(self) -> None:
        if self.max_words < 1:
            raise config_error("target.max_words", self.max_words, "it must be 1 or more")
        at_least_zero("target", slot_weight=self.slot_weight)
