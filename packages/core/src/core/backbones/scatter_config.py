"""The ``backbone=scatter`` option. Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.checks import WIDE
from core.config import BackboneConfig, config_error, field, register
from core.config.validate import at_least_zero, one_of, positive

if TYPE_CHECKING:
    from core.backbones.scattering import ScatteringNet
    from core.data.types import Json, Layout


@register("backbone", "scatter")
class ScatteringConfig(BackboneConfig):
    """Wavelet scattering of an image: features that need no training, for small privacy budgets and few labels."""

    scales: int = field(2, help="wavelet scales; each halves the image")
    orientations: int = field(8, help="directions of the wavelets")
    together: int = field(3, help="neighbouring coefficients that are normalised together, within an image")
    colors: str = field(
        "opponent",
        help="opponent (of three channels: brightness and two differences, Ohta et al. 1980) or asis",
    )
    standard: str = field(
        "leaves",
        help="leaves (each coefficient is divided by its usual size in synthetic pictures: no data is read) or none",
    )
    mirror: bool = field(
        False, help="an image and its mirror image are the same: half the features, half the noise of privacy"
    )
    widths: list[int] = field(
        [], help="channels of 3 x 3 convolutions on the coefficients; empty: the head reads all of them"
    )
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", scales=self.scales, orientations=self.orientations, together=self.together)
        one_of("backbone.colors", self.colors, ("opponent", "asis"))
        one_of("backbone.standard", self.standard, ("leaves", "none"))
        if self.mirror and self.widths:
            raise config_error(
                "backbone.mirror",
                True,
                "false where backbone.widths has convolutions: they need the whole map",
            )
        if any(w < 16 or w % 16 for w in self.widths):
            raise config_error(
                "backbone.widths", list(self.widths), "multiples of 16 (channels of one GroupNorm group)"
            )
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int, measured: bool = True) -> ScatteringNet:
        """Make the network for this image size."""
        from core.backbones.scattering import ScatteringNet

        self.check()
        return ScatteringNet(layout, self, seed, measured)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> ScatteringNet:
        """Make the network of a saved run, whose weights and usual sizes are put in afterwards."""
        return self.build(layout, seed, measured=False)
