"""The ``augmentation=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import AugmentationConfig, field, register

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.types import Layout


@register("augmentation", "none")
class NoAugmentation(AugmentationConfig):
    """Training inputs as they are."""

    def build(self, layout: Layout) -> Augmentation | None:
        """There is nothing to change."""
        return None


@register("augmentation", "image")
class ImageAugmentation(AugmentationConfig):
    """Random crops, turns, colours and holes, drawn for each image alone."""

    scale: float = field(0.7, "smallest share of the area that a random crop keeps; 1 for none")
    ratio: float = field(1.2, "most that a crop is stretched in width against height; 1 for none")
    rotation: float = field(0.0, "largest turn in degrees")
    shear: float = field(0.0, "largest shear in degrees")
    shift: float = field(0.0, "largest shift as a share of the side; crops shift by themselves")
    flip: bool = field(True, "mirror left and right, half of the time")
    dihedral: bool = field(False, "all eight mirrored quarter turns, for images without an up")
    brightness: float = field(0.2, "largest change of brightness, as a share")
    contrast: float = field(0.2, "largest change of contrast, as a share")
    saturation: float = field(0.2, "largest change of saturation, as a share")
    hue: float = field(0.02, "largest turn of the colour circle, as a share of it")
    balance: float = field(0.0, "largest change of each colour channel's strength, as a share")
    cutout: float = field(0.0, "side of a grey square as a share of the image's; 0 for none")
    probability: float = field(1.0, "how often crops, turns, colours and holes are applied at all")
    side: float = field(
        1.0, "side of a training image as a share of the model's own: below 1 trains faster, on larger crops"
    )

    def build(self, layout: Layout) -> Augmentation | None:
        """Make the change of a batch."""
        from core.data.augmentation import ImageTransform

        return ImageTransform(self, layout)


@register("augmentation", "signal")
class SignalAugmentation(AugmentationConfig):
    """Random gain, shift, noise and baseline wander, drawn for each signal alone."""

    gain: float = field(0.1, "largest change of the amplitude, as a share")
    shift: float = field(0.02, "largest shift in time, as a share of the length")
    stretch: float = field(0.0, "largest change of speed, as a share")
    noise: float = field(0.02, "deviation of added white noise, in deviations of the signal")
    wander: float = field(0.1, "amplitude of an added slow sine, in deviations of the signal")
    probability: float = field(1.0, "how often each is applied at all")

    def build(self, layout: Layout) -> Augmentation | None:
        """Make the change of a batch."""
        from core.data.augmentation import SignalTransform

        return SignalTransform(self, layout)


@register("augmentation", "table")
class TableAugmentation(AugmentationConfig):
    """Random hiding of numbers, categories, tokens and bag features, drawn for each row alone."""

    numeric: float = field(0.05, "how often a number is shown as missing")
    categorical: float = field(0.05, "how often a category is shown as unseen")
    tokens: float = field(0.1, "how often a token is dropped")
    bag: float = field(0.0, "how often a bag feature is dropped")
    noise: float = field(0.0, "deviation of noise added to scaled numbers")

    def build(self, layout: Layout) -> Augmentation | None:
        """Make the change of a batch."""
        from core.data.augmentation import TableTransform

        return TableTransform(self, layout)
