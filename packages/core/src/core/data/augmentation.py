"""Random changes of training inputs, drawn for each example alone, so that they stay exact under DP."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from core.config import config_error
from core.config.validate import fractions
from core.data.encoders.storage import resized

if TYPE_CHECKING:
    from core.data.augmentation_config import ImageAugmentation, SignalAugmentation, TableAugmentation
    from core.data.types import Layout


class Augmentation(Protocol):
    """Changes a batch's inputs; a function of the inputs and the generator's state alone, example by example."""

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Give changed inputs of the layout's shapes; random numbers are drawn on the CPU, for equal runs anywhere."""


class Draws:
    """Random numbers, one or more for each of B examples, on the inputs' device."""

    def __init__(self, generator: torch.Generator, examples: int, device: torch.device) -> None:
        self._generator = generator
        self._examples = examples
        self._device = device

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform numbers, (B, *shape)."""
        return self.share(*shape) * (high - low) + low

    def share(self, *shape: int) -> Tensor:
        """Uniform numbers from 0 to 1, (B, *shape)."""
        return torch.rand(self._examples, *shape, generator=self._generator).to(self._device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, (B, *shape)."""
        return torch.randn(self._examples, *shape, generator=self._generator).to(self._device)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with a probability, (B, *shape)."""
        return self.share(*shape) < probability


class ImageTransform:
    """Changes ``image``: one resampling for crop, turn, shear and flip; one colour matrix; a hole.

    A ``mask`` (B, H, W) among the inputs moves with its image and keeps its values: those of the nearest pixel.
    """

    def __init__(self, config: ImageAugmentation, layout: Layout) -> None:
        if layout.image is None:
            raise config_error(
                "augmentation", "image", "the data holds no image column; use none, signal or table"
            )
        for key, low, high in (
            ("scale", 1e-3, 1.0), ("ratio", 1.0, 10.0), ("cutout", 0.0, 1.0), ("probability", 0.0, 1.0),
            ("brightness", 0.0, 1.0), ("contrast", 0.0, 1.0), ("saturation", 0.0, 1.0), ("balance", 0.0, 1.0),
            ("hue", 0.0, 0.5), ("shift", 0.0, 1.0), ("shear", 0.0, 60.0), ("rotation", 0.0, 180.0),
            ("side", 0.1, 1.0),
        ):  # fmt: skip
            if not low <= getattr(config, key) <= high:
                raise config_error(f"augmentation.{key}", getattr(config, key), f"from {low:g} to {high:g}")
        self._config = config
        self._size = _share(layout.image[1:], config.side)
        c = config
        self._bends = c.scale < 1 or c.ratio > 1 or any((c.rotation, c.shear, c.shift))
        self._colours = any((c.brightness, c.contrast, c.saturation, c.hue, c.balance))

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change ``image`` (B, C, H, W) uint8 of any size into the layout's size."""
        image, mask = inputs["image"], inputs.get("mask")
        if not len(image):  # Poisson sampling gives empty batches, which resampling refuses
            return {**inputs, "image": image.new_empty((0, image.shape[1], *self._size))}
        draws = Draws(generator, len(image), image.device)
        if self._bends:
            theta = self._theta(len(image), image.shape[-2:], draws)
            image = _resampled(image, theta, self._size, "bilinear")
            if mask is not None:
                size = _share(mask.shape[-2:], self._config.side)
                mask = _resampled(mask[:, None], theta, size, "nearest")[:, 0].to(mask.dtype)
        else:
            image, mask = self._mirrored(image, mask, draws)
            if image.shape[-2:] != self._size:
                image = resized(image, self._size)
            if mask is not None and self._config.side < 1:
                size = _share(mask.shape[-2:], self._config.side)
                mask = functional.interpolate(mask[:, None].float(), size)[:, 0].to(mask.dtype)
        if self._colours:
            image = self._coloured(image.float(), draws)
        if self._config.cutout:
            image = self._holed(image.float(), draws)
        if image.dtype != torch.uint8:
            image = image.round_().clamp_(0, 255).to(torch.uint8)
        return {**inputs, "image": image} | ({} if mask is None else {"mask": mask})

    def _theta(self, count: int, size: torch.Size, draws: Draws) -> Tensor:
        """Draw x_in = R S K x_out + t (turn, shear, scale), in coordinates from -1 to 1: (B, 2, 3)."""
        c = self._config
        height, width = size
        on = draws.chance(c.probability).float()
        area = 1 - (1 - draws.between(c.scale, 1.0)) * on
        ratio = (draws.between(-math.log(c.ratio), math.log(c.ratio)) * on).exp()
        across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        turn = torch.deg2rad(draws.between(-c.rotation, c.rotation) * on)
        lean = torch.tan(torch.deg2rad(draws.between(-c.shear, c.shear) * on))
        move = draws.between(-1, 1, 2)
        room = torch.stack([1 - across, 1 - down], 1) + 2 * c.shift * on[:, None]
        mirror = torch.where(draws.chance(0.5 if c.flip or c.dihedral else 0.0), -1.0, 1.0)
        if c.dihedral:
            quarters = torch.floor(draws.between(0, 4))
            turn = turn + (quarters if height == width else 2 * torch.floor(quarters / 2)) * (math.pi / 2)
        cos, sin = torch.cos(turn), torch.sin(turn)
        long = width / height
        a, b = cos * across * mirror, (cos * lean - sin) * down / long
        d, e = sin * across * mirror * long, (sin * lean + cos) * down
        return torch.stack(
            [
                torch.stack([a, b, move[:, 0] * room[:, 0]], 1),
                torch.stack([d, e, move[:, 1] * room[:, 1]], 1),
            ],
            1,
        )

    def _mirrored(self, image: Tensor, mask: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor | None]:
        c = self._config
        flips: list[tuple[Tensor, Callable[[Tensor], Tensor]]] = []
        if c.flip or c.dihedral:
            flips.append((draws.chance(0.5, 1, 1, 1), lambda x: x.flip(-1)))
        if c.dihedral:
            flips.append((draws.chance(0.5, 1, 1, 1), lambda x: x.flip(-2)))
            across = draws.chance(0.5, 1, 1, 1)
            if image.shape[2] == image.shape[3]:
                flips.append((across, lambda x: x.transpose(-1, -2)))
        for chosen, flip in flips:
            image = torch.where(chosen, flip(image), image)
            mask = None if mask is None else torch.where(chosen[:, 0], flip(mask), mask)
        return image, mask

    def _coloured(self, image: Tensor, draws: Draws) -> Tensor:
        """Apply contrast about the image's mean, brightness, and a colour matrix (saturation, hue, balance)."""
        c = self._config
        count, channels = image.shape[:2]
        on = draws.chance(c.probability, 1, 1, 1).float()
        light = 1 + draws.between(-c.brightness, c.brightness, 1, 1, 1) * on
        contrast = 1 + draws.between(-c.contrast, c.contrast, 1, 1, 1) * on
        mean = image.mean((1, 2, 3), keepdim=True)
        image = ((image - mean) * contrast + mean) * light
        if channels == 3 and (c.saturation or c.hue or c.balance):
            flag = on.view(count)
            saturation = 1 + draws.between(-c.saturation, c.saturation) * flag
            turn = 2 * math.pi * draws.between(-c.hue, c.hue) * flag
            gains = 1 + draws.between(-c.balance, c.balance, 3) * flag[:, None]
            matrix = _colour_matrix(saturation, turn) * gains[:, :, None]
            image = torch.einsum("bij,bjhw->bihw", matrix, image)
        return image

    def _holed(self, image: Tensor, draws: Draws) -> Tensor:
        """Grey out a square around a random pixel (DeVries and Taylor, 2017)."""
        height, width = image.shape[-2:]
        half = self._config.cutout * min(height, width) / 2
        middle = draws.share(2) * torch.tensor([height, width], device=image.device)
        rows = (torch.arange(height, device=image.device) + 0.5 - middle[:, :1]).abs() < half
        columns = (torch.arange(width, device=image.device) + 0.5 - middle[:, 1:]).abs() < half
        hole = (
            rows[:, None, :, None]
            & columns[:, None, None, :]
            & draws.chance(self._config.probability, 1, 1, 1)
        )
        return torch.where(hole, image.mean((2, 3), keepdim=True), image)


def _share(size: tuple[int, ...] | torch.Size, side: float) -> tuple[int, int]:
    height, width = size
    return max(1, round(height * side)), max(1, round(width * side))


def _resampled(image: Tensor, theta: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    grid = functional.affine_grid(theta, [len(image), 1, *size], align_corners=False)
    return functional.grid_sample(
        image.float(), grid, mode=mode, padding_mode="reflection", align_corners=False
    )


_LUMA = (0.299, 0.587, 0.114)
_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _colour_matrix(saturation: Tensor, turn: Tensor) -> Tensor:
    """Scale and turn chroma in the YIQ space (NTSC): (B, 3, 3) from (B,) and (B,)."""
    to_yiq = torch.tensor(_TO_YIQ, device=turn.device)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    cos, sin = saturation * torch.cos(turn), saturation * torch.sin(turn)
    rows = [
        torch.stack([one, zero, zero], 1),
        torch.stack([zero, cos, -sin], 1),
        torch.stack([zero, sin, cos], 1),
    ]
    matrix: Tensor = torch.linalg.inv(to_yiq) @ torch.stack(rows, 1) @ to_yiq
    return matrix


class SignalTransform:
    """Changes ``signal``: gain, shift and stretch in time, noise, baseline wander."""

    def __init__(self, config: SignalAugmentation, layout: Layout) -> None:
        if layout.signal is None:
            raise config_error(
                "augmentation", "signal", "the data holds no signal column; use none, image or table"
            )
        for key in ("gain", "shift", "stretch", "probability"):
            if not 0 <= getattr(config, key) <= 1:
                raise config_error(f"augmentation.{key}", getattr(config, key), "from 0 to 1")
        self._config = config

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change ``signal`` (B, C, T) float32."""
        c, signal = self._config, inputs["signal"]
        if not len(signal):
            return inputs
        draws = Draws(generator, len(signal), signal.device)
        length = signal.shape[2]
        if c.shift or c.stretch:
            on = draws.chance(c.probability, 1).float()
            speed = 1 + draws.between(-c.stretch, c.stretch, 1) * on
            move = draws.between(-c.shift, c.shift, 1) * length * on
            middle = (length - 1) / 2
            signal = _sampled(
                signal, (torch.arange(length, device=signal.device) - middle) * speed + middle + move
            )
        deviation = signal.std(2, keepdim=True, correction=0)
        if c.gain:
            on = draws.chance(c.probability, 1, 1).float()
            signal = signal * (1 + draws.between(-c.gain, c.gain, 1, 1) * on)
        if c.wander:
            on = draws.chance(c.probability, 1, 1).float()
            turns, phase = draws.between(0.5, 2.0, 1, 1), draws.between(0, 2 * math.pi, 1, 1)
            wave = torch.sin(torch.linspace(0, 2 * math.pi, length, device=signal.device) * turns + phase)
            signal = signal + c.wander * draws.share(1, 1) * deviation * wave * on
        if c.noise:
            on = draws.chance(c.probability, 1, 1).float()
            signal = signal + c.noise * deviation * draws.normal(*signal.shape[1:]) * on
        return {**inputs, "signal": signal}


def _sampled(signal: Tensor, at: Tensor) -> Tensor:
    """Read signals (B, C, T) at places (B, T) between samples, linearly; the ends go on."""
    at = at.clamp(0, signal.shape[2] - 1)
    left = at.floor().long().clamp(max=max(signal.shape[2] - 2, 0))
    share = (at - left)[:, None]
    pick = left[:, None].expand(-1, signal.shape[1], -1)
    right = (pick + 1).clamp(max=signal.shape[2] - 1)
    return signal.gather(2, pick) * (1 - share) + signal.gather(2, right) * share


class TableTransform:
    """Hides single numbers, categories, tokens and bag features."""

    def __init__(self, config: TableAugmentation, layout: Layout) -> None:
        fractions(
            "augmentation",
            numeric=config.numeric,
            categorical=config.categorical,
            tokens=config.tokens,
            bag=config.bag,
        )
        self._config = config
        self._padding = layout.pad_token_id

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change those of ``numeric`` and ``missing``, ``categorical``, ``tokens`` and ``bag`` that are there."""
        c, changed = self._config, dict(inputs)
        first = next(iter(inputs.values()))
        draws = Draws(generator, len(first), first.device)
        if "numeric" in inputs and (c.numeric or c.noise):
            numeric = inputs["numeric"]
            if c.noise:
                numeric = numeric + c.noise * draws.normal(numeric.shape[1]) * (1 - inputs["missing"])
            hidden = draws.chance(c.numeric, numeric.shape[1])
            changed["numeric"] = numeric.masked_fill(hidden, 0.0)
            changed["missing"] = inputs["missing"].masked_fill(hidden, 1.0)
        if "categorical" in inputs and c.categorical:
            hidden = draws.chance(c.categorical, inputs["categorical"].shape[1])
            changed["categorical"] = inputs["categorical"].masked_fill(hidden, 0)
        if "tokens" in inputs and c.tokens:
            hidden = draws.chance(c.tokens, inputs["tokens"].shape[1])
            hidden[:, 0] = False  # a row keeps at least its first token
            changed["tokens"] = inputs["tokens"].masked_fill(hidden, self._padding)
        if "bag" in inputs and c.bag:
            # scaled, so that a feature's mean stays (as dropout does)
            kept = ~draws.chance(c.bag, inputs["bag"].shape[1])
            changed["bag"] = inputs["bag"] * kept / (1 - c.bag)
        return changed
