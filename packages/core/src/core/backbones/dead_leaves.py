"""Dead leaves: synthetic images with the statistics of natural ones, made of discs that occlude each other.

Sources: Matheron 1968; as a model of natural images Lee, Mumford and Huang 2001 (doi:10.1023/A:1011109015675). Radii
follow a power law, r^-3, so that edges occur alike at all scales. No data is read: statistics of such images spend no
privacy budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

if TYPE_CHECKING:
    from torch import Tensor

SUPERSAMPLING = 2
"""Samples along a pixel's side, of which the pixel is the mean."""
MIN_RADIUS = 1.5
"""In pixels."""
MAX_RADIUS = 0.6
"""In sides of the image."""
NUM_DISCS = 400
"""Discs of an image, front to back; what none covers is one shade of gray."""
COLOR_DEVIATION = 0.12
"""Standard deviation of a disc's channels around its gray."""
NUM_PIXELS = 96 * 32 * 32
"""Pixels of the images that coefficients are standardized by, ..."""
MIN_IMAGES = 24
"""... which are so many images at least."""


def dead_leaves(count: int, channels: int, side: int, seed: int) -> Tensor:
    """Return random images (count, channels, side, side) in 0 to 1, a function of the seed.

    >>> image = dead_leaves(1, 3, 8, seed=0)
    >>> image.shape, bool(torch.equal(image, dead_leaves(1, 3, 8, seed=0)))
    (torch.Size([1, 3, 8, 8]), True)
    """
    draw = np.random.default_rng(seed)
    fine = side * SUPERSAMPLING
    smallest, largest = MIN_RADIUS * SUPERSAMPLING, MAX_RADIUS * fine
    position = torch.arange(fine, dtype=torch.float32)
    image = torch.from_numpy(draw.random((count, 1, 1, 1), dtype=np.float32)).repeat(1, channels, fine, fine)
    uncovered = torch.ones(count, fine, fine, dtype=torch.bool)
    for _ in range(NUM_DISCS):
        radius = (smallest**-2 - draw.random(count) * (smallest**-2 - largest**-2)) ** -0.5
        down, across = draw.random((2, count)) * (fine + 2 * largest) - largest
        gray = 0.1 + 0.8 * draw.random((count, 1))
        color = np.clip(gray + COLOR_DEVIATION * draw.standard_normal((count, channels)), 0.0, 1.0)
        radius_N, down_N, across_N = (torch.from_numpy(a).float() for a in (radius, down, across))
        lines = (position - down_N[:, None]).square()
        columns = (position - across_N[:, None]).square()
        disc = lines[:, :, None] + columns[:, None, :] < radius_N.square()[:, None, None]
        disc &= uncovered
        image = torch.where(disc[:, None], torch.from_numpy(color).float()[:, :, None, None], image)
        uncovered &= ~disc
    return avg_pool2d(image, SUPERSAMPLING)


def standardization_images(channels: int, side: int) -> Tensor:
    """Return the images that coefficients are standardized by, and their mirror images: no side is preferred."""
    images = dead_leaves(max(NUM_PIXELS // side**2, MIN_IMAGES), channels, side, seed=0)
    return torch.cat([images, images.flip(-1)])
