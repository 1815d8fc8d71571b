"""A record as a run would write it, without a run."""

from __future__ import annotations

import numpy as np

from core.config.section import Estimate
from core.data.section import FindingSection
from core.energy.section import (
    Carbon,
    EnergySection,
    EnergySource,
    EnergyUse,
    Latency,
    PerformanceSection,
    PredictionEnergy,
)
from core.evaluation.config import StandardEvaluation
from core.evaluation.evaluate import compare, evaluate
from core.fairness.section import Comparison, FairnessSection, WorstGroup
from core.privacy.section import (
    AttackResult,
    BatchNormSection,
    DPSection,
    NoPrivacySection,
    PreflightSection,
)
from core.report.record import (
    DataSection,
    EnvironmentSection,
    ModelSection,
    Record,
    RunSection,
    TrainingSection,
    plain,
    sealed,
)
from core.targets.binary import BinaryTarget
from core.targets.multiclass import MulticlassTarget
from core.targets.multilabel import MultilabelTarget
from core.targets.regression import RegressionTarget
from core.targets.types import FittedBaseline, Predictions, Target
from core.training.section import HistoryPoint

CONFIG = StandardEvaluation(resamples=40, resamples_slow=20, min_group_rows=40)


def target_of(kind: str, classes: tuple[str, ...]) -> Target:
    """Return a target of a kind."""
    if kind == "regression":
        return RegressionTarget("y")
    if kind == "multilabel":
        return MultilabelTarget(tuple(f"y_{name}" for name in classes), classes, ((1.0, 1.0),) * len(classes))
    if kind == "multiclass":
        return MulticlassTarget("y", classes, (1.0,) * len(classes), (1 / len(classes),) * len(classes))
    return BinaryTarget("y", classes)


def rows(kind: str, classes: tuple[str, ...], seed: int) -> Predictions:
    """Make rows with two groups, one of them too small to show."""
    rng = np.random.default_rng(seed)
    n, k = 200, max(1, len(classes))
    groups = {"sex": np.where(np.arange(n) < 20, "few", rng.choice(["f", "m"], n)).astype(np.str_)}
    if kind == "regression":
        truth = rng.normal(size=n)
        values = truth + 0.4 * rng.normal(size=n)
        return Predictions(values[:, None], values, truth, (), kind, groups)
    if kind == "multilabel":
        truth = (rng.random((n, k)) < 0.4).astype(int)
        scores = 1 / (1 + np.exp(1 - 2 * truth - rng.normal(size=(n, k))))
        return Predictions(scores, (scores > 0.5).astype(int), truth, classes, kind, groups)
    truth = rng.integers(k, size=n)
    z = np.eye(k)[truth] + rng.normal(size=(n, k))
    scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return Predictions(scores, scores.argmax(axis=1), truth, classes, kind, groups)


def record(kind: str = "binary", simulated: bool = True, classes: tuple[str, ...] | None = None) -> Record:
    """Evaluate a model and a baseline, and record them."""
    default = {"binary": ("no", "yes"), "regression": ()}.get(kind, ("a", "b", "c"))
    classes = default if classes is None else classes
    target = target_of(kind, classes)
    validation, test = rows(kind, classes, 0), rows(kind, classes, 1)
    evaluation = evaluate(validation, test, target, CONFIG)
    other = compare(evaluation, FittedBaseline("boosting", validation, test, {}), target, CONFIG)
    return Record(
        run=RunSection(
            domain="healthcare",
            task="records",
            finished="2026-01-02T03:04:05+00:00",
            config={"training": {"epochs": 3}},
        ),
        data=DataSection(
            source="<b>own</b> table",
            simulated=simulated,
            rows={"train": 600, "validation": 200, "test": 200},
            findings=[FindingSection(level="warning", check="x", where="column a", message="A & B agree.")],
        ),
        model=ModelSection(backbone="tabular", parameters=1234),
        training=TrainingSection(
            history=[
                HistoryPoint(step=s, loss=1 / (1 + s), validation={"auroc": 0.5 + s / 100}) for s in range(10)
            ]
        ),
        baseline=other.section,
        **evaluation.sections(),
    )


def whole(simulated: bool = True) -> Record:
    """Record every concern, sealed."""
    found = record(simulated=simulated)
    found.run = RunSection(
        domain="healthcare",
        task="records",
        purpose="To show | the tool [works]_.",
        seed=7,
        finished="2026-01-02T03:04:05+00:00",
        config={
            "optimizer": {"option": "adamw", "lr": 1e-3},
            "training": {"option": "standard", "epochs": 3},
        },
    )
    found.model = ModelSection(backbone="tabular", adapter="full", parameters=1234, trainable=1200)
    found.training = TrainingSection(
        epochs=3.0, steps=12, seconds=0.25, precision="fp32", stop_reason="all_steps"
    )
    found.environment = EnvironmentSection(python="3.11.7", cpu="a processor", threads=1)
    found.data.roles = {"target": ["y"], "numeric": [f"x_{k}" for k in range(12)], "sensitive": ["sex"]}
    found.files = {"model.safetensors": "0" * 64}
    found.privacy = privacy(2.98765)
    found.fairness = fairness(-0.11111)
    found.energy = energy(59.112257)
    found.performance = PerformanceSection(
        predict_rows_per_second=900.0,
        latency_ms=Latency(p50=1.91, p99=3.2, batch=1, calls=100),
        peak_memory_bytes=734003200,
        parameters=1234,
        device="cpu",
    )
    return sealed(Record.model_validate(plain(found)))


def privacy(epsilon: float | None) -> NoPrivacySection | DPSection:
    """Return the section of a run of this epsilon; of one without a guarantee for None."""
    attack = AttackResult(
        attack="loss",
        shadow_models=0,
        members=600,
        non_members=200,
        auc=Estimate(value=0.512, low=0.47, high=0.55),
        tpr_at_fpr={"0.01": Estimate(value=0.012, low=0.0, high=0.03)},
    )
    if epsilon is None:
        return NoPrivacySection(attack=attack)
    return DPSection(
        epsilon=epsilon,
        delta=1.2e-5,
        target_epsilon=3.0,
        unit="patient",
        units=600,
        noise_multiplier=1.1,
        count_noise_multiplier=None,
        noise_source="system_key",
        l2_clip_norm=1.0,
        clipping="flat",
        engine="bookkeeping",
        steps=12,
        sampling_rate=0.1,
        expected_batch_size=60.0,
        accountant="prv",
        accountant_fallback=None,
        num_trials=1,
        initial_weights=None,
        non_private_statistics=["numeric_scales"],
        batch_norm=BatchNormSection(policy="refuse", layers=[]),
        preflight=PreflightSection(
            examples=6,
            parameters=24,
            norm_error=4.2e-7,
            sum_error=4.5e-8,
            independence_error=0.0,
            tolerance=1e-3,
            without_gradient=[],
        ),
        attack=attack,
    )


def fairness(difference: float) -> FairnessSection:
    """Return the section of one comparison of this difference."""
    return FairnessSection(
        confidence=0.95,
        unit="patient",
        min_group_rows=40,
        metrics={"accuracy": "overall accuracy equality"},
        by_group={},
        suppressed={"sex": ["few"]},
        worst_off={"sex": WorstGroup(group="f", metric="accuracy", rate=0.70123)},
        equalized_odds=[],
        comparisons=[
            Comparison(
                attribute="sex",
                group="f",
                against="m",
                metric="accuracy",
                rate=0.81234 + difference,
                others=0.81234,
                difference=Estimate(value=difference, low=difference - 0.09, high=difference + 0.09),
                ratio=None,
                found=abs(difference) > 0.09,
            )
        ],
    )


def energy(joules: float) -> EnergySection:
    """Return the section of a run that used so much, all of it modeled."""
    source = EnergySource(
        component="processor",
        method="unmeasured",
        parameters={"reason": "a test"},
        measured=False,
        relative_uncertainty=0.5,
        joules=0.98 * joules,
    )
    return EnergySection(
        joules=joules,
        low=0.5 * joules,
        high=1.5 * joules,
        measured_share=0.0,
        phases={
            "train": EnergyUse(
                seconds=0.25, processor_seconds=0.2, joules=40.0, components={"processor": 40.0}
            )
        },
        sources=[source],
        per_prediction=PredictionEnergy(joules=2.8e-4, rows=400, low=1e-4, high=4e-4),
        carbon=Carbon(
            grams=0.0079, grams_per_kwh=481.0, region="World", year=2023, source="a table", pue=1.1
        ),
    )
