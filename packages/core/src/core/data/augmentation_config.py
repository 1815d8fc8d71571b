"""The ``augmentation=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from core.config import AugmentationConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions


def _within(config: object, ranges: dict[str, tuple[float, float]]) -> None:
    for key, (low, high) in ranges.items():
        if not low <= getattr(config, key) <= high:
            raise config_error(f"augmentation.{key}", getattr(config, key), f"from {low:g} to {high:g}")


@register("augmentation", "none", builds="core.data.augmentation:no_augmentation")
class NoAugmentation(AugmentationConfig):
    """Training inputs as they are."""


@register("augmentation", "image", builds="core.data.augmentation:ImageTransform")
class ImageAugmentation(AugmentationConfig):
    """Random crops, rotations, colors and cutout, drawn for each image alone."""

    scale: float = field(0.7, "smallest fraction of the area that a random crop keeps; 1 for none")
    ratio: float = field(1.2, "most that a crop is stretched in width against height; 1 for none")
    rotation: float = field(0.0, "largest rotation in degrees")
    shear: float = field(0.0, "largest shear in degrees")
    shift: float = field(0.0, "largest shift as a fraction of the side; crops shift by themselves")
    flip: bool = field(True, "flip horizontally, half of the time")
    dihedral: bool = field(False, "all eight flips and quarter rotations, for images without an up")
    brightness: float = field(0.2, "largest change of brightness, as a fraction")
    contrast: float = field(0.2, "largest change of contrast, as a fraction")
    saturation: float = field(0.2, "largest change of saturation, as a fraction")
    hue: float = field(0.02, "largest rotation of the color circle, as a fraction of it")
    color_balance: float = field(0.0, "largest change of each color channel's strength, as a fraction")
    cutout: float = field(0.0, "side of a gray square as a fraction of the image's; 0 for none")
    probability: float = field(1.0, "how often crops, rotations, colors and cutout are applied at all")
    train_resolution: float = field(
        1.0,
        "side of a training image as a fraction of the model's own: below 1 trains faster, on larger crops",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        unit = ("cutout", "probability", "brightness", "contrast", "saturation", "color_balance", "shift")
        _within(
            self,
            {"scale": (1e-3, 1.0), "ratio": (1.0, 10.0), "hue": (0.0, 0.5), "shear": (0.0, 60.0)}
            | {"rotation": (0.0, 180.0), "train_resolution": (0.1, 1.0)}
            | dict.fromkeys(unit, (0.0, 1.0)),
        )


@register("augmentation", "signal", builds="core.data.augmentation:SignalTransform")
class SignalAugmentation(AugmentationConfig):
    """Random gain, shift, time stretch, jitter and baseline wander, drawn for each signal alone."""

    gain: float = field(0.1, "largest change of the amplitude, as a fraction")
    shift: float = field(0.02, "largest shift in time, as a fraction of the length")
    time_stretch: float = field(0.0, "largest change of speed, as a fraction")
    jitter: float = field(0.02, "deviation of added Gaussian jitter, in deviations of the signal")
    baseline_wander: float = field(0.1, "amplitude of an added slow sine, in deviations of the signal")
    probability: float = field(1.0, "how often each is applied at all")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        _within(self, dict.fromkeys(("gain", "shift", "time_stretch", "probability"), (0.0, 1.0)))
        at_least_zero("augmentation", jitter=self.jitter, baseline_wander=self.baseline_wander)


@register("augmentation", "table", builds="core.data.augmentation:TableTransform")
class TableAugmentation(AugmentationConfig):
    """Random dropout of numbers, categories, tokens and TF-IDF features, drawn for each row alone."""

    numeric_dropout: float = field(0.05, "how often a number is shown as missing")
    categorical_dropout: float = field(0.05, "how often a category is shown as unseen")
    token_dropout: float = field(0.1, "how often a token is dropped")
    tfidf_dropout: float = field(0.0, "how often a TF-IDF feature is dropped")
    jitter: float = field(0.0, "deviation of Gaussian jitter added to scaled numbers")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be, naming the key."""
        keys = ("numeric_dropout", "categorical_dropout", "token_dropout", "tfidf_dropout")
        fractions("augmentation", **{key: getattr(self, key) for key in keys})
        at_least_zero("augmentation", jitter=self.jitter)
