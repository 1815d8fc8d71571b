"""Wavelet scattering: fixed features of images, which spend no privacy budget.

Sources: Bruna and Mallat 2013 (arXiv:1203.1513); Oyallon and Mallat 2015 (arXiv:1412.8659); under differential privacy
Tramèr and Boneh 2021 (arXiv:2011.11660), who found it better than a CNN from random initialization for small budgets.
Their normalization by noisy statistics of the data is replaced by exact ones of synthetic images, which cost no
privacy; colors are transformed as Ohta, Kanade and Sakai 1980 (doi:10.1016/0146-664X(80)90047-7) do.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.fft import fft2, ifft2
from torch.nn.functional import group_norm, pad

from core.backbones.config import ScatteringConfig
from core.backbones.dead_leaves import standardization_images
from core.backbones.fixed_features import FixedFeatureNet, gaussian_pooling

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout

ENVELOPE = 0.8
"""Standard deviation of the finest wavelet's Gaussian envelope, in pixels."""
CPU_BATCH = 4
"""Images of one pass on a CPU, whose many maps then stay in its cache."""
FREQUENCY = 0.75 * math.pi
"""Center frequency of the finest wavelets, in radians a pixel."""
OHTA = ((1 / 3, 1 / 3, 1 / 3), (1 / 2, 0.0, -1 / 2), (-1 / 4, 1 / 2, -1 / 4))
"""Brightness, red minus blue, green minus both: nearly uncorrelated in natural images."""


def gabor(side: int, deviation: float, angle: float, slant: float, frequency: float) -> Tensor:
    """Return a Gaussian times a wave on a periodic grid, (side, side) complex; its deviation along the wave in pixels.

    Across the wave it is ``deviation / slant``. Periodic copies are added up: the Fourier transform is then smooth.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    reach = torch.arange(-2 * side, 3 * side, dtype=torch.float64)
    along = cos * reach[None, :] + sin * reach[:, None]
    across = -sin * reach[None, :] + cos * reach[:, None]
    envelope = torch.exp(-(along**2 + (slant * across) ** 2) / (2 * deviation**2))
    wave = torch.polar(envelope, frequency * along)
    periodic = wave.reshape(5, side, 5, side).sum(dim=(0, 2))
    return periodic * (slant / (2 * math.pi * deviation**2))


def morlet(side: int, scale: int, angle: float, orientations: int) -> Tensor:
    """Return a Morlet wavelet of mean zero, dilated by 2^scale: (side, side) complex."""
    deviation, frequency = ENVELOPE * 2**scale, FREQUENCY / 2**scale
    slant = 4.0 / orientations
    wave = gabor(side, deviation, angle, slant, frequency)
    bump = gabor(side, deviation, angle, slant, 0.0)
    return wave - bump * (wave.sum() / bump.sum())


def filtered_moduli(spectrum: Tensor, wave: Tensor, factor: int) -> Tensor:
    """Filter spectra (..., M, M), subsample, and return the moduli of the maps (..., M / factor, M / factor).

    The filter's spectrum is real and given twice (..., M, M, 2): torch then multiplies and adds real numbers side by
    side, several times faster than complex ones. Subsampling adds up the frequencies that it aliases.
    """
    pairs = torch.view_as_real(spectrum)
    m = spectrum.shape[-1] // factor
    total = None
    for down in range(0, factor * m, m):
        for across in range(0, factor * m, m):
            block = pairs[..., down : down + m, across : across + m, :]
            block = block * wave[..., down : down + m, across : across + m, :]
            total = block if total is None else total.add_(block)
    assert total is not None
    maps = torch.view_as_real(ifft2(torch.view_as_complex(total)))
    real, imaginary = maps.unbind(-1)
    return (real * real).addcmul_(imaginary, imaginary).sqrt_()


def _twice(spectrum: Tensor) -> Tensor:
    return spectrum.unsqueeze(-1).repeat_interleave(2, dim=-1)


class Scattering(nn.Module):
    """Moduli of wavelet transforms, averaged: (B, C, H, W) -> (B, C * K, H / 2^J, W / 2^J), K = 1 + JL + J(J-1)/2 L^2.

    J scales, L orientations, two orders. The image's edge is reflected. It has no weights.

    >>> Scattering(32, 32, scales=2, orientations=8)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 243, 8, 8])
    """

    def __init__(self, height: int, width: int, scales: int, orientations: int) -> None:
        super().__init__()
        self.scales, self.orientations = scales, orientations
        self.step = 2**scales
        self.margin = self.step
        # A square grid: a wavelet then has one spectrum, and rows and columns one frequency scale.
        longest = max(height, width) + 2 * self.margin
        self.side = math.ceil(longest / self.step) * self.step
        self.lines, self.columns = height // self.step, width // self.step
        self.channels = 1 + scales * orientations + scales * (scales - 1) // 2 * orientations**2
        waves = [
            torch.stack(
                [morlet(self.side, j, math.pi * k / orientations, orientations) for k in range(orientations)]
            )
            for j in range(scales)
        ]
        for j, wave in enumerate(waves):  # the spectrum of a Morlet wavelet is real
            spectrum = fft2(wave).real.float()
            for done in range(max(j, 1)):  # the same wavelet for maps that are subsampled already
                m = self.side // 2**done
                aliased = spectrum.reshape(-1, 2**done, m, 2**done, m).sum(dim=(1, 3))
                self.register_buffer(f"wave{j}_{done}", _twice(aliased), persistent=False)
        for done in range(scales):
            shrink, m = 2**done, self.side // 2**done
            deviation = ENVELOPE * 2 ** (scales - 1) / shrink
            for axis, points in (("lines", self.lines), ("columns", self.columns)):
                pooling = gaussian_pooling(points, self.margin / shrink, self.step / shrink, m, deviation)
                self.register_buffer(f"{axis}{done}", pooling, persistent=False)

    def _averaged(self, maps: Tensor, done: int) -> Tensor:
        """Average and subsample maps (..., m, m) that are subsampled 2^done times already: (..., h, w)."""
        lines, columns = getattr(self, f"lines{done}"), getattr(self, f"columns{done}")
        return torch.matmul(lines, torch.matmul(maps, columns.T))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return the coefficients."""
        if image_BCHW.device.type != "cpu":
            return self._coefficients(image_BCHW)
        return torch.cat([self._coefficients(few) for few in torch.split(image_BCHW, CPU_BATCH)])

    def _coefficients(self, image_BCHW: Tensor) -> Tensor:
        b, c, h, w = image_BCHW.shape
        margin = self.margin
        edged = pad(image_BCHW, (margin,) * 4, mode="reflect")
        edged = pad(edged, (0, self.side - w - 2 * margin, 0, self.side - h - 2 * margin), mode="replicate")
        spectrum = fft2(edged)
        found = [self._averaged(edged, 0).unsqueeze(2)]
        for j in range(self.scales):
            wave = getattr(self, f"wave{j}_0")
            first = filtered_moduli(spectrum.unsqueeze(2), wave, 2**j) * 4.0**-j  # (B, C, L, m, m)
            found.append(self._averaged(first, j))
            if j + 1 == self.scales:
                break
            first_spectrum = fft2(first).unsqueeze(3)
            for k in range(j + 1, self.scales):
                coarser = getattr(self, f"wave{k}_{j}")
                second = filtered_moduli(first_spectrum, coarser, 2 ** (k - j)) * 4.0 ** (j - k)
                found.append(self._averaged(second, k).flatten(2, 3))
        return torch.cat(found, dim=2).reshape(b, c * self.channels, self.lines, self.columns)


@lru_cache(maxsize=8)
def coefficient_statistics(
    channels: int, scales: int, orientations: int, groups: int, opponent: bool
) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (C K) of each normalized coefficient over synthetic images and their mirror images."""
    side = 2 ** (scales + 3)
    images = standardization_images(channels, side)
    transform = torch.tensor(OHTA) if opponent else None
    with torch.no_grad():
        found = normalized(Scattering(side, side, scales, orientations), images, groups, transform)
    deviation, mean = torch.std_mean(found.double(), dim=(0, 2, 3))
    return mean.float(), deviation.float()


def normalized(
    scattering: Scattering, image_BCHW: Tensor, groups: int, color_transform: Tensor | None
) -> Tensor:
    """Return coefficients of images in 0 to 1; each group has mean 0 and deviation 1 within an image."""
    if color_transform is not None:
        image_BCHW = torch.einsum("dc,bchw->bdhw", color_transform, image_BCHW)
    return group_norm(scattering(image_BCHW), groups)


class ScatteringNet(FixedFeatureNet):
    """Scattering coefficients, normalized within each image; convolutions on them, or none.

    Neighboring coefficients (``norm_window`` of them, over all positions) have mean 0 and a deviation of 1 at most: a
    flat image stays flat. ``standardize=dead_leaves`` then gives each coefficient mean 0 and deviation 1 over synthetic
    images, so that a linear layer learns from weak ones as fast as from strong ones.
    """

    color_transform: Tensor | None
    usual_mean: Tensor
    usual_deviation: Tensor

    def __init__(
        self,
        config: ScatteringConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__(config, layout, "scattering", architecture)
        assert layout.image is not None
        channels, height, width = layout.image
        if min(height, width) < 2 ** (config.scales + 1):
            raise ValueError(
                f"backbone=scattering: an image of {height} x {width} pixels is too small for backbone.scales="
                f"{config.scales} (it needs {2 ** (config.scales + 1)}); set fewer scales or a larger "
                "encoder.image.size"
            )
        self.scattering = Scattering(height, width, config.scales, config.orientations)
        found = channels * self.scattering.channels
        window = config.norm_window
        self.groups = found // window if found % window == 0 else channels
        opponent = channels == 3 and config.color_space == "opponent"
        self.register_buffer("color_transform", torch.tensor(OHTA) if opponent else None, persistent=False)
        self.standardize = config.standardize == "dead_leaves"
        if (
            self.standardize
        ):  # kept with the weights: a run is served by the statistics that it was trained with
            mean, deviation = torch.zeros(found), torch.ones(found)
            if architecture is None:
                mean, deviation = coefficient_statistics(
                    channels, config.scales, config.orientations, self.groups, opponent
                )
            self.register_buffer("usual_mean", mean.clone().view(-1, 1, 1))
            self.register_buffer("usual_deviation", deviation.clone().view(-1, 1, 1))
        shape = (found, self.scattering.lines, self.scattering.columns)
        self.add_trained_layers(layout, shape, config.conv_channels, seed)

    def coefficients(self, image_BCHW: Tensor) -> Tensor:
        """Return the coefficients (B, C K, H / 2^J, W / 2^J) of images in 0 to 1."""
        found = normalized(self.scattering, image_BCHW, self.groups, self.color_transform)
        return (found - self.usual_mean) / self.usual_deviation if self.standardize else found
