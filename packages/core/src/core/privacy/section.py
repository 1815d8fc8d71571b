"""The part of ``record.json`` on privacy: numbers and codes; ``core.report.sentences.privacy`` puts them in words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.config.section import Estimate, Section

Statistic = Literal[
    "numeric_scales",
    "categories",
    "vocabulary",
    "text_length",
    "word_frequencies",
    "signal_scales",
    "target_scale",
    "slot_names",
    "group_names",
    "data_checks",
    "baseline_metrics",
]
"""What a run learns from training rows outside the mechanism, and publishes beside the private weights."""


class AttackResult(Section):
    """A membership inference attack; intervals are 95 % bootstrap intervals over units."""

    attack: Literal["loss", "rmia", "lira"]
    shadow_models: int
    members: int
    """Training rows attacked."""
    non_members: int
    """Test rows attacked."""
    auc: Estimate
    """0.5 is chance."""
    tpr_at_fpr: dict[str, Estimate]
    """False positive rate -> true positive rate."""


class GuessTest(Section):
    """One pre-registered test of a one-run audit."""

    name: str
    guesses: int
    correct: int
    lower_bound: float


class AuditResult(Section):
    """A one-run audit (Steinke, Nasr and Jagielski 2023): the epsilon that the run has spent at least."""

    kind: Literal["white_box", "black_box"]
    claim: float
    """Epsilon of the run's statement."""
    lower_bound: float
    confidence: float
    delta: float
    canaries: int
    included: int
    """Canaries that were in the training."""
    guesses: int
    correct: int
    tests: list[GuessTest]
    weights: dict[str, int] | None = None
    """White box: canaries in each weight tensor."""


class BatchNormSection(Section):
    """What became of batch normalization, which mixes the examples of a batch."""

    policy: Literal["refuse", "group", "frozen"]
    layers: list[str]
    """Layers that were replaced (group) or frozen."""


class PreflightSection(Section):
    """What was measured on a probe batch before the first step; errors are relative to autograd on single examples."""

    examples: int
    parameters: int
    norm_error: float
    """Worst error of a layer's norm for an example."""
    sum_error: float
    """Error of the clipped sum."""
    independence_error: float
    """How far an example's gradient moved when the others changed."""
    tolerance: float
    independence_tolerance: float | None = None
    """Of ``independence_error``; null in records of older runs, where ``tolerance`` held for it too."""
    batch_sizes: list[int] | None = None
    """Numbers of examples that the norms were checked with; null in records of older runs."""
    train_mode_checked: bool | None = None
    """Whether norms were checked in training mode too, with the same dropout; false: the engine drew another."""
    without_gradient: list[str]
    """Trainable parameters that the loss doesn't reach: they receive noise only."""


class NoPrivacySection(Section):
    """A run without a formal guarantee."""

    mechanism: Literal["none"] = "none"
    epsilon: None = None
    delta: None = None
    attack: AttackResult | None = None


class DPSection(Section):
    """A run under differential privacy: what is guaranteed of what, and under which conditions."""

    mechanism: Literal["dp_sgd"] = "dp_sgd"
    scope: Literal["weights"] = "weights"
    """What epsilon is of: the trained weights, given all that ``non_private_statistics`` names."""
    epsilon: float
    """An upper bound for all planned steps, taken or not: when a training stops early depends on the data."""
    delta: float
    target_epsilon: float
    unit: str
    units: int
    shared_units: Literal["refuse", "declare"] | None = None
    """Whether units with rows in several splits were refused, or may be there; null in records of older runs."""
    neighboring_relation: Literal["add_remove"] = "add_remove"
    """Data sets that differ in all training rows of one unit, added or removed."""
    replace_one_epsilon: float | None = None
    """Upper bound at the same delta for data sets that differ in the rows of one unit, replaced by others; null where
    none was computed (records of older runs) or none is finite."""
    rows_per_unit_and_step: int = 1
    noise_multiplier: float
    count_noise_multiplier: float | None
    """Of the private count that moves an adaptive clip norm."""
    noise_source: Literal["system_key", "configured_seed"]
    """A key of the operating system, destroyed after the run; or a seed in the configuration, for tests alone."""
    l2_clip_norm: float
    clipping: Literal["flat", "per_layer", "automatic", "adaptive"]
    engine: Literal["bookkeeping", "opacus"]
    steps: int
    planned_steps: int | None = None
    """Steps that noise and epsilon were computed for; null in records of older runs, whose epsilon is that of
    ``steps``."""
    sampling: Literal["poisson"] = "poisson"
    sampling_rate: float
    expected_batch_size: float
    accountant: Literal["prv", "rdp", "gaussian"]
    accountant_fallback: Literal["full_batch", "grid_too_large", "no_noise"] | None
    """Why another accountant than the one asked for gave the bound."""
    num_trials: int
    """Configurations tried on these data: as declared, and those of the same sweep."""
    sweep_size: int | None = None
    """Runs of the sweep that this one was part of, counted by the program; null for a run on its own."""
    initial_weights: str | None
    """Where the weights come from that training started with; null for random initialization."""
    non_private_statistics: list[Statistic]
    batch_norm: BatchNormSection
    preflight: PreflightSection
    audit: AuditResult | None = None
    blackbox_audit: AuditResult | None = None
    attack: AttackResult | None = None


PrivacySection = Annotated[NoPrivacySection | DPSection, Field(discriminator="mechanism")]
