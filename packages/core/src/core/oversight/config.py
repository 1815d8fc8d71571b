"""The options of ``oversight=``. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import OversightConfig, config_error, field, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.data.types import ColumnRoles
    from core.targets.types import Target

METHODS = {
    "lac": ("binary", "multiclass", "multilabel", "tokens", "mask"),
    "aps": ("binary", "multiclass", "tokens"),
    "contiguous": ("ordinal",),
    "absolute": ("regression",),
    "normalised": ("regression",),
}
"""Method -> kinds of targets it suits; the first that suits a kind is what ``auto`` takes."""
MONDRIAN = ("auto", "none", "groups", "classes")
DEFERRALS = ("auto", "none", "cost", "share", "agreement")


@register("oversight", "standard")
class StandardOversight(OversightConfig):
    """Give sets of answers with a promised coverage, and hand what the model is unsure of to a human."""

    alpha: float = field(0.1, help="share of answers whose set or interval may miss the truth")
    method: str = field(
        "auto",
        help="sets: lac (smallest), aps (adaptive), contiguous (ordered classes); intervals: absolute, normalised "
        "(wider where errors were larger); auto: the first that suits the target",
    )
    mondrian: str = field(
        "auto",
        help="whom the coverage is promised to: none (rows overall), groups (each group of every sensitive attribute, "
        "which must then be known at prediction), classes (each true class); auto: classes of yes/no answers and of "
        "pixels, where sets could else miss most of what is rare, and none for others",
    )
    mondrian_units: int = field(
        30,
        help="calibration units that a group or class needs for a limit of its own; fewer use the common one",
    )
    defer: str = field(
        "auto",
        help="what goes to a human: none, cost (least cost on validation), share, agreement; auto: agreement where the "
        "task names one, none for numbers, else cost",
    )
    cost_of_deferral: float = field(
        0.25, help="cost of a human's answer, a wrong answer of the model costing 1"
    )
    share: float = field(0.1, help="with defer=share: the share of answers that goes to a human")
    agreement: float = field(
        0.9, help="with defer=agreement: least share of right answers among those left to the model"
    )
    confirm: list[str] = field([], help="classes that a human must confirm, beside those the task declares")
    confirm_words: list[str] = field(
        [], help="words of the input text that make a human confirm, beside those the task declares"
    )
    mask_rows: int = field(32, help="pictures of each part whose pixels are looked at, for masks")

    def check(self) -> None:
        """Refuse values that can't be meant, before any data is read."""
        for key in ("alpha", "share", "agreement"):
            if not 0 < getattr(self, key) < 1:
                raise config_error(
                    f"oversight.{key}", getattr(self, key), "give a share between 0 and 1, both excluded"
                )
        if not 0 <= self.cost_of_deferral < float("inf"):
            raise config_error(
                "oversight.cost_of_deferral", self.cost_of_deferral, "give a cost of at least 0"
            )
        for key, allowed in (("mondrian", MONDRIAN), ("defer", DEFERRALS), ("method", ("auto", *METHODS))):
            one_of(f"oversight.{key}", getattr(self, key), allowed)
        for key, least in (("mondrian_units", 10), ("mask_rows", 10)):
            if getattr(self, key) < least:
                raise config_error(
                    f"oversight.{key}", getattr(self, key), f"give a whole number of at least {least}"
                )

    def check_target(self, target: Target, roles: ColumnRoles) -> None:
        """Refuse what does not suit the target or the data, before anything is trained."""
        kind = target.kind
        if self.method != "auto" and kind not in METHODS[self.method]:
            fitting = [name for name, kinds in METHODS.items() if kind in kinds]
            raise config_error(
                "oversight.method", self.method, f"a {kind} target takes auto, {', '.join(fitting)}"
            )
        if self.mondrian == "groups" and not roles.sensitive:
            raise config_error("oversight.mondrian", self.mondrian, "needs data.sensitive; none is named")
        if self.mondrian == "classes" and not target.classes:
            raise config_error(
                "oversight.mondrian", self.mondrian, f"a {kind} target has no classes; use groups"
            )
        if kind == "regression" and self.defer in ("cost", "agreement"):
            raise config_error(
                "oversight.defer", self.defer, "a number is not right or wrong; use share or none"
            )
        if kind == "regression" and self.defer == "share" and self.method != "normalised":
            raise config_error(
                "oversight.defer",
                self.defer,
                "needs oversight.method=normalised: else all numbers are as sure",
            )
        unknown = [name for name in self.confirm if name not in target.classes]
        if unknown:
            raise config_error(
                "oversight.confirm",
                unknown,
                f"is no class of this target; it has {', '.join(target.classes) or 'none'}",
            )

    def mondrian_of(self, kind: str) -> str:
        """Resolve ``auto`` for a kind of target."""
        if self.mondrian != "auto":
            return self.mondrian
        return "classes" if kind in ("binary", "mask") else "none"

    def method_of(self, kind: str) -> str:
        """Resolve ``auto`` for a kind of target."""
        return (
            next(name for name, kinds in METHODS.items() if kind in kinds)
            if self.method == "auto"
            else self.method
        )


@register("oversight", "none")
class NoOversight(OversightConfig):
    """Decide everything; hand nothing to a human."""

    def check(self) -> None:
        """Nothing can be wrong."""

    def check_target(self, target: Target, roles: ColumnRoles) -> None:
        """Suit every target."""
