"""Dead leaves: synthetic pictures with the statistics of natural ones, made of discs that cover each other.

Sources: Matheron 1968; as a model of natural images Lee, Mumford and Huang 2001 (doi:10.1023/A:1011109015675). Radii
follow a power law, r^-3, so that edges occur alike at all scales. No data is read: what is measured on such pictures
spends no privacy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

if TYPE_CHECKING:
    from torch import Tensor

FINER = 2
"""Points a pixel's side, of which the pixel is the mean."""
SMALLEST = 1.5
"""The least radius of a disc, in pixels."""
LARGEST = 0.6
"""The largest one, in sides of the picture."""
MOST = 400
"""Discs of a picture, front to back; what none covers is one shade of grey."""
COLOUR = 0.12
"""Deviation of a disc's channels around its grey."""
PIXELS = 96 * 32 * 32
"""Pixels of the pictures that coefficients are standardised by, ..."""
FEWEST = 24
"""... which are so many pictures at least."""


def dead_leaves(count: int, channels: int, side: int, seed: int) -> Tensor:
    """Draw pictures (count, channels, side, side) of values in 0 to 1; the same ones wherever the seed is the same."""
    draw = np.random.default_rng(seed)
    fine = side * FINER
    small, large = SMALLEST * FINER, LARGEST * fine
    places = torch.arange(fine, dtype=torch.float32)
    picture = torch.from_numpy(draw.random((count, 1, 1, 1), dtype=np.float32)).repeat(
        1, channels, fine, fine
    )
    bare = torch.ones(count, fine, fine, dtype=torch.bool)
    for _ in range(MOST):
        radius = (small**-2 - draw.random(count) * (small**-2 - large**-2)) ** -0.5
        down, across = draw.random((2, count)) * (fine + 2 * large) - large
        grey = 0.1 + 0.8 * draw.random((count, 1))
        colour = np.clip(grey + COLOUR * draw.standard_normal((count, channels)), 0.0, 1.0)
        radius_N, down_N, across_N = (torch.from_numpy(a).float() for a in (radius, down, across))
        lines = (places - down_N[:, None]).square()
        columns = (places - across_N[:, None]).square()
        disc = lines[:, :, None] + columns[:, None, :] < radius_N.square()[:, None, None]
        disc &= bare
        picture = torch.where(disc[:, None], torch.from_numpy(colour).float()[:, :, None, None], picture)
        bare &= ~disc
    return avg_pool2d(picture, FINER)


def pictures_like(channels: int, side: int) -> Tensor:
    """Draw the pictures that coefficients are standardised by and their mirror images: no side is preferred."""
    pictures = dead_leaves(max(PIXELS // side**2, FEWEST), channels, side, seed=0)
    return torch.cat([pictures, pictures.flip(-1)])
