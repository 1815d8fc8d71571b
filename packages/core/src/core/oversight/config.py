"""The options of ``oversight=``. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import OversightConfig, config_error, field, register
from core.config.validate import at_least_zero, one_of

if TYPE_CHECKING:
    from core.data.types import ColumnRoles
    from core.targets.types import Target

METHODS = ("auto", "lac", "aps", "contiguous", "absolute", "normalized")
"""Nonconformity scores; which of them suit a target is ``Target.conformal_methods``."""
MONDRIAN = ("auto", "none", "groups", "classes")
DEFERRALS = ("auto", "none", "cost", "fraction", "accuracy")


@register("oversight", "standard")
class StandardOversight(OversightConfig):
    """Predict conformal sets with a guaranteed coverage, and defer predictions of low confidence to a human."""

    alpha: float = field(
        0.1, help="miscoverage: share of predictions whose set or interval may miss the label"
    )
    method: str = field(
        "auto",
        help="nonconformity score; of sets: lac (smallest), aps (adaptive), contiguous (ordered classes); of "
        "intervals: absolute, normalized (wider where errors were larger); auto: the first that suits the target",
    )
    mondrian: str = field(
        "auto",
        help="whom the coverage is guaranteed to: none (rows overall), groups (each group of every sensitive "
        "attribute, which must then be known at prediction), classes (each true class); auto: classes of binary "
        "targets and of pixels, where sets could else miss most of what is rare, and none for others",
    )
    min_group_units: int = field(
        30,
        help="calibration units that a group or class needs for a conformal quantile of its own; fewer use the "
        "common one",
    )
    defer: str = field(
        "auto",
        help="which predictions go to a human: none, cost (least expected cost on validation), fraction, accuracy; "
        "auto: accuracy where the task names one, none for regression, else cost",
    )
    cost_of_deferral: float = field(
        0.25, help="cost of a human's decision, a wrong prediction of the model costing 1"
    )
    defer_fraction: float = field(0.1, help="with defer=fraction: the fraction of predictions deferred")
    target_accuracy: float = field(
        0.9, help="with defer=accuracy: least accuracy of the predictions that are not deferred"
    )
    confirm: list[str] = field([], help="classes that a human must confirm, beside those the task declares")
    confirm_words: list[str] = field(
        [], help="words of the input text that make a human confirm, beside those the task declares"
    )
    mask_images: int = field(
        32, help="images of validation and of test whose pixels are scored, for segmentation"
    )

    def __post_init__(self) -> None:
        for key in ("alpha", "defer_fraction", "target_accuracy"):
            if not 0 < getattr(self, key) < 1:
                raise config_error(
                    f"oversight.{key}", getattr(self, key), "give a share between 0 and 1, both excluded"
                )
        at_least_zero("oversight", cost_of_deferral=self.cost_of_deferral)
        for key, allowed in (("mondrian", MONDRIAN), ("defer", DEFERRALS), ("method", METHODS)):
            one_of(f"oversight.{key}", getattr(self, key), allowed)
        for key, least in (("min_group_units", 10), ("mask_images", 10)):
            if getattr(self, key) < least:
                raise config_error(
                    f"oversight.{key}", getattr(self, key), f"give a whole number of at least {least}"
                )


@register("oversight", "none")
class NoOversight(OversightConfig):
    """Let every prediction stand; defer nothing to a human."""


def check_target(config: OversightConfig, target: Target, roles: ColumnRoles) -> None:
    """Raise ``ValueError`` for an option that does not suit the target or the data: they are known only once read."""
    if not isinstance(config, StandardOversight):
        return
    if config.method not in ("auto", *target.conformal_methods):
        right = f"a {target.kind} target takes auto, {', '.join(target.conformal_methods)}"
        raise config_error("oversight.method", config.method, right)
    if config.mondrian == "groups" and not roles.sensitive:
        raise config_error("oversight.mondrian", config.mondrian, "needs data.sensitive; none is named")
    if config.mondrian == "classes" and not target.classes:
        right = f"a {target.kind} target has no classes; use groups"
        raise config_error("oversight.mondrian", config.mondrian, right)
    if config.defer not in ("auto", *target.deferrals):
        right = f"a {target.kind} is not right or wrong; use {' or '.join(reversed(target.deferrals))}"
        raise config_error("oversight.defer", config.defer, right)
    if config.defer == "fraction" and not target.confidence_varies(conformal_method(config, target)):
        right = "needs oversight.method=normalized: else all predictions are equally confident"
        raise config_error("oversight.defer", config.defer, right)
    unknown = [name for name in config.confirm if name not in target.classes]
    if unknown:
        right = f"is no class of this target; it has {', '.join(target.classes) or 'none'}"
        raise config_error("oversight.confirm", unknown, right)


def conformal_method(config: StandardOversight, target: Target | type[Target]) -> str:
    """Resolve ``oversight.method=auto``: the first score that suits the target."""
    return target.conformal_methods[0] if config.method == "auto" else config.method


def mondrian(config: StandardOversight, target: Target | type[Target]) -> str:
    """Resolve ``oversight.mondrian=auto``."""
    return target.mondrian if config.mondrian == "auto" else config.mondrian
