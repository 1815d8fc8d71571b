"""The ``privacy=`` options. Imports nothing heavy: ``--help`` reads it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from core.config import PrivacyConfig, config_error, field, register
from core.config.validate import one_of, positive

if TYPE_CHECKING:
    from core.config import AdapterConfig, EncoderConfig, TargetConfig, TrainingConfig
    from core.data.checks.split_checks import SharedUnits
    from core.data.types import Dataset

CLIPPINGS = ("flat", "per_layer", "automatic", "adaptive")
ACCOUNTANTS = ("prv", "rdp")
ENGINES = ("bookkeeping", "opacus")
SHARED_UNITS: dict[str, SharedUnits] = {
    "auto": "counted_by_time",
    "refuse": "refused",
    "declare": "counted",
}
"""Value of privacy.shared_units -> what the checks of the split do."""
BATCH_NORMS = ("refuse", "group", "frozen")
ATTACKS = ("none", "loss", "rmia", "lira")


def check_budget(epsilon: float, delta: float | None) -> None:
    """Raise ValueError for a budget that no number of units makes right (``PrivacyPlan`` knows the number)."""
    if not 0 < epsilon < inf:
        raise config_error(
            "privacy.epsilon", epsilon, "a finite number above 0: 1 is strong, 3 usual, 8 weak"
        )
    if delta is not None and not 0 < delta < 1:
        raise config_error("privacy.delta", delta, "above 0 and below 1 / (number of training units)")


@register("privacy", "none", builds="core.training.setup:set_up_without_privacy")
class NoPrivacy(PrivacyConfig):
    """Training without differential privacy: no formal guarantee about any one person's rows."""

    attack: str = field(
        "loss",
        "membership inference attack on the trained model: loss (weak, costs nothing), rmia or lira (strong, train "
        "shadow models), none",
    )
    attack_rows: int = field(1000, "attack=loss: rows drawn from the training and from the test set")
    shadow_models: int = field(4, "attack=rmia, lira: shadow models, each trained as long as the run's own")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        one_of("privacy.attack", self.attack, ATTACKS)
        if self.attack_rows < 50:
            raise config_error(
                "privacy.attack_rows", self.attack_rows, "50 or more: with fewer, chance decides"
            )
        if self.attack in ("rmia", "lira") and not 2 <= self.shadow_models <= 256:
            raise config_error(
                "privacy.shadow_models", self.shadow_models, "from 2 (crude) to 256; 4 is usual"
            )


@register("privacy", "dp", builds="core.training.dp_setup:set_up_with_privacy")
class DifferentialPrivacy(PrivacyConfig):
    """Differentially private training (DP-SGD, Abadi et al. 2016) with exact per-example clipping.

    Its ``batch_size`` and ``l2_clip_norm`` take the place of the training's ``batch_size`` and ``max_grad_norm``.
    """

    epsilon: float = field(3.0, "privacy budget: 1 is strong, 3 usual, 8 weak")
    delta: float | None = field(
        None, "probability that the bound fails; null: 1 / (10 x number of training units)"
    )
    batch_size: float = field(256.0, "expected batch size, in units, under Poisson sampling")
    l2_clip_norm: float = field(1.0, "L2 norm that each unit's gradient is clipped to")
    clipping: str = field(
        "flat", "flat, per_layer, automatic (normalized), adaptive (follows a private quantile)"
    )
    quantile: float = field(0.5, "clipping=adaptive: target fraction of gradients that are not clipped")
    accountant: str = field("prv", "prv (tight) or rdp")
    engine: str = field(
        "bookkeeping",
        "bookkeeping (exact, one backward pass; Bu et al. 2022) or opacus (the reference, slower)",
    )
    batch_norm: str = field(
        "refuse", "BatchNorm mixes examples: refuse it, replace it by group normalization (group), or frozen"
    )
    noise_seed: int | None = field(
        None,
        "reproducible noise, for tests alone; null: a key from the operating system, destroyed after the run",
    )
    num_trials: int = field(
        1, "configurations tried on these data so far, this one included: choosing the best costs privacy"
    )
    shared_units: str = field(
        "auto",
        "units with rows in several splits, of which only the training rows are protected: refuse them, or declare "
        "them (the statement says so); auto declares them where the split is by time, which must keep them",
    )
    audit_canaries: int = field(
        0, "canaries of the white-box one-run audit, known directions among the gradients; 0: no audit"
    )
    blackbox_canaries: int = field(
        0,
        "canaries of the black-box one-run audit, artificial examples told apart by their final loss; 0: none",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key; what depends on the data, the plan checks."""
        check_budget(self.epsilon, self.delta)
        positive("privacy", batch_size=self.batch_size, l2_clip_norm=self.l2_clip_norm)
        if not 0 < self.quantile < 1:
            raise config_error("privacy.quantile", self.quantile, "between 0 and 1")
        one_of("privacy.clipping", self.clipping, CLIPPINGS)
        one_of("privacy.accountant", self.accountant, ACCOUNTANTS)
        one_of("privacy.engine", self.engine, ENGINES)
        one_of("privacy.shared_units", self.shared_units, SHARED_UNITS)
        one_of("privacy.batch_norm", self.batch_norm, BATCH_NORMS)
        if self.num_trials < 1:
            raise config_error("privacy.num_trials", self.num_trials, "1 or more")
        for key in ("audit_canaries", "blackbox_canaries"):
            if getattr(self, key) < 0:
                raise config_error(f"privacy.{key}", getattr(self, key), "0 or more canaries")
        if self.engine == "opacus" and self.audit_canaries:
            raise config_error(
                "privacy.audit_canaries",
                self.audit_canaries,
                "canaries pass through privacy.engine=bookkeeping only",
            )
        if self.engine == "opacus" and self.clipping == "per_layer":
            raise config_error(
                "privacy.clipping", "per_layer", "privacy.engine=opacus has flat, automatic and adaptive"
            )


def is_private(privacy: PrivacyConfig) -> bool:
    """Return whether the option gives a formal guarantee."""
    return isinstance(privacy, DifferentialPrivacy)


def shared_units_policy(privacy: PrivacyConfig) -> SharedUnits:
    """Return what the checks of the split do with units in two splits: name them, count them only, or refuse them."""
    if not isinstance(privacy, DifferentialPrivacy):
        return "named"
    return SHARED_UNITS[privacy.shared_units]


def batch_norm_policy(privacy: PrivacyConfig) -> str:
    """Return what becomes of batch normalization: refuse, group or frozen; keep without a guarantee."""
    return privacy.batch_norm if isinstance(privacy, DifferentialPrivacy) else "keep"


def attack_options(privacy: PrivacyConfig) -> NoPrivacy | None:
    """Return the settings of the membership inference attack; None where none is asked for."""
    return privacy if isinstance(privacy, NoPrivacy) and privacy.attack != "none" else None


def validate_run(
    privacy: PrivacyConfig,
    *,
    training: TrainingConfig,
    target: TargetConfig,
    encoder: EncoderConfig,
    adapter: AdapterConfig,
) -> None:
    """Raise ValueError, before data are read, for options that a formal guarantee rules out, with the key.

    They couple examples, can't be clipped, or train on rows outside the mechanism.
    """
    if not is_private(privacy):
        return

    def require(key: str, config: object, right: object, why: str) -> None:
        name = key.rpartition(".")[2]
        value = getattr(config, name, right)
        if value != right:
            raise config_error(key, value, why)

    require(
        "training.sampling",
        training,
        "uniform",
        "privacy=dp samples each unit with one and the same probability; use uniform",
    )
    # A weight counted on the training rows moves with every row: one unit would change the others' gradients.
    require(
        "target.class_weights",
        target,
        "none",
        "counted on training rows, so one person's row would change the weight of others'; privacy=dp needs none "
        "(thresholds chosen on validation rows serve rare classes instead)",
    )
    require(
        "target.logit_adjustment",
        target,
        0.0,
        "counted on training rows, so one person's row would change others' gradients; privacy=dp needs 0",
    )
    text = getattr(encoder, "text", encoder)
    require(
        "encoder.text.knn_examples_per_class",
        text,
        0,
        "keeps training texts and their grades as they are; privacy=dp needs 0",
    )
    require(
        "training.compile",
        training,
        False,
        "privacy=dp traces the network layer by layer; use false",
    )
    if getattr(training, "precision", "auto") == "fp16":
        raise config_error(
            "training.precision", "fp16", "privacy=dp trains in fp32 or bf16, which need no loss scaling"
        )
    require(
        "adapter.linear_probe_epochs",
        adapter,
        0,
        "the linear probe would be trained on rows outside the mechanism, which voids the guarantee; set 0",
    )


def validate_data(privacy: PrivacyConfig, dataset: Dataset) -> None:
    """Raise ValueError under a formal guarantee for data it can't hold on.

    Rows whose inputs are made of other units' rows, and rows without a unit: they may all be one person's.
    """
    if not is_private(privacy):
        return
    if dataset.cross_unit_inputs:
        raise config_error("privacy", "dp", f"can't hold on these data: {dataset.cross_unit_inputs}")
    unit = dataset.roles.unit
    if unit is None or unit not in dataset.frame.columns:
        return
    from core.data.coercion import to_categories

    missing = sum(name is None for name in to_categories(dataset.frame[unit]))
    if missing:
        raise config_error(
            "privacy",
            "dp",
            f"{missing} of {len(dataset.frame)} rows have no value in the column {unit!r}, which says whose they are: "
            f"they may all be of one {dataset.unit_name}, whose influence would not be bounded; fill the column in, "
            "or leave these rows out",
        )


def validate_pretraining(privacy: PrivacyConfig, weights: str, overlap: str) -> None:
    """Raise ValueError under a formal guarantee for first weights that were trained on this run's own files.

    ``weights`` is the value of ``backbone.weights``, ``overlap`` a clause that tells which files.
    """
    if is_private(privacy):
        raise config_error(
            "backbone.weights",
            weights,
            f"{overlap}, without differential privacy: the guarantee would not hold for these rows; set "
            "backbone.weights=random, or train on other data",
        )
