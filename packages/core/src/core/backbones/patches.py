"""Random patches: similarity of each position of an image to patches of synthetic images; nothing is learned.

Sources: Coates and Ng 2011 ("The importance of encoding versus training with sparse coding and vector quantization",
ICML; whitened random patches, a soft threshold, both signs, pooling) and Thiry et al. 2021 (arXiv:2101.07528), who take
the patches from the training data. Here they come from dead leaves (``core.backbones.dead_leaves``): no data is read,
so a private run spends its whole budget on the layers behind. The dictionary has the mirror image of each of its
patches; the coefficients of a mirror image then follow from the image's own.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import unfold

from core.backbones.config import PatchesConfig
from core.backbones.dead_leaves import dead_leaves, standardization_images
from core.backbones.fixed_features import FixedFeatureNet, gaussian_pooling
from core.config import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout

SOURCE_IMAGES = 128
"""Synthetic images that patches are cut from, ..."""
SOURCE_SIDE = 32
"""... of so many pixels a side, ..."""
SOURCE_PATCHES = 40_000
"""... and so many patches that the covariance of neighboring pixels is estimated from."""
MIN_CONTRAST = 0.01
"""Contrast (deviation of pixels in 0 to 1) below which a patch counts as flat."""
EIGENVALUE_RIDGE = 1e-3
"""Added to eigenvalues before whitening, in means of them: directions that hardly occur are not amplified."""
DEVIATION_RIDGE = 0.05
"""Added to coefficients' deviations, in means of them: coefficients that hardly ever differ from 0 stay small."""
MAX_STATISTICS_SIDE = 64
"""Pixels a side of the largest images that coefficients are standardized by."""
POOL_DEVIATION = 0.6
"""Standard deviation of a region's Gaussian pooling window, in distances between regions."""
SIMILARITIES_PER_PASS = {"cpu": 2**21, "cuda": 2**27}
"""A CPU keeps them in its cache, a GPU in its memory."""


class Dictionary(NamedTuple):
    """The patches that an image's patches are compared with; d = C k k numbers a patch."""

    mean: Tensor
    """(d,) of normalized patches"""
    whitening: Tensor
    """(d, d), symmetric"""
    patches: Tensor
    """(N, d) whitened, of length 1; the second half are the mirror images of the first"""


def contrast_normalized(patch_Ld: Tensor) -> Tensor:
    """Bring patches (..., d) to mean 0 and length 1; flat ones stay short."""
    patch_Ld = patch_Ld - patch_Ld.mean(-1, keepdim=True)
    floor = MIN_CONTRAST**2 * patch_Ld.shape[-1]
    return patch_Ld * (patch_Ld.square().sum(-1, keepdim=True) + floor).rsqrt()


def dictionary(channels: int, patch_size: int, num_patches: int, seed: int) -> Dictionary:
    """Cut patches from synthetic images and whiten them by their covariance (ZCA)."""
    images = dead_leaves(
        SOURCE_IMAGES, channels, max(SOURCE_SIDE, 2 * patch_size), derive_seed(seed, "leaves")
    )
    draw = torch.Generator().manual_seed(derive_seed(seed, "patches"))
    each = -(-SOURCE_PATCHES // SOURCE_IMAGES)
    cut = unfold(images, patch_size).transpose(1, 2)  # (SOURCE_IMAGES, positions, d)
    positions = torch.stack(
        [torch.randperm(cut.shape[1], generator=draw)[:each] for _ in range(SOURCE_IMAGES)]
    )
    cut = cut.gather(1, positions.unsqueeze(-1).expand(-1, -1, cut.shape[2])).flatten(0, 1)
    found = contrast_normalized(cut)
    both = torch.cat([found, _mirrored(found, channels, patch_size)])
    mean = both.mean(0)
    values, directions = torch.linalg.eigh(torch.cov((both - mean).T).double())
    scales = (values.clamp(min=0) + EIGENVALUE_RIDGE * values.mean()).rsqrt()
    whitening = ((directions * scales) @ directions.T).float()
    chosen = found[torch.randperm(len(found), generator=draw)[: num_patches // 2]]
    patches = (torch.cat([chosen, _mirrored(chosen, channels, patch_size)]) - mean) @ whitening
    return Dictionary(mean, whitening, patches / patches.norm(dim=1, keepdim=True))


def _mirrored(patch_Nd: Tensor, channels: int, patch_size: int) -> Tensor:
    return patch_Nd.view(-1, channels, patch_size, patch_size).flip(-1).flatten(1)


class Similarities(torch.nn.Module):
    """Mean similarity of an image's patches to each of a dictionary's, in p x p soft regions: (B, 2 N, p, p).

    A patch's similarity z is the cosine between whitened patches. Its coefficients are max(0, z - t) and
    max(0, -z - t), where t is ``threshold`` deviations of the cosine between random directions, 1 / sqrt(d) (Coates
    and Ng 2011, section 2.2).
    """

    mean: Tensor
    whitening: Tensor
    patches: Tensor
    regions: Tensor

    def __init__(
        self,
        height: int,
        width: int,
        patches: Dictionary,
        patch_size: int,
        pool_grid: int,
        threshold: float,
    ) -> None:
        super().__init__()
        self.patch_size, self.pool_grid = patch_size, pool_grid
        for name, value in patches._asdict().items():  # kept with the weights: a run is served by its own
            self.register_buffer(name, value)
        lines, columns = (self._regions(length - patch_size + 1) for length in (height, width))
        regions = torch.einsum("ab,cd->bdac", lines, columns).reshape(-1, pool_grid**2)
        self.register_buffer("regions", regions, persistent=False)
        self.threshold = threshold / math.sqrt(patches.patches.shape[1])

    def _regions(self, length: int) -> Tensor:
        step = (length - 1) / self.pool_grid
        deviation = POOL_DEVIATION * length / self.pool_grid
        return gaussian_pooling(self.pool_grid, step / 2, step, length, deviation)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return the coefficients of images in 0 to 1, computed a few images at a time."""
        most = SIMILARITIES_PER_PASS.get(image_BCHW.device.type, SIMILARITIES_PER_PASS["cuda"])
        few = max(1, most // (len(self.patches) * len(self.regions)))
        return torch.cat([self._few(some) for some in torch.split(image_BCHW, few)])

    def _few(self, image_BCHW: Tensor) -> Tensor:
        patch_BLd = contrast_normalized(unfold(image_BCHW, self.patch_size).transpose(1, 2))
        patch_BLd = (patch_BLd - self.mean) @ self.whitening
        patch_BLd = patch_BLd / (patch_BLd.norm(dim=-1, keepdim=True) + 1e-3)
        cosine_BNL = self.patches @ patch_BLd.transpose(1, 2)
        same = (cosine_BNL - self.threshold).relu_() @ self.regions
        opposite = cosine_BNL.neg_().sub_(self.threshold).relu_() @ self.regions
        return torch.cat([same, opposite], dim=1).reshape(len(same), -1, self.pool_grid, self.pool_grid)


@lru_cache(maxsize=8)
def dictionary_statistics(
    channels: int,
    patch_size: int,
    num_patches: int,
    pool_grid: int,
    threshold: float,
    side: int,
    seed: int,
) -> tuple[Dictionary, Tensor, Tensor]:
    """Return the dictionary of a seed, and mean and deviation (2 N,) of each coefficient over synthetic images."""
    patches = dictionary(channels, patch_size, num_patches, seed)
    with torch.no_grad():
        similarities = Similarities(side, side, patches, patch_size, pool_grid, threshold)
        found = similarities(standardization_images(channels, side))
    deviation, mean = torch.std_mean(found.double(), dim=(0, 2, 3))
    return patches, mean.float(), (deviation + DEVIATION_RIDGE * deviation.mean()).float()


class PatchNet(FixedFeatureNet):
    """Similarities to patches of synthetic images; each has mean 0 and a deviation near 1 over such images.

    Patches and statistics are drawn from the run's seed and saved with its weights.
    """

    usual_mean: Tensor
    usual_deviation: Tensor

    def __init__(
        self, config: PatchesConfig, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> None:
        """Build it; with ``architecture`` with a dictionary of zeros, which the saved run's weights then replace."""
        super().__init__(config, layout, "patches", architecture)
        assert layout.image is not None
        channels, height, width = layout.image
        count, patch_size, grid = config.num_patches, config.patch_size, config.pool_grid
        if min(height, width) < patch_size + grid - 1:
            raise ValueError(
                f"backbone=patches: an image of {height} x {width} pixels is too small for backbone.patch_size="
                f"{patch_size} and backbone.pool_grid={grid} (it needs {patch_size + grid - 1}); set smaller ones or "
                "a larger encoder.image.size"
            )
        size = channels * patch_size**2
        patches = Dictionary(torch.zeros(size), torch.zeros(size, size), torch.zeros(count, size))
        mean, deviation = torch.zeros(2 * count), torch.ones(2 * count)
        if architecture is None:
            side = min(max(height, width), max(MAX_STATISTICS_SIDE, patch_size + grid - 1))
            patches, mean, deviation = dictionary_statistics(
                channels, patch_size, count, grid, config.threshold, side, seed
            )
        kept = Dictionary(*(one.clone() for one in patches))
        self.similarities = Similarities(height, width, kept, patch_size, grid, config.threshold)
        self.register_buffer("usual_mean", mean.clone().view(-1, 1, 1))
        self.register_buffer("usual_deviation", deviation.clone().view(-1, 1, 1))
        self.add_trained_layers(layout, (2 * count, grid, grid), [], seed)

    def coefficients(self, image_BCHW: Tensor) -> Tensor:
        """Return the coefficients (B, 2 N, p, p) of images in 0 to 1."""
        found: Tensor = self.similarities(image_BCHW)
        return (found - self.usual_mean) / self.usual_deviation

    def with_mirror(self, image_BCHW: Tensor) -> Tensor:
        """See ``FixedFeatureNet``: a mirror image is to a patch what the image is to the patch's mirror image."""
        found: Tensor = self.similarities(image_BCHW)
        b, _, lines, columns = found.shape
        halves = found.view(b, 2, 2, -1, lines, columns)  # sign, patch or its mirror image, which patch
        other = halves.flip(2, -1).reshape(found.shape)
        return (found + other - 2 * self.usual_mean) / self.usual_deviation
