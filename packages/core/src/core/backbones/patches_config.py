"""The ``backbone=patches`` option. Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.checks import WIDE
from core.config import BackboneConfig, config_error, field, register
from core.config.validate import at_least_zero, positive

if TYPE_CHECKING:
    from core.backbones.patches import PatchNet
    from core.data.types import Json, Layout


@register("backbone", "patches")
class PatchesConfig(BackboneConfig):
    """Likeness of an image's patches to those of synthetic pictures: features that need no training, for privacy."""

    patches: int = field(512, help="patches that are compared with, half of them mirror images of the others")
    side: int = field(6, help="pixels a side of a patch")
    places: int = field(4, help="regions a side of the image, in each of which likeness is averaged")
    threshold: float = field(
        2.0, help="likeness that counts as none, in deviations of chance: higher gives sparser coefficients"
    )
    mirror: bool = field(
        False, help="an image and its mirror image are the same: half the features, half the noise of privacy"
    )
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", patches=self.patches, places=self.places)
        at_least_zero("backbone", wide=self.wide, threshold=self.threshold)
        if self.patches % 2:
            raise config_error(
                "backbone.patches", self.patches, "an even number: each patch and its mirror image"
            )
        if self.side < 2:
            raise config_error("backbone.side", self.side, "2 or more: one pixel has no contrast")

    def build(self, layout: Layout, seed: int, measured: bool = True) -> PatchNet:
        """Make the network for this image size."""
        from core.backbones.patches import PatchNet

        self.check()
        return PatchNet(layout, self, seed, measured)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> PatchNet:
        """Make the network of a saved run, whose weights, patches and usual sizes are put in afterwards."""
        return self.build(layout, seed, measured=False)
