"""The one object that sampler, clipping, noise, accounting and statement are made from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from core.config import config_error
from core.privacy.accounting import PrivacySpent, calibrate_noise, compute_epsilon


@dataclass(frozen=True)
class PrivacyPlan:
    """What a run promises and how it keeps it. Made by ``PrivacyPlan.make``; the parts cannot disagree."""

    epsilon: float
    """The budget asked for; ``spend(steps)`` is what was used."""
    delta: float
    units: int
    """Number of protected units (rows or patients, cards, ...) in the training part."""
    unit: str
    """What a unit is called."""
    batch: float
    """Expected units in a batch."""
    steps: int
    noise_multiplier: float
    """Standard deviation of the noise on the clipped sum, in clip norms."""
    clip_norm: float
    accountant: str
    adaptive_noise: float = 0.0
    """Noise multiplier of the private count that moves an adaptive clip norm; 0 where it is fixed."""

    @property
    def rate(self) -> float:
        """Probability with which each unit is in a batch."""
        return self.batch / self.units

    @property
    def effective_noise(self) -> float:
        """Noise multiplier that accounts for the gradient and the clip norm's count together.

        Andrew et al. (NeurIPS 2021), theorem 1: two Gaussian queries of one batch compose as one whose
        inverse variance is the sum of theirs.
        """
        if not self.adaptive_noise:
            return self.noise_multiplier
        return 1 / math.sqrt(self.noise_multiplier**-2 + (2 * self.adaptive_noise) ** -2)

    @staticmethod
    def make(
        *,
        epsilon: float,
        delta: float | None,
        units: int,
        unit: str,
        batch: float,
        steps: int,
        clip_norm: float,
        accountant: str,
        adaptive: bool = False,
    ) -> PrivacyPlan:
        """Calibrate the noise to a budget.

        ``delta`` defaults to 1 / (10 units). Raises ValueError naming key, value and what would be right for a
        request that can't be promised: epsilon not above 0, delta not in (0, 1/units), a batch above units.
        """
        if not (epsilon > 0 and math.isfinite(epsilon)):
            raise config_error(
                "privacy.epsilon", epsilon, "a finite number above 0 (1 strong, 3 usual, 8 weak)"
            )
        if units < 2:
            raise config_error(
                "data", f"{units} {unit}", "at least two training units are needed to hide one among them"
            )
        if delta is None:
            delta = 1 / (10 * units)
        if not 0 < delta < 1 / units:
            raise config_error(
                "privacy.delta",
                delta,
                f"above 0 and below 1 / (number of training {unit}s) = {1 / units:.2g}; a larger delta would allow "
                f"publishing one {unit} outright",
            )
        if not 0 < batch <= units:
            raise config_error(
                "privacy.batch_size", batch, f"above 0 and at most the {units} training {unit}s"
            )
        if steps < 1:
            raise config_error("training.epochs", steps, "at least one step is needed")
        rate = batch / units
        effective = calibrate_noise(epsilon, delta, rate, steps, accountant)
        noise, count_noise = effective, 0.0
        if adaptive:
            # Andrew et al. (2021), section 3.1: the count's noise is batch / 20; the gradient's noise makes up.
            count_noise = max(batch / 20, effective)
            noise = (effective**-2 - (2 * count_noise) ** -2) ** -0.5
        return PrivacyPlan(
            epsilon, delta, units, unit, batch, steps, noise, clip_norm, accountant, count_noise
        )

    def spend(self, steps: int) -> PrivacySpent:
        """Bound the epsilon that so many steps of this plan used up."""
        return compute_epsilon(self.effective_noise, self.rate, steps, self.delta, self.accountant)

    def fingerprint(self) -> dict[str, Any]:
        """Give what a resumed run must share with the one it goes on from: what was asked, then what followed."""
        asked = asdict(self)
        settled = {name: asked.pop(name) for name in ("noise_multiplier", "adaptive_noise")}
        return {**asked, "which gives": settled}
