"""Deterministic tests of a private training's mechanism: what a step adds, whom it draws, and its noise.

They measure what the engine does against what the plan promises, without looking at any protected row: contributions
of made-up or validation rows, the sampler's units, the noise of given steps. Each result is pass or fail; a value
that depends on the key (a batch's size) must not be published of a run whose key is secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from core.privacy.clipping import PerExampleClipper
    from core.privacy.mechanism import GaussianMechanism
    from core.privacy.sampling import PoissonBatches

SelfTestName = Literal[
    "contribution",
    "distinct_units",
    "batch_mean",
    "batch_variance",
    "unit_variance",
    "noise_mean",
    "noise_variance",
    "noise_correlation",
]
LEVEL = 1e-6
"""Chance with which a sound mechanism fails a test that has a p-value."""
TOLERANCE = 1e-4
"""Of a contribution above the clip norm, in clip norms: what float32 sums round."""
SCALES = (1.0, 1e3, 1e6)
"""Factors on the loss of a row whose contribution is measured."""
DRAWS = 300
"""Steps whose batches are drawn."""
NOISY_STEPS, NOISY_VALUES = 4, 20_000
"""Least steps whose noise is drawn, and least values of noise: enough to see 10 % less of it."""


@dataclass(frozen=True)
class SelfTest:
    """One test: what was measured and what it has to keep to."""

    name: SelfTestName
    value: float
    """A contribution in clip norms, a count of repeated units, or a two-sided p-value."""
    bound: float
    at_least: bool
    """The value has to be at least ``bound``, as a p-value has; else at most."""

    @property
    def passed(self) -> bool:
        """Return whether the value keeps to its bound; a value that is not a number does not."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def contributions_are_bounded(
    clipper: PerExampleClipper, losses: Callable[[Tensor], Tensor], examples: int, l2_clip_norm: float
) -> SelfTest:
    """Test that no row adds more than the clip norm, however large its gradient.

    ``losses(index)``: the losses of rows of a probe batch, by calling the clipper's model, as in ``preflight``. Each
    row alone is scaled by ``SCALES``; the norm of what it adds is measured on the sum itself, not on the engine's own
    norms and factors. Sums and random state are left as they were.
    """
    kept, device = clipper.flat.clone(), clipper.flat.device
    worst = 0.0
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        for row in range(examples):
            for scale in SCALES:
                clipper.zero()
                with clipper.trace(1):
                    clipper.clipped_gradients(losses(torch.tensor([row], device=device)) * scale)
                added = float(torch.linalg.vector_norm(clipper.flat.double())) / clipper.scale
                worst = max(worst, added / l2_clip_norm) if np.isfinite(added) else float("inf")
    clipper.flat.copy_(kept)
    return SelfTest("contribution", worst, 1 + TOLERANCE, at_least=False)


def batches_are_poisson(batches: PoissonBatches, draws: int = DRAWS) -> list[SelfTest]:
    """Test that units are distinct within a batch and drawn independently, each with the plan's sampling rate.

    The sizes of many batches have the mean and the variance of Binomial(n, q): batches of a fixed size have none. The
    numbers of batches that each unit is in have the variance of Binomial(draws, q): it is too small where batches are
    cut from a shuffled epoch, and too large where the same units come again and again.
    """
    n, q = batches.plan.units, batches.plan.sampling_rate
    sizes, repeated = [], 0
    times = np.zeros(n, np.int64)
    for step in range(draws):
        units = batches.units(step).numpy()
        units = units[units < n]  # without the audit's canaries
        repeated += len(units) - len(np.unique(units))
        sizes.append(len(units))
        times += np.bincount(units, minlength=n)
    mean_p, size_p = binomial_p_values(sizes, n, q)
    return [
        SelfTest("distinct_units", float(repeated), 0.0, at_least=False),
        SelfTest("batch_mean", mean_p, LEVEL, at_least=True),
        SelfTest("batch_variance", size_p, LEVEL, at_least=True),
        SelfTest("unit_variance", binomial_p_values(times, draws, q)[1], LEVEL, at_least=True),
    ]


def binomial_p_values(counts: Sequence[int] | np.ndarray, n: int, q: float) -> tuple[float, float]:
    """Return two-sided p-values of "the counts are independent Binomial(n, q)": of their mean and of their variance.

    The mean is tested exactly (their sum is binomial), the variance by the index of dispersion, whose null
    distribution is taken as a scaled chi-squared with the variance of a binomial sample variance (Fisher 1925).

    >>> import numpy as np
    >>> fixed = [20] * 300
    >>> mean, variance = binomial_p_values(fixed, 1000, 0.02)
    >>> mean > 0.9, variance < 1e-12
    (True, True)
    """
    from scipy.stats import binomtest, chi2

    if q >= 1.0:
        same = bool(np.all(np.asarray(counts) == n))
        return (1.0, 1.0) if same else (0.0, 0.0)
    k = len(counts)
    mean = float(binomtest(int(np.sum(counts)), n * k, q).pvalue)
    variance = n * q * (1 - q)
    ratio = float(np.var(np.asarray(counts, np.float64), ddof=1)) / variance
    # Var(S^2) / sigma^4 = 2 / (k - 1) + excess kurtosis / k; a chi-squared of as many degrees of freedom has it too.
    spread = 2 / (k - 1) + (1 - 6 * q * (1 - q)) / (n * q * (1 - q)) / k
    freedom = 2 / spread
    tail = float(chi2.cdf(ratio * freedom, freedom))
    return mean, min(1.0, 2 * min(tail, 1 - tail))


def noise_is_gaussian(mechanism: GaussianMechanism, l2_clip_norm: float, first: int = 0) -> list[SelfTest]:
    """Test the noise of some steps: mean 0, the promised standard deviation, no correlation with the step before.

    The noise is made as training makes it and read where training adds gradients to it; the sum is left as it was.
    """
    from scipy.stats import chi2, norm

    kept, values = mechanism.total.clone(), mechanism.total.numel()
    steps = max(NOISY_STEPS, -(-NOISY_VALUES // values))
    std = mechanism.plan.noise_multiplier * l2_clip_norm * mechanism.clipper.scale
    total = squares = products = 0.0
    before: Tensor | None = None
    for step in range(first, first + steps):
        mechanism.begin(step, add_noise=True)
        noise = mechanism.total.double().cpu() / std
        total += float(noise.sum())
        squares += float(noise.square().sum())
        products += 0.0 if before is None else float(before @ noise)
        before = noise
    mechanism.total.copy_(kept)
    tail = float(chi2.cdf(squares, steps * values))
    p_values: dict[SelfTestName, float] = {
        "noise_mean": 2 * float(norm.sf(abs(total) / (steps * values) ** 0.5)),
        "noise_variance": min(1.0, 2 * min(tail, 1 - tail)),
        "noise_correlation": 2 * float(norm.sf(abs(products) / ((steps - 1) * values) ** 0.5)),
    }
    return [SelfTest(name, p, LEVEL, at_least=True) for name, p in p_values.items()]
