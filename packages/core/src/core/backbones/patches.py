"""Random patches: how much each place of an image looks like patches of synthetic pictures; nothing is learnt.

Sources: Coates and Ng 2011 ("The importance of encoding versus training with sparse coding and vector quantization",
ICML; whitened random patches, a soft threshold, both signs, pooling) and Thiry et al. 2021 (arXiv:2101.07528), who take
the patches from the training data. Here they come from dead leaves (``core.backbones.dead_leaves``): no data is read, so a
private run spends its whole budget on the layers behind. The dictionary has the mirror image of each of its patches;
what a mirror image gives is then known from the image's own coefficients.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import unfold

from core.backbones.fixed_features import FixedFeatureNet, averaging
from core.backbones.dead_leaves import dead_leaves, pictures_like
from core.config import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.patches_config import PatchesConfig
    from core.data.types import Layout

SOURCES = 128
"""Synthetic pictures that patches are cut from, ..."""
SOURCE_SIDE = 32
"""... of so many pixels a side, ..."""
DRAWN = 40_000
"""... and so many patches that tell how pixels of neighbouring places go together."""
FLOOR = 0.01
"""Contrast (deviation of pixels in 0 to 1) below which a patch counts as flat."""
SOFT = 1e-3
"""Added to eigenvalues before whitening, in means of them: directions that hardly occur are not blown up."""
LEAST = 0.05
"""Added to usual deviations, in means of them: coefficients that hardly ever differ from 0 stay small."""
MOST_SIDE = 64
"""Pixels a side of the largest pictures that coefficients are standardised by."""
SOFTNESS = 0.6
"""Deviation of the Gaussian by which places count for a region, in distances between regions."""
AT_ONCE = {"cpu": 2**21, "cuda": 2**27}
"""Similarities of one pass: a processor keeps them in its cache, a graphics card in its memory."""


class Dictionary(NamedTuple):
    """What patches are compared with; d = C k k numbers a patch."""

    mean: Tensor
    """(d,) of normalised patches"""
    whitening: Tensor
    """(d, d), symmetric"""
    patches: Tensor
    """(N, d) whitened, of length 1; the second half are the mirror images of the first"""


def contrast(patch_Ld: Tensor) -> Tensor:
    """Bring patches (..., d) to mean 0 and length 1; flat ones stay short."""
    patch_Ld = patch_Ld - patch_Ld.mean(-1, keepdim=True)
    floor = FLOOR**2 * patch_Ld.shape[-1]
    return patch_Ld * (patch_Ld.square().sum(-1, keepdim=True) + floor).rsqrt()


def dictionary(channels: int, side: int, count: int, seed: int) -> Dictionary:
    """Cut patches from synthetic pictures and whiten them by their covariance (ZCA)."""
    pictures = dead_leaves(SOURCES, channels, max(SOURCE_SIDE, 2 * side), derive_seed(seed, "leaves"))
    draw = torch.Generator().manual_seed(derive_seed(seed, "patches"))
    each = -(-DRAWN // SOURCES)
    cut = unfold(pictures, side).transpose(1, 2)  # (SOURCES, places, d)
    places = torch.stack([torch.randperm(cut.shape[1], generator=draw)[:each] for _ in range(SOURCES)])
    cut = cut.gather(1, places.unsqueeze(-1).expand(-1, -1, cut.shape[2])).flatten(0, 1)
    found = contrast(cut)
    both = torch.cat([found, _mirrored(found, channels, side)])
    mean = both.mean(0)
    values, directions = torch.linalg.eigh(torch.cov((both - mean).T).double())
    sizes = (values.clamp(min=0) + SOFT * values.mean()).rsqrt()
    whitening = ((directions * sizes) @ directions.T).float()
    chosen = found[torch.randperm(len(found), generator=draw)[: count // 2]]
    patches = (torch.cat([chosen, _mirrored(chosen, channels, side)]) - mean) @ whitening
    return Dictionary(mean, whitening, patches / patches.norm(dim=1, keepdim=True))


def _mirrored(patch_Nd: Tensor, channels: int, side: int) -> Tensor:
    return patch_Nd.view(-1, channels, side, side).flip(-1).flatten(1)


class Similarities(torch.nn.Module):
    """Mean similarity of an image's patches to each of a dictionary's, in p x p soft regions: (B, 2 N, p, p).

    A patch's similarity z is the cosine between whitened patches. It gives max(0, z - t) and max(0, -z - t), where t is
    ``threshold`` deviations of the cosine between random directions, 1 / sqrt(d) (Coates and Ng 2011, section 2.2).
    """

    mean: Tensor
    whitening: Tensor
    patches: Tensor
    regions: Tensor

    def __init__(self, height: int, width: int, given: Dictionary, side: int, places: int, threshold: float):
        super().__init__()
        self.side, self.places = side, places
        for name, value in given._asdict().items():  # kept with the weights: a run is served by its own
            self.register_buffer(name, value)
        lines, columns = (self._regions(length - side + 1) for length in (height, width))
        regions = torch.einsum("ab,cd->bdac", lines, columns).reshape(-1, places**2)
        self.register_buffer("regions", regions, persistent=False)
        self.threshold = threshold / math.sqrt(given.patches.shape[1])

    def _regions(self, length: int) -> Tensor:
        step = (length - 1) / self.places
        return averaging(self.places, step / 2, step, length, SOFTNESS * length / self.places)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Read images in 0 to 1, a few at a time."""
        most = AT_ONCE.get(image_BCHW.device.type, AT_ONCE["cuda"])
        few = max(1, most // (len(self.patches) * len(self.regions)))
        return torch.cat([self._few(some) for some in torch.split(image_BCHW, few)])

    def _few(self, image_BCHW: Tensor) -> Tensor:
        patch_BLd = contrast(unfold(image_BCHW, self.side).transpose(1, 2))
        patch_BLd = (patch_BLd - self.mean) @ self.whitening
        patch_BLd = patch_BLd / (patch_BLd.norm(dim=-1, keepdim=True) + 1e-3)
        alike_BNL = self.patches @ patch_BLd.transpose(1, 2)
        same = (alike_BNL - self.threshold).relu_() @ self.regions
        opposite = alike_BNL.neg_().sub_(self.threshold).relu_() @ self.regions
        return torch.cat([same, opposite], dim=1).reshape(len(same), -1, self.places, self.places)


@lru_cache(maxsize=8)
def drawn(
    channels: int, side: int, count: int, places: int, threshold: float, pixels: int, seed: int
) -> tuple[Dictionary, Tensor, Tensor]:
    """Give the dictionary of a seed, and mean and deviation (2 N,) of each coefficient over synthetic pictures."""
    words = dictionary(channels, side, count, seed)
    with torch.no_grad():
        alike = Similarities(pixels, pixels, words, side, places, threshold)(pictures_like(channels, pixels))
    deviation, mean = torch.std_mean(alike.double(), dim=(0, 2, 3))
    return words, mean.float(), (deviation + LEAST * deviation.mean()).float()


class PatchNet(FixedFeatureNet):
    """Similarities to patches of synthetic pictures; each has mean 0 and a deviation near 1 over such pictures.

    Patches and usual sizes are drawn from the run's seed and stand in its weights.
    """

    usual_mean: Tensor
    usual_deviation: Tensor

    def __init__(self, layout: Layout, settings: PatchesConfig, seed: int, measured: bool = True) -> None:
        """Make it; not ``measured``: with a dictionary of zeros, which a saved run's weights then replace."""
        super().__init__(layout, "patches", settings)
        assert layout.image is not None
        channels, height, width = layout.image
        count, side, places = settings.patches, settings.side, settings.places
        if min(height, width) < side + places - 1:
            raise ValueError(
                f"backbone=patches: an image of {height} x {width} pixels is too small for backbone.side={side} and "
                f"backbone.places={places} (it needs {side + places - 1}); set smaller ones or a larger "
                "encoder.image_size"
            )
        size = channels * side**2
        words = Dictionary(torch.zeros(size), torch.zeros(size, size), torch.zeros(count, size))
        mean, deviation = torch.zeros(2 * count), torch.ones(2 * count)
        if measured:
            pixels = min(max(height, width), max(MOST_SIDE, side + places - 1))
            words, mean, deviation = drawn(channels, side, count, places, settings.threshold, pixels, seed)
        kept = Dictionary(*(one.clone() for one in words))
        self.similarities = Similarities(height, width, kept, side, places, settings.threshold)
        self.register_buffer("usual_mean", mean.clone().view(-1, 1, 1))
        self.register_buffer("usual_deviation", deviation.clone().view(-1, 1, 1))
        self.read(layout, (2 * count, places, places), [], seed)

    def coefficients(self, image_BCHW: Tensor) -> Tensor:
        """Give the coefficients (B, 2 N, p, p) of images in 0 to 1."""
        found: Tensor = self.similarities(image_BCHW)
        return (found - self.usual_mean) / self.usual_deviation

    def both(self, image_BCHW: Tensor) -> Tensor:
        """See ``ComputedNet``: a mirror image is to a patch what the image is to the patch's mirror image."""
        found: Tensor = self.similarities(image_BCHW)
        b, _, lines, columns = found.shape
        halves = found.view(b, 2, 2, -1, lines, columns)  # sign, patch or its mirror image, which patch
        other = halves.flip(2, -1).reshape(found.shape)
        return (found + other - 2 * self.usual_mean) / self.usual_deviation
