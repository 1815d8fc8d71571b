"""The ``privacy=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.config import option, setting, wrong

if TYPE_CHECKING:
    from core.privacy.plan import PrivacyPlan

CLIPPINGS = ("flat", "per_layer", "automatic", "adaptive")
ACCOUNTANTS = ("prv", "rdp")
ENGINES = ("one_pass", "opacus")
NORMALISATIONS = ("refuse", "group", "frozen")


@option("privacy", "none")
class NoPrivacy:
    """Ordinary training: nothing is promised about any one person's row."""

    def plan(self, units: int, unit: str, steps: int) -> PrivacyPlan | None:
        """Give no plan."""
        return None


@option("privacy", "dp")
class DifferentialPrivacy:
    """Differentially private training (DP-SGD, Abadi et al. 2016) with exact per-example clipping."""

    epsilon: float = setting(3.0, "the privacy budget: 1 is strong, 3 usual, 8 weak")
    delta: float | None = setting(None, "probability that the bound fails; null: 1 / (10 x training units)")
    batch_size: float = setting(256.0, "units expected in a batch; each is drawn by chance, on its own")
    clip_norm: float = setting(1.0, "longest gradient that one unit may contribute")
    clipping: str = setting("flat", "flat, per_layer, automatic (normalised), adaptive (private quantile)")
    quantile: float = setting(0.5, "adaptive: share of gradients that the clip norm should leave whole")
    accountant: str = setting("prv", "prv (tight) or rdp")
    engine: str = setting("one_pass", "one_pass (exact, one backward pass) or opacus (the reference, slower)")
    normalisation: str = setting(
        "refuse", "BatchNorm mixes examples: refuse it, replace it by group norm, or keep it frozen"
    )
    noise_seed: int | None = setting(
        None, "reproducible noise, for tests alone; null: from the operating system, forgotten after the run"
    )
    configurations_tried: int = setting(
        1, "settings tried on this data before this run, this one included: choosing the best costs privacy"
    )
    audit: int = setting(0, "canaries of the one-run audit; 0 audits nothing")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise wrong("privacy.epsilon", self.epsilon, "a finite number above 0: 1 is strong, 3 usual, 8 weak")
        if self.delta is not None and not 0 < self.delta < 1:
            raise wrong("privacy.delta", self.delta, "above 0 and below 1 / (number of training units)")
        for key in ("batch_size", "clip_norm"):
            if not (getattr(self, key) > 0 and math.isfinite(getattr(self, key))):
                raise wrong(f"privacy.{key}", getattr(self, key), "a finite number above 0")
        if not 0 < self.quantile < 1:
            raise wrong("privacy.quantile", self.quantile, "between 0 and 1")
        for key, choices in {
            "clipping": CLIPPINGS,
            "accountant": ACCOUNTANTS,
            "engine": ENGINES,
            "normalisation": NORMALISATIONS,
        }.items():
            if getattr(self, key) not in choices:
                raise wrong(f"privacy.{key}", getattr(self, key), f"one of {', '.join(choices)}")
        if self.configurations_tried < 1:
            raise wrong("privacy.configurations_tried", self.configurations_tried, "1 or more")
        if self.audit < 0:
            raise wrong("privacy.audit", self.audit, "0 or more canaries")

    def plan(self, units: int, unit: str, steps: int) -> PrivacyPlan | None:
        """Calibrate the noise for so many training units and steps."""
        from core.privacy.plan import PrivacyPlan

        return PrivacyPlan.make(
            epsilon=self.epsilon,
            delta=self.delta,
            units=units,
            unit=unit,
            batch=min(self.batch_size, float(units)),
            steps=steps,
            clip_norm=self.clip_norm,
            accountant=self.accountant,
            adaptive=self.clipping == "adaptive",
        )
