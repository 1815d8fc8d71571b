"""Fifteen kinds of image corruption at five severities, after Hendrycks and Dietterich 2019 (arXiv:1903.12261).

Own implementation on tensors. Strengths follow the published ones for 32 and for 224 pixels; in between they are
interpolated by the logarithm of the side, and lengths are shares of the side. Frost has no photographs of ice: its
crystals are ridges of fractal noise. Images are (B, C, H, W) float from 0 to 1, and each is changed by itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

Corruption = Callable[[Tensor, int, Generator], Tensor]
Five = tuple[float, float, float, float, float]
SEVERITIES = (1, 2, 3, 4, 5)
SMALL, LARGE = 32, 224
"""Sides for which strengths were published."""


def corrupt(image_BCHW: Tensor, kind: str, severity: int, generator: Generator) -> Tensor:
    """Corrupt uint8 images, returning uint8 ones of the same shape; random numbers come from the generator alone."""
    assert image_BCHW.dtype == torch.uint8
    assert severity in SEVERITIES
    corrupted = CORRUPTIONS[kind](image_BCHW.float() / 255, severity, generator)
    return (corrupted * 255).round_().clamp_(0, 255).to(torch.uint8)


def _strength(image: Tensor, severity: int, small: Five, large: Five) -> float:
    """Interpolate a strength geometrically between what is usual at 32 and at 224 pixels."""
    side = min(image.shape[-2:])
    share = min(max(math.log(side / SMALL) / math.log(LARGE / SMALL), 0.0), 1.0)
    return float(small[severity - 1] ** (1 - share) * large[severity - 1] ** share)


def _length(image: Tensor, severity: int, shares: Five) -> float:
    return min(image.shape[-2:]) * shares[severity - 1]


def _normal(shape: tuple[int, ...] | torch.Size, generator: Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator)


def _uniform(shape: tuple[int, ...] | torch.Size, generator: Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator)


def gaussian_noise(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Noise of a camera in low light."""
    c = _strength(image, severity, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38))
    return image + c * _normal(image.shape, generator)


def shot_noise(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Noise of few photons: Poisson counts."""
    c = _strength(image, severity, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3))
    return torch.poisson(image * c, generator=generator) / c


def impulse_noise(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Single values that are black or full."""
    c = _strength(image, severity, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27))
    drawn = _uniform(image.shape, generator)
    return torch.where(drawn < c / 2, 0.0, torch.where(drawn < c, 1.0, image))


def _filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with one kernel (k, l), the border mirrored."""
    channels = image.shape[1]
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    height, width = image.shape[-2:]
    near = (min(across, width - 1), min(down, height - 1))
    padded = functional.pad(image, (near[0], near[0], near[1], near[1]), mode="reflect")
    far = (across - near[0], down - near[1])
    padded = functional.pad(padded, (far[0], far[0], far[1], far[1]), mode="replicate")
    return functional.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def _blurred(image: Tensor, deviation: float) -> Tensor:
    reach = max(1, math.ceil(3 * deviation))
    place = torch.arange(-reach, reach + 1, dtype=torch.float32)
    line = torch.exp(-(place**2) / (2 * max(deviation, 1e-3) ** 2))
    line = line / line.sum()
    return _filtered(_filtered(image, line[:, None]), line[None, :])


def defocus_blur(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Out of focus: a disc for each point, its edge soft over a pixel, so that small discs blur too."""
    radius = _length(image, severity, (0.012, 0.017, 0.026, 0.036, 0.046))
    reach = max(1, math.ceil(radius + 1))
    place = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disc = (radius + 1 - torch.hypot(place[:, None], place[None, :])).clamp(0, 1)
    return _filtered(image, disc / disc.sum())


def _moved(image: Tensor, by_BHW2: Tensor) -> Tensor:
    """Read each pixel from a place that is so many pixels (across, down) away, between pixels linearly."""
    height, width = image.shape[-2:]
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([across, down], dim=-1).float() + by_BHW2
    grid = (at + 0.5) * 2 / torch.tensor([width, height]) - 1
    return functional.grid_sample(
        image, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def glass_blur(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Seen through frosted glass: pixels change places with near ones."""
    reach = _length(image, severity, (0.012, 0.018, 0.025, 0.035, 0.05))
    batch, _, height, width = image.shape
    by = (2 * _uniform((batch, height, width, 2), generator) - 1) * reach
    return _blurred(_moved(image, by), 0.3 * reach)


def motion_blur(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """The camera moved along a line of a random direction."""
    length = _length(image, severity, (0.04, 0.06, 0.09, 0.12, 0.16))
    angle = _uniform((len(image),), generator) * math.pi
    way = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)[:, None, None, :]
    steps = max(3, math.ceil(length) + 1)
    total = torch.zeros_like(image)
    for place in torch.linspace(-0.5, 0.5, steps):
        total += _moved(image, way * (float(place) * length))
    return total / steps


def zoom_blur(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """The camera moved towards the scene."""
    most = (0.06, 0.11, 0.16, 0.21, 0.26)[severity - 1]
    total = torch.zeros_like(image)
    steps = 6
    for zoom in torch.linspace(0, most, steps):
        theta = torch.eye(2, 3).expand(len(image), 2, 3) / (1 + float(zoom))
        grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
        total += functional.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
    return total / steps


def _fractal(image: Tensor, roughness: float, generator: Generator) -> Tensor:
    """Clouds: octaves of smooth noise, each ``roughness`` times as strong as the one before. (B, 1, H, W), 0 to 1."""
    batch, size = len(image), image.shape[-2:]
    total = torch.zeros(batch, 1, *size)
    weight, cells = 1.0, 2
    while cells <= 2 * max(size):
        coarse = _uniform((batch, 1, cells, cells), generator)
        total += weight * functional.interpolate(coarse, size, mode="bicubic", align_corners=False)
        weight, cells = weight * roughness, cells * 2
    low, high = total.amin((1, 2, 3), keepdim=True), total.amax((1, 2, 3), keepdim=True)
    return (total - low) / (high - low).clamp(min=1e-6)


def snow(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Flakes that fall in streaks, and a scene that is paler for them."""
    share = (0.02, 0.035, 0.05, 0.07, 0.09)[severity - 1]
    pale = (0.05, 0.10, 0.15, 0.20, 0.25)[severity - 1]
    batch, _, height, width = image.shape
    half = (max(2, height // 2), max(2, width // 2))
    flakes = (_uniform((batch, 1, *half), generator) < share).float()
    flakes = functional.interpolate(flakes, (height, width), mode="bilinear", align_corners=False)
    length = _length(image, severity, (0.05, 0.06, 0.07, 0.08, 0.09))
    way = torch.tensor([0.5, 0.87]) * length
    streaks = sum(_moved(flakes, (way * float(p)).expand(batch, height, width, 2)) for p in (-0.5, 0.0, 0.5))
    grey = image.mean(dim=1, keepdim=True)
    paler = (1 - pale) * image + pale * torch.maximum(image, 1.5 * grey + 0.3)
    return paler + torch.as_tensor(streaks) / 2


def frost(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Ice crystals on the lens."""
    keep = _strength(image, severity, (1.0, 0.95, 0.9, 0.85, 0.75), (1.0, 0.8, 0.7, 0.65, 0.6))
    ice = _strength(image, severity, (0.2, 0.3, 0.4, 0.42, 0.45), (0.4, 0.6, 0.7, 0.72, 0.75))
    ridges = 1 - (2 * _fractal(image, 0.75, generator) - 1).abs()
    crystals = ridges**3 * (0.5 + 0.5 * _fractal(image, 0.5, generator))
    tint = torch.tensor([0.85, 0.93, 1.0]).view(1, 3, 1, 1) if image.shape[1] == 3 else 1.0
    return keep * image + ice * crystals * tint


def fog(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Patches of fog, brighter than what is behind them."""
    c = _strength(image, severity, (0.2, 0.5, 0.75, 1.0, 1.5), (1.5, 2.0, 2.5, 2.7, 3.0))
    brightest = image.amax((1, 2, 3), keepdim=True)
    return (image + c * _fractal(image, 0.5, generator)) * brightest / (brightest + c)


def brightness(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """More light."""
    c = _strength(image, severity, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5))
    value = image.amax(dim=1, keepdim=True)
    return image * ((value + c).clamp(max=1) / value.clamp(min=1e-3)) + torch.where(value < 1e-3, c, 0.0)


def contrast(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Less difference between light and dark."""
    c = _strength(image, severity, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05))
    mean = image.mean(dim=(2, 3), keepdim=True)
    return (image - mean) * c + mean


def elastic_transform(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """A warped image."""
    reach = _length(image, severity, (0.02, 0.03, 0.04, 0.05, 0.065))
    batch, _, height, width = image.shape
    field = _blurred(_normal((batch, 2, height, width), generator), max(1.0, 0.06 * min(height, width)))
    field = field / field.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return _moved(image, field.permute(0, 2, 3, 1) * reach)


def pixelate(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Fewer pixels."""
    share = _strength(image, severity, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25))
    height, width = image.shape[-2:]
    few = functional.interpolate(
        image, (max(1, round(height * share)), max(1, round(width * share))), mode="area"
    )
    return functional.interpolate(few, (height, width), mode="nearest")


def jpeg_compression(image: Tensor, severity: int, generator: Generator) -> Tensor:
    """Blocks of a strongly compressed JPEG."""
    quality = round(_strength(image, severity, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)))
    pixels = (image * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    found = []
    for each in pixels:
        out = io.BytesIO()
        Image.fromarray(each.squeeze()).save(out, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(io.BytesIO(out.getvalue()))).reshape(each.shape))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


CORRUPTIONS: dict[str, Corruption] = {
    each.__name__: each
    for each in (
        gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur, snow, frost, fog,
        brightness, contrast, elastic_transform, pixelate, jpeg_compression,
    )
}  # fmt: skip
