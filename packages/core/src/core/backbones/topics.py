"""A dense reading of a text's TF-IDF, which may start from the directions in which training texts differ most."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.backbones.contexts import seeded_init


class LatentSemanticFeatures(nn.Module):
    """TF-IDF (B, V) to K topics and K non-linear mixtures of them, (B, 2 K)."""

    def __init__(self, features: int, topics: int, dropout: float, feature_dropout: float) -> None:
        super().__init__()
        self.seen = nn.Dropout(feature_dropout)
        self.directions = nn.Linear(features, topics, bias=False)
        nn.init.normal_(self.directions.weight, std=features**-0.5)
        # Rows of TF-IDF have unit length: this brings a topic's deviation near one.
        self.scale = topics**0.5
        self.norm = nn.LayerNorm(topics)
        self.mix = nn.Linear(topics, topics)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * topics

    def forward(self, bag_BV: Tensor) -> Tensor:
        """Read the bag."""
        topics_BK = self.directions(self.seen(bag_BV) * self.scale)
        mixed_BK = self.activation(self.mix(self.norm(topics_BK)))
        return self.dropout(torch.cat([topics_BK, mixed_BK], dim=1))  # type: ignore[no-any-return]

    def start_from(self, bag_NV: Tensor, seed: int) -> None:
        """Take the first right singular vectors of training rows (N, V), whitened: latent semantic analysis.

        Whitened: each is divided by its singular value (their mean kept), so that the few large directions,
        which tell how long and how ordinary a text is, do not drown those that tell subjects apart. Source:
        Deerwester et al. 1990; the decomposition is randomised (Halko et al. 2011). This reads training rows
        without noise: not for runs under differential privacy.
        """
        topics = self.directions.out_features
        rank = min(topics, *bag_NV.shape)
        with seeded_init(seed, "topics"):
            _, size_K, right_VK = torch.svd_lowrank(bag_NV.float(), q=min(rank + 10, *bag_NV.shape), niter=4)
        # The sign of a singular vector is arbitrary: its largest entry is made positive, so that runs agree.
        largest_K = right_VK.gather(0, right_VK.abs().argmax(dim=0, keepdim=True)).sign().squeeze(0)
        with torch.no_grad():
            size_K = size_K[:rank].clamp_min(0.03 * size_K[0])
            directions_VK = right_VK[:, :rank] * largest_K[:rank] * (size_K.mean() / size_K)
            self.directions.weight[:rank] = directions_VK.T
