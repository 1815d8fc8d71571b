"""Random changes of training inputs, drawn for each example alone, so that they stay exact under DP."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from core.config import config_error
from core.data.augmentation_config import (
    ImageAugmentation,
    NoAugmentation,
    SignalAugmentation,
    TableAugmentation,
)
from core.data.encoders.storage import resized

if TYPE_CHECKING:
    from core.data.types import Layout


class Augmentation(Protocol):
    """Changes a batch's inputs; a function of the inputs and the generator's state alone, example by example."""

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Return changed inputs of the layout's shapes; random numbers are drawn on the CPU, for equal runs."""


def no_augmentation(config: NoAugmentation, layout: Layout) -> None:
    """Return None: training inputs stay as they are."""


class RandomDraws:
    """Random numbers, one or more for each of B examples, on the inputs' device."""

    def __init__(self, generator: torch.Generator, examples: int, device: torch.device) -> None:
        self._generator = generator
        self._examples = examples
        self._device = device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniform numbers, (B, *shape)."""
        return self.fraction(*shape) * (high - low) + low

    def fraction(self, *shape: int) -> Tensor:
        """Draw uniform numbers from 0 to 1, (B, *shape)."""
        return torch.rand(self._examples, *shape, generator=self._generator).to(self._device)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, (B, *shape)."""
        return torch.randn(self._examples, *shape, generator=self._generator).to(self._device)

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """Draw booleans, true with a probability, (B, *shape)."""
        return self.fraction(*shape) < probability


class ImageTransform:
    """Changes ``image``: one resampling for crop, rotation, shear and flip; one color matrix; cutout.

    A ``mask`` (B, H, W) among the inputs moves with its image and keeps its values: those of the nearest pixel.
    """

    def __init__(self, config: ImageAugmentation, layout: Layout) -> None:
        if layout.image is None:
            raise config_error(
                "augmentation", "image", "the data holds no image column; use none, signal or table"
            )
        self._config = config
        self._size = _scaled(layout.image[1:], config.train_resolution)
        c = config
        self._warps = c.scale < 1 or c.ratio > 1 or any((c.rotation, c.shear, c.shift))
        self._recolors = any((c.brightness, c.contrast, c.saturation, c.hue, c.color_balance))

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change ``image`` (B, C, H, W) uint8 of any size into the layout's size."""
        image, mask = inputs["image"], inputs.get("mask")
        if not len(image):  # Poisson sampling gives empty batches, which resampling refuses
            return {**inputs, "image": image.new_empty((0, image.shape[1], *self._size))}
        draws = RandomDraws(generator, len(image), image.device)
        if self._warps:
            theta = self._theta(len(image), image.shape[-2:], draws)
            image = _resampled(image, theta, self._size, "bilinear")
            if mask is not None:
                size = _scaled(mask.shape[-2:], self._config.train_resolution)
                mask = _resampled(mask[:, None], theta, size, "nearest")[:, 0].to(mask.dtype)
        else:
            image, mask = self._flipped(image, mask, draws)
            if image.shape[-2:] != self._size:
                image = resized(image, self._size)
            if mask is not None and self._config.train_resolution < 1:
                size = _scaled(mask.shape[-2:], self._config.train_resolution)
                mask = functional.interpolate(mask[:, None].float(), size)[:, 0].to(mask.dtype)
        if self._recolors:
            image = self._recolored(image.float(), draws)
        if self._config.cutout:
            image = self._cutout(image.float(), draws)
        if image.dtype != torch.uint8:
            image = image.round_().clamp_(0, 255).to(torch.uint8)
        return {**inputs, "image": image} | ({} if mask is None else {"mask": mask})

    def _theta(self, count: int, size: torch.Size, draws: RandomDraws) -> Tensor:
        """Draw x_in = R S K x_out + t (rotation, shear, scale), in coordinates from -1 to 1: (B, 2, 3)."""
        c = self._config
        height, width = size
        on = draws.bernoulli(c.probability).float()
        area = 1 - (1 - draws.uniform(c.scale, 1.0)) * on
        ratio = (draws.uniform(-math.log(c.ratio), math.log(c.ratio)) * on).exp()
        across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        angle = torch.deg2rad(draws.uniform(-c.rotation, c.rotation) * on)
        shear = torch.tan(torch.deg2rad(draws.uniform(-c.shear, c.shear) * on))
        move = draws.uniform(-1, 1, 2)
        margin = torch.stack([1 - across, 1 - down], 1) + 2 * c.shift * on[:, None]
        sign = torch.where(draws.bernoulli(0.5 if c.flip or c.dihedral else 0.0), -1.0, 1.0)
        if c.dihedral:
            quarters = torch.floor(draws.uniform(0, 4))
            angle = angle + (quarters if height == width else 2 * torch.floor(quarters / 2)) * (math.pi / 2)
        cos, sin = torch.cos(angle), torch.sin(angle)
        long = width / height
        a, b = cos * across * sign, (cos * shear - sin) * down / long
        d, e = sin * across * sign * long, (sin * shear + cos) * down
        return torch.stack(
            [
                torch.stack([a, b, move[:, 0] * margin[:, 0]], 1),
                torch.stack([d, e, move[:, 1] * margin[:, 1]], 1),
            ],
            1,
        )

    def _flipped(
        self, image: Tensor, mask: Tensor | None, draws: RandomDraws
    ) -> tuple[Tensor, Tensor | None]:
        c = self._config
        flips: list[tuple[Tensor, Callable[[Tensor], Tensor]]] = []
        if c.flip or c.dihedral:
            flips.append((draws.bernoulli(0.5, 1, 1, 1), lambda x: x.flip(-1)))
        if c.dihedral:
            flips.append((draws.bernoulli(0.5, 1, 1, 1), lambda x: x.flip(-2)))
            across = draws.bernoulli(0.5, 1, 1, 1)
            if image.shape[2] == image.shape[3]:
                flips.append((across, lambda x: x.transpose(-1, -2)))
        for chosen, flip in flips:
            image = torch.where(chosen, flip(image), image)
            mask = None if mask is None else torch.where(chosen[:, 0], flip(mask), mask)
        return image, mask

    def _recolored(self, image: Tensor, draws: RandomDraws) -> Tensor:
        """Apply contrast about the image's mean, brightness, and a color matrix (saturation, hue, color balance)."""
        c = self._config
        count, channels = image.shape[:2]
        on = draws.bernoulli(c.probability, 1, 1, 1).float()
        light = 1 + draws.uniform(-c.brightness, c.brightness, 1, 1, 1) * on
        contrast = 1 + draws.uniform(-c.contrast, c.contrast, 1, 1, 1) * on
        mean = image.mean((1, 2, 3), keepdim=True)
        image = ((image - mean) * contrast + mean) * light
        if channels == 3 and (c.saturation or c.hue or c.color_balance):
            flag = on.view(count)
            saturation = 1 + draws.uniform(-c.saturation, c.saturation) * flag
            angle = 2 * math.pi * draws.uniform(-c.hue, c.hue) * flag
            gains = 1 + draws.uniform(-c.color_balance, c.color_balance, 3) * flag[:, None]
            matrix = _color_matrix(saturation, angle) * gains[:, :, None]
            image = torch.einsum("bij,bjhw->bihw", matrix, image)
        return image

    def _cutout(self, image: Tensor, draws: RandomDraws) -> Tensor:
        """Gray out a square around a random pixel (cutout; DeVries and Taylor, 2017)."""
        height, width = image.shape[-2:]
        half = self._config.cutout * min(height, width) / 2
        center = draws.fraction(2) * torch.tensor([height, width], device=image.device)
        rows = (torch.arange(height, device=image.device) + 0.5 - center[:, :1]).abs() < half
        columns = (torch.arange(width, device=image.device) + 0.5 - center[:, 1:]).abs() < half
        hole = (
            rows[:, None, :, None]
            & columns[:, None, None, :]
            & draws.bernoulli(self._config.probability, 1, 1, 1)
        )
        return torch.where(hole, image.mean((2, 3), keepdim=True), image)


def _scaled(size: tuple[int, ...] | torch.Size, resolution: float) -> tuple[int, int]:
    height, width = size
    return max(1, round(height * resolution)), max(1, round(width * resolution))


def _resampled(image: Tensor, theta: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    grid = functional.affine_grid(theta, [len(image), 1, *size], align_corners=False)
    return functional.grid_sample(
        image.float(), grid, mode=mode, padding_mode="reflection", align_corners=False
    )


_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _color_matrix(saturation: Tensor, angle: Tensor) -> Tensor:
    """Scale and rotate chroma in the YIQ space (NTSC): (B, 3, 3) from (B,) and (B,)."""
    to_yiq = torch.tensor(_TO_YIQ, device=angle.device)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = saturation * torch.cos(angle), saturation * torch.sin(angle)
    rows = [
        torch.stack([one, zero, zero], 1),
        torch.stack([zero, cos, -sin], 1),
        torch.stack([zero, sin, cos], 1),
    ]
    matrix: Tensor = torch.linalg.inv(to_yiq) @ torch.stack(rows, 1) @ to_yiq
    return matrix


class SignalTransform:
    """Changes ``signal``: gain, shift and stretch in time, jitter, baseline wander."""

    def __init__(self, config: SignalAugmentation, layout: Layout) -> None:
        if layout.signal is None:
            raise config_error(
                "augmentation", "signal", "the data holds no signal column; use none, image or table"
            )
        self._config = config

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change ``signal`` (B, C, T) float32."""
        c, signal = self._config, inputs["signal"]
        if not len(signal):
            return inputs
        draws = RandomDraws(generator, len(signal), signal.device)
        length = signal.shape[2]
        if c.shift or c.time_stretch:
            on = draws.bernoulli(c.probability, 1).float()
            speed = 1 + draws.uniform(-c.time_stretch, c.time_stretch, 1) * on
            move = draws.uniform(-c.shift, c.shift, 1) * length * on
            center = (length - 1) / 2
            signal = _sampled(
                signal, (torch.arange(length, device=signal.device) - center) * speed + center + move
            )
        deviation = signal.std(2, keepdim=True, correction=0)
        if c.gain:
            on = draws.bernoulli(c.probability, 1, 1).float()
            signal = signal * (1 + draws.uniform(-c.gain, c.gain, 1, 1) * on)
        if c.baseline_wander:
            on = draws.bernoulli(c.probability, 1, 1).float()
            turns, phase = draws.uniform(0.5, 2.0, 1, 1), draws.uniform(0, 2 * math.pi, 1, 1)
            wave = torch.sin(torch.linspace(0, 2 * math.pi, length, device=signal.device) * turns + phase)
            signal = signal + c.baseline_wander * draws.fraction(1, 1) * deviation * wave * on
        if c.jitter:
            on = draws.bernoulli(c.probability, 1, 1).float()
            signal = signal + c.jitter * deviation * draws.normal(*signal.shape[1:]) * on
        return {**inputs, "signal": signal}


def _sampled(signal: Tensor, at: Tensor) -> Tensor:
    """Interpolate signals (B, C, T) linearly at positions (B, T) between samples; the ends are repeated."""
    at = at.clamp(0, signal.shape[2] - 1)
    left = at.floor().long().clamp(max=max(signal.shape[2] - 2, 0))
    share = (at - left)[:, None]
    pick = left[:, None].expand(-1, signal.shape[1], -1)
    right = (pick + 1).clamp(max=signal.shape[2] - 1)
    return signal.gather(2, pick) * (1 - share) + signal.gather(2, right) * share


class TableTransform:
    """Drops single numbers, categories, tokens and TF-IDF features."""

    def __init__(self, config: TableAugmentation, layout: Layout) -> None:
        self._config = config
        self._pad_token_id = layout.pad_token_id

    def __call__(self, inputs: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Change those of ``numeric`` and ``missing``, ``categorical``, ``tokens`` and ``tfidf`` that are there."""
        c, changed = self._config, dict(inputs)
        first = next(iter(inputs.values()))
        draws = RandomDraws(generator, len(first), first.device)
        if "numeric" in inputs and (c.numeric_dropout or c.jitter):
            numeric = inputs["numeric"]
            if c.jitter:
                numeric = numeric + c.jitter * draws.normal(numeric.shape[1]) * (1 - inputs["missing"])
            hidden = draws.bernoulli(c.numeric_dropout, numeric.shape[1])
            changed["numeric"] = numeric.masked_fill(hidden, 0.0)
            changed["missing"] = inputs["missing"].masked_fill(hidden, 1.0)
        if "categorical" in inputs and c.categorical_dropout:
            hidden = draws.bernoulli(c.categorical_dropout, inputs["categorical"].shape[1])
            changed["categorical"] = inputs["categorical"].masked_fill(hidden, 0)
        if "tokens" in inputs and c.token_dropout:
            hidden = draws.bernoulli(c.token_dropout, inputs["tokens"].shape[1])
            hidden[:, 0] = False  # a row keeps at least its first token
            changed["tokens"] = inputs["tokens"].masked_fill(hidden, self._pad_token_id)
        if "tfidf" in inputs and c.tfidf_dropout:
            # scaled, so that a feature's mean stays (as dropout does)
            kept = ~draws.bernoulli(c.tfidf_dropout, inputs["tfidf"].shape[1])
            changed["tfidf"] = inputs["tfidf"] * kept / (1 - c.tfidf_dropout)
        return changed
