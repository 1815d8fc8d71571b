"""The ``target=`` options: which kind of answer is predicted, how it is learnt and how it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import TargetConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import ColumnRoles
    from core.targets.binary import BinaryTarget
    from core.targets.segmentation import SegmentationTarget
    from core.targets.multiclass import MulticlassTarget
    from core.targets.multilabel import MultilabelTarget
    from core.targets.ordinal import OrdinalTarget
    from core.targets.regression import RegressionTarget
    from core.targets.intent_slots import IntentSlotsTarget
    from core.targets.types import Target

WEIGHTS = ("none", "balanced", "sqrt")
_SELECT = "the metric that selects checkpoints; empty: the kind's usual one"
_SMOOTHING = "share of the truth spread over all classes, 0 to below 1"
_WEIGHTS = "none, balanced (each class counts the same) or sqrt (half-way); counted on the training rows"


def _check_common(class_weights: str, label_smoothing: float = 0.0) -> None:
    one_of("target.class_weights", class_weights, WEIGHTS)
    fractions("target", label_smoothing=label_smoothing)


@register("target", "auto")
class AutoTarget(TargetConfig):
    """Find the kind of answer from the target column of the training rows; the choice is explained."""

    positive: str | None = field(None, help="binary: the value that counts as positive")
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> Target:
        """Make the target that suits the training rows; its ``explanation`` says why."""
        from core.targets.infer import detect

        self.check()
        kind, reason = detect(frame, roles)
        if self.positive is not None and kind != "binary":
            raise config_error(
                "target.positive", self.positive, f"the target is {kind}, not binary: {reason}"
            )
        if kind == "mask":
            mask = MaskOption()
            mask.class_weights, mask.label_smoothing = self.class_weights, self.label_smoothing
            mask.select = self.select
            target: Target = mask.build(frame, roles)
        elif kind == "tokens":
            if self.class_weights != "none" or self.label_smoothing:
                raise config_error(
                    "target.class_weights", self.class_weights, f"intents are not weighed: {reason}"
                )
            tokens = TokensOption()
            tokens.select = self.select
            target = tokens.build(frame, roles)
        elif kind == "regression":
            if self.class_weights != "none" or self.label_smoothing:
                raise config_error(
                    "target.class_weights", self.class_weights, f"a regression has no classes: {reason}"
                )
            regression = RegressionOption()
            regression.select = self.select
            target = regression.build(frame, roles)
        else:
            chosen = _WITH_CLASSES[kind]()
            chosen.class_weights = self.class_weights
            chosen.label_smoothing = self.label_smoothing
            chosen.select = self.select
            if isinstance(chosen, BinaryOption):
                chosen.positive = self.positive
            target = chosen.build(frame, roles)
        target.explanation = f"{reason} {target.explanation}".strip()
        return target


@register("target", "binary")
class BinaryOption(TargetConfig):
    """One of two values."""

    positive: str | None = field(
        None, help="the value that counts as positive; empty: 1, true, yes, or the rarer"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    focal: float = field(0.0, help="gamma of the focal loss; 0 is the plain logistic loss")
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", focal=self.focal)

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> BinaryTarget:
        """Read the two values and their weights from the training rows."""
        from core.targets.binary import BinaryTarget

        self.check()
        return BinaryTarget.fit(frame, roles, self)


@register("target", "multiclass")
class MulticlassOption(TargetConfig):
    """One of several classes without an order."""

    classes: list[str] = field([], help="the classes, in order; empty: those of the training rows")
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    focal: float = field(0.0, help="gamma of the focal loss; 0 is plain cross-entropy")
    logit_adjustment: float = field(
        0.0, help="share of the classes' log frequencies added to the logits in training"
    )
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", focal=self.focal)

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> MulticlassTarget:
        """Read the classes and their weights from the training rows."""
        from core.targets.multiclass import MulticlassTarget

        self.check()
        return MulticlassTarget.fit(frame, roles, self)


@register("target", "multilabel")
class MultilabelOption(TargetConfig):
    """Any number of labels: several 0/1 columns, a column of lists, or one of ``a;b`` texts."""

    classes: list[str] = field([], help="the labels, in order; empty: those of the training rows")
    separator: str = field(";", help="what parts the labels of one text cell")
    at_least_one: bool = field(
        False, help="every row has a label, so the likeliest is given when none is reached"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)
        if not self.separator:
            raise config_error("target.separator", self.separator, "it must be one or more characters")

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> MultilabelTarget:
        """Read the labels and their weights from the training rows."""
        from core.targets.multilabel import MultilabelTarget

        self.check()
        return MultilabelTarget.fit(frame, roles, self)


@register("target", "ordinal")
class OrdinalOption(TargetConfig):
    """One of several classes in an order (grades, stages)."""

    classes: list[str] = field(
        [], help="the classes, lowest first; empty: numbers by size, or the column's own order"
    )
    method: str = field("cumulative", help="cumulative (ordered logits) or corn (conditional steps)")
    decide: str = field(
        "median", help="median, mean (rounded expectation) or mode of the predicted distribution"
    )
    class_weights: str = field("none", help=_WEIGHTS)
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)
        one_of("target.method", self.method, ("cumulative", "corn"))
        one_of("target.decide", self.decide, ("median", "mean", "mode"))

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> OrdinalTarget:
        """Read the ordered classes and their weights from the training rows."""
        from core.targets.ordinal import OrdinalTarget

        self.check()
        return OrdinalTarget.fit(frame, roles, self)


@register("target", "regression")
class RegressionOption(TargetConfig):
    """A number."""

    loss: str = field("squared", help="squared, absolute or huber, on the scaled answer")
    scale: str = field(
        "standard",
        help="standard (mean 0, deviation 1 on the training rows), log (log1p, then standard) or none",
    )
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("target.loss", self.loss, ("squared", "absolute", "huber"))
        one_of("target.scale", self.scale, ("standard", "log", "none"))

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> RegressionTarget:
        """Read the scale from the training rows."""
        from core.targets.regression import RegressionTarget

        self.check()
        return RegressionTarget.fit(frame, roles, self)


@register("target", "mask")
class MaskOption(TargetConfig):
    """A class for each pixel of a picture."""

    height: int = field(0, help="height in which masks are learnt and given; 0: the training masks' own")
    width: int = field(0, help="width in which masks are learnt and given; 0: the training masks' own")
    class_weights: str = field("none", help="none, balanced or sqrt (half-way); counted on training pixels")
    label_smoothing: float = field(0.0, help=_SMOOTHING)
    jaccard: float = field(0.0, help="how much of 1 less the soft Jaccard index is added to cross-entropy")
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_common(self.class_weights, self.label_smoothing)
        at_least_zero("target", height=self.height, width=self.width, jaccard=self.jaccard)

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> SegmentationTarget:
        """Read size and weights from the training rows."""
        from core.targets.segmentation import SegmentationTarget

        self.check()
        return SegmentationTarget.fit(frame, roles, self)


@register("target", "tokens")
class TokensOption(TargetConfig):
    """One intent for an utterance and a slot label for each of its words."""

    slots: list[str] = field([], help="the slots; empty: those of the training rows")
    length: int = field(48, help="most words of a labelled utterance")
    slot_weight: float = field(1.0, help="what the words' labels count in the loss beside the intent")
    select: str | None = field(None, help=_SELECT)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if self.length < 1:
            raise config_error("target.length", self.length, "it must be 1 or more")
        at_least_zero("target", slot_weight=self.slot_weight)

    def build(self, frame: pd.DataFrame, roles: ColumnRoles) -> IntentSlotsTarget:
        """Read the intents and slots from the training rows."""
        from core.targets.intent_slots import IntentSlotsTarget

        self.check()
        return IntentSlotsTarget.fit(frame, roles, self)


_WITH_CLASSES: dict[str, type[BinaryOption | MulticlassOption | MultilabelOption | OrdinalOption]] = {
    "binary": BinaryOption,
    "multiclass": MulticlassOption,
    "multilabel": MultilabelOption,
    "ordinal": OrdinalOption,
}
