"""The Gaussian mechanism of one training: noise, to which clipped per-unit gradients are added (Abadi et al. 2016)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.privacy.clipping import AdaptiveClip
from core.privacy.rng_key import keyed_generator

if TYPE_CHECKING:
    from core.privacy.clipping import PerExampleClipper
    from core.privacy.plan import PrivacyPlan

CHUNK = 1 << 17
"""Values drawn from one generator: few enough to stay in the cache, many enough to make its start cheap."""


class GaussianMechanism:
    """The noisy mean of clipped gradients, step by step. Batches must come from the plan's Poisson sampler.

    A step is ``begin``, then any number of ``clip`` inside ``clipper.trace``, then ``write_gradients``; ``adapt`` moves
    an adaptive clip norm afterwards. Under several processes ``total`` and ``count`` are summed over them in between.
    """

    def __init__(self, plan: PrivacyPlan, clipper: PerExampleClipper, key: int) -> None:
        """Take a clipper whose scale is 1 / the plan's expected batch size, and the key the noise is drawn with."""
        assert clipper.scale == 1 / plan.batch_size, "the sums are to be means over the expected batch"
        self.plan = plan
        self.clipper = clipper
        self._key = key
        self.total = clipper.flat
        """The noisy mean so far, all weights in one flat tensor."""
        self.count = torch.zeros((), device=clipper.flat.device)
        """Sum over the step's units of (1 if its gradient is within the clip norm, else 0) - 1/2."""

    def begin(self, step: int, *, add_noise: bool) -> None:
        """Overwrite the sum with the noise of a step; without, with zeros (another process adds it, once in total)."""
        if add_noise:
            std = self.plan.noise_multiplier * self.clipper.rule.clip_norm * self.clipper.scale
            gaussian_noise_(self.total, std, self._key, step)
        else:
            self.total.zero_()
        self.count = torch.zeros((), device=self.total.device)

    def clip(self, losses: Tensor, *, counted: bool = True) -> None:
        """Add the clipped gradients of losses (B,), one a unit; those not ``counted`` don't move an adaptive norm."""
        result = self.clipper.clipped_gradients(losses)
        if counted:
            self.count += result.within - len(losses) / 2

    def write_gradients(self) -> None:
        """Write the noisy mean to the weights' ``grad``."""
        for name, weight in self.clipper.parameters.items():
            weight.grad = self.clipper.sums[name].to(weight.dtype)

    def adapt(self, step: int) -> None:
        """Move an adaptive clip norm by the noisy fraction of units within it; a fixed one stays."""
        rule = self.clipper.rule
        if not isinstance(rule, AdaptiveClip):
            return
        generator = keyed_generator(self._key, "count", step, device=self.total.device)
        noise = torch.randn((), generator=generator, device=self.total.device)
        noisy = self.count + noise * self.plan.count_noise_multiplier
        # Andrew et al. (2021), algorithm 1: each unit adds b - 1/2, so one unit moves the count by 1/2 at most.
        rule.update(float(noisy / self.plan.batch_size + 0.5))


def gaussian_noise_(into: Tensor, std: float, key: int, step: int) -> None:
    """Overwrite a flat tensor with the noise of one step: independent N(0, std^2), a function of key and step.

    On the CPU each chunk has a generator of its own, because torch fills a tensor from one generator on one thread
    only: the values are the same for any number of threads.
    """
    if into.device.type != "cpu":
        into.normal_(0.0, std, generator=keyed_generator(key, "noise", step, device=into.device))
        return

    def draw(chunk: int) -> None:
        piece = into[chunk * CHUNK : (chunk + 1) * CHUNK]
        piece.normal_(0.0, std, generator=keyed_generator(key, "noise", step, chunk))

    chunks = range(-(-into.numel() // CHUNK))
    threads = min(torch.get_num_threads(), len(chunks))
    if threads == 1:
        for chunk in chunks:
            draw(chunk)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, chunks))
