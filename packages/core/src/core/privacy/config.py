"""The ``privacy=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.config import PrivacyConfig, config_error, field, register
from core.config.validate import one_of, positive

if TYPE_CHECKING:
    from torch import nn

    from core.config import RunConfig
    from core.data.types import Dataset
    from core.privacy.clipping import ClipRule, PerExampleClipper
    from core.privacy.plan import PrivacyPlan

CLIPPINGS = ("flat", "per_layer", "automatic", "adaptive")
ACCOUNTANTS = ("prv", "rdp")
ENGINES = ("one_pass", "opacus")
NORMALISATIONS = ("refuse", "group", "frozen")
ATTACKS = ("none", "loss", "rmia", "lira")


@register("privacy", "none")
class NoPrivacy(PrivacyConfig):
    """Ordinary training: nothing is promised about any one person's row."""

    attack: str = field(
        "loss",
        "measure what the model gives away, telling training rows from test rows: loss (weak, costs nothing), rmia or "
        "lira (strong, train models for comparison), none",
    )
    attack_rows: int = field(1000, "attack=loss: rows that are drawn from each side")
    shadow_models: int = field(4, "attack: models trained for comparison, each as long as the run's own")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("privacy.attack", self.attack, ATTACKS)
        if self.attack_rows < 50:
            raise config_error(
                "privacy.attack_rows", self.attack_rows, "50 or more: with fewer, chance decides"
            )
        if self.attack in ("rmia", "lira") and not 2 <= self.shadow_models <= 256:
            raise config_error(
                "privacy.shadow_models", self.shadow_models, "from 2 (crude) to 256; 4 is usual"
            )

    def check_run(self, config: RunConfig) -> None:
        """Refuse nothing."""

    def check_data(self, dataset: Dataset) -> None:
        """Refuse nothing."""

    def plan(self, units: int, unit: str, *, epochs: int, steps: int) -> PrivacyPlan | None:
        """Give no plan."""
        return None

    def settle(self, model: nn.Module) -> list[str]:
        """Leave the network as it is."""
        return []


@register("privacy", "dp")
class DifferentialPrivacy(PrivacyConfig):
    """Differentially private training (DP-SGD, Abadi et al. 2016) with exact per-example clipping.

    Its ``batch_size`` and ``clip_norm`` take the place of the training's ``batch_size`` and ``max_grad_norm``.
    """

    epsilon: float = field(3.0, "the privacy budget: 1 is strong, 3 usual, 8 weak")
    delta: float | None = field(None, "probability that the bound fails; null: 1 / (10 x training units)")
    batch_size: float = field(256.0, "units expected in a batch; each is drawn by chance, on its own")
    clip_norm: float = field(1.0, "longest gradient that one unit may contribute")
    clipping: str = field("flat", "flat, per_layer, automatic (normalised), adaptive (private quantile)")
    quantile: float = field(0.5, "adaptive: share of gradients that the clip norm should leave whole")
    accountant: str = field("prv", "prv (tight) or rdp")
    engine: str = field("one_pass", "one_pass (exact, one backward pass) or opacus (the reference, slower)")
    normalisation: str = field(
        "refuse", "BatchNorm mixes examples: refuse it, replace it by group norm, or keep it frozen"
    )
    noise_seed: int | None = field(
        None, "reproducible noise, for tests alone; null: from the operating system, forgotten after the run"
    )
    configurations_tried: int = field(
        1, "settings tried on this data before this run, this one included: choosing the best costs privacy"
    )
    audit: int = field(
        0, "canaries of the one-run audit, directions hidden in the gradients (white box); 0 audits nothing"
    )
    audit_examples: int = field(
        0, "made-up training examples told apart by their final loss (black box); 0: none"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise config_error(
                "privacy.epsilon", self.epsilon, "a finite number above 0: 1 is strong, 3 usual, 8 weak"
            )
        if self.delta is not None and not 0 < self.delta < 1:
            raise config_error(
                "privacy.delta", self.delta, "above 0 and below 1 / (number of training units)"
            )
        positive("privacy", batch_size=self.batch_size, clip_norm=self.clip_norm)
        if not 0 < self.quantile < 1:
            raise config_error("privacy.quantile", self.quantile, "between 0 and 1")
        for key, choices in {
            "clipping": CLIPPINGS,
            "accountant": ACCOUNTANTS,
            "engine": ENGINES,
            "normalisation": NORMALISATIONS,
        }.items():
            one_of(f"privacy.{key}", getattr(self, key), choices)
        if self.configurations_tried < 1:
            raise config_error("privacy.num_trials", self.configurations_tried, "1 or more")
        for key in ("audit", "audit_examples"):
            if getattr(self, key) < 0:
                raise config_error(f"privacy.{key}", getattr(self, key), "0 or more canaries")

    def check_run(self, config: RunConfig) -> None:
        """Refuse, before data are read, what couples examples or can't be clipped, naming the key."""
        training, target = config.training, config.target
        if training.sampling != "none":
            raise config_error(
                "training.sampling",
                training.sampling,
                "privacy=dp samples each unit with one and the same probability; use none",
            )
        # A weight counted on the training rows moves with every row: one unit would change the others' gradients.
        if getattr(target, "class_weights", "none") != "none":
            raise config_error(
                "target.class_weights",
                target.class_weights,
                "counted on training rows, so one person's row would change the weight of others'; privacy=dp "
                "needs none (thresholds chosen on validation rows serve rare classes instead)",
            )
        if getattr(target, "logit_adjustment", 0.0):
            raise config_error(
                "target.logit_adjustment",
                target.logit_adjustment,
                "counted on training rows, so one person's row would change others' gradients; privacy=dp needs 0",
            )
        if getattr(config.encoder, "examples", 0):
            raise config_error(
                "encoder.examples",
                config.encoder.examples,
                "keeps training texts and their grades as they are; privacy=dp needs 0",
            )
        if training.compile:
            raise config_error(
                "training.compile", True, "privacy=dp watches the network layer by layer; use false"
            )
        if training.precision == "fp16":
            raise config_error(
                "training.precision", "fp16", "privacy=dp trains in fp32 or bf16, which need no loss scaling"
            )
        if self.engine == "opacus" and self.audit:
            raise config_error(
                "privacy.audit_canaries", self.audit, "canaries pass through privacy.engine=one_pass only"
            )
        if self.engine == "opacus" and self.clipping == "per_layer":
            raise config_error(
                "privacy.clipping", "per_layer", "privacy.engine=opacus has flat, automatic and adaptive"
            )

    def check_data(self, dataset: Dataset) -> None:
        """Refuse rows whose inputs are made of other units' rows."""
        if dataset.cross_unit_inputs:
            raise config_error("privacy", "dp", f"can't keep its promise on these data: {dataset.cross_unit_inputs}")

    def plan(self, units: int, unit: str, *, epochs: int, steps: int) -> PrivacyPlan | None:
        """Calibrate the noise for so many training units over ``steps``, or over ``epochs`` where these are 0."""
        from core.privacy.plan import PrivacyPlan

        batch = min(self.batch_size, float(units))
        return PrivacyPlan.make(
            epsilon=self.epsilon,
            delta=self.delta,
            units=units,
            unit=unit,
            batch=batch,
            steps=steps or max(round(epochs * units / batch), 1),
            clip_norm=self.clip_norm,
            accountant=self.accountant,
            adaptive=self.clipping == "adaptive",
        )

    def settle(self, model: nn.Module) -> list[str]:
        """Make batch normalisation treat examples apart, in place; give the names of the layers changed."""
        from core.privacy.batch_norm import convert_batch_norm

        how = {"group": "group", "frozen": "frozen"}.get(self.normalisation)
        return convert_batch_norm(model, how)  # type: ignore[arg-type]

    def clipper(self, model: nn.Module, plan: PrivacyPlan) -> PerExampleClipper:
        """Make the clipper of a network's trainable weights."""
        from core.privacy.clipping import (
            AdaptiveClip,
            AutomaticClip,
            FlatClip,
            PerExampleClipper,
            PerLayerClip,
        )
        from core.privacy.opacus_engine import OpacusClipper

        kinds: dict[str, ClipRule] = {
            "flat": FlatClip(plan.clip_norm),
            "per_layer": PerLayerClip(plan.clip_norm),
            "automatic": AutomaticClip(plan.clip_norm),
            "adaptive": AdaptiveClip(plan.clip_norm, self.quantile),
        }
        engine = {"one_pass": PerExampleClipper, "opacus": OpacusClipper}[self.engine]
        return engine(model, rule=kinds[self.clipping])
