"""The one object that sampler, clipping, noise, accounting and statement are made from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from core.config import config_error
from core.privacy.accounting import PrivacySpent, calibrate_noise, compute_epsilon, replace_one_epsilon
from core.privacy.config import DifferentialPrivacy, check_budget


@dataclass(frozen=True)
class PrivacyPlan:
    """What a run guarantees and how. Made by ``PrivacyPlan.make``; its members cannot disagree.

    >>> plan = PrivacyPlan.make(
    ...     epsilon=3.0, delta=1e-5, units=10_000, unit="patient", batch_size=200, steps=300, l2_clip_norm=1.0
    ... )
    >>> plan.sampling_rate, round(plan.noise_multiplier, 2)
    (0.02, 0.88)
    >>> spent = plan.privacy_spent(plan.steps)
    >>> 2.9 < spent.epsilon <= 3.0
    True
    """

    epsilon: float
    """The budget asked for; ``privacy_spent(steps)`` is what was used."""
    delta: float
    units: int
    """Number of protected units (rows or patients, cards, ...) in the training set."""
    unit: str
    """What a unit is called."""
    batch_size: float
    """Expected number of units in a batch."""
    steps: int
    noise_multiplier: float
    """Standard deviation of the noise on the clipped sum, in clip norms."""
    l2_clip_norm: float
    accountant: str
    count_noise_multiplier: float = 0.0
    """Noise multiplier of the private count that moves an adaptive clip norm; 0 where it is fixed."""

    @property
    def sampling_rate(self) -> float:
        """Probability with which each unit is in a batch."""
        return self.batch_size / self.units

    @property
    def effective_noise_multiplier(self) -> float:
        """Noise multiplier that accounts for the gradient and the clip norm's count together.

        Andrew et al. (NeurIPS 2021), theorem 1: two Gaussian queries of one batch compose as one whose
        inverse variance is the sum of theirs.
        """
        if not self.count_noise_multiplier:
            return self.noise_multiplier
        return 1 / math.sqrt(self.noise_multiplier**-2 + (2 * self.count_noise_multiplier) ** -2)

    @staticmethod
    def make(
        *,
        epsilon: float,
        delta: float | None,
        units: int,
        unit: str,
        batch_size: float,
        steps: int,
        l2_clip_norm: float,
        accountant: str = "prv",
        adaptive: bool = False,
    ) -> PrivacyPlan:
        """Return a plan whose noise is calibrated to a budget.

        ``delta`` defaults to 1 / (10 units). Raises ValueError naming key, value and what would be right for a
        request that can't be guaranteed: epsilon not above 0, delta not in (0, 1/units), a batch above units.
        """
        check_budget(epsilon, delta)
        if units < 2:
            raise config_error(
                "data", f"{units} {unit}", "at least two training units are needed to hide one among them"
            )
        if delta is None:
            delta = 1 / (10 * units)
        if delta >= 1 / units:
            raise config_error(
                "privacy.delta",
                delta,
                f"below 1 / (number of training {unit}s) = {1 / units:.2g}; a larger delta would allow "
                f"publishing one {unit} outright",
            )
        if not 0 < batch_size <= units:
            raise config_error(
                "privacy.batch_size", batch_size, f"above 0 and at most the {units} training {unit}s"
            )
        if steps < 1:
            raise config_error("training.epochs", steps, "at least one step is needed")
        effective = calibrate_noise(epsilon, delta, batch_size / units, steps, accountant)
        noise, count_noise = effective, 0.0
        if adaptive:
            # Andrew et al. (2021), section 3.1: the count's noise is batch / 20; the gradient's noise makes up.
            count_noise = max(batch_size / 20, effective)
            noise = (effective**-2 - (2 * count_noise) ** -2) ** -0.5
        return PrivacyPlan(
            epsilon, delta, units, unit, batch_size, steps, noise, l2_clip_norm, accountant, count_noise
        )

    @staticmethod
    def from_config(
        config: DifferentialPrivacy, units: int, unit: str, *, epochs: int, steps: int
    ) -> PrivacyPlan:
        """Return the plan of ``privacy=dp`` for so many training units: ``steps`` steps, or ``epochs`` where 0."""
        batch_size = min(config.batch_size, float(units))
        return PrivacyPlan.make(
            epsilon=config.epsilon,
            delta=config.delta,
            units=units,
            unit=unit,
            batch_size=batch_size,
            steps=steps or max(round(epochs * units / batch_size), 1),
            l2_clip_norm=config.l2_clip_norm,
            accountant=config.accountant,
            adaptive=config.clipping == "adaptive",
        )

    def privacy_spent(self, steps: int) -> PrivacySpent:
        """Return an upper bound on the epsilon that so many steps of this plan used."""
        return compute_epsilon(
            self.effective_noise_multiplier, self.sampling_rate, steps, self.delta, self.accountant
        )

    def replace_one_epsilon(self) -> float:
        """Return an upper bound on the epsilon of the whole plan under replacing one unit's rows by others."""
        return replace_one_epsilon(
            self.effective_noise_multiplier, self.sampling_rate, self.steps, self.delta, self.accountant
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return what a resumed run must share with the one it continues: what was asked, then what followed."""
        asked = asdict(self)
        calibrated = {name: asked.pop(name) for name in ("noise_multiplier", "count_noise_multiplier")}
        return {**asked, "calibrated": calibrated}
