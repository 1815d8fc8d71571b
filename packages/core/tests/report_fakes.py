"""A record as a run would write it, without a run."""

from __future__ import annotations

import numpy as np

from core.evaluation.config import StandardEvaluation
from core.evaluation.evaluate import compare, evaluate
from core.evaluation.types import BaselineResult
from core.report.record import (
    BaselineSection,
    DataSection,
    EnvironmentSection,
    FindingSection,
    ModelSection,
    Record,
    RunSection,
    TrainingSection,
    plain,
    sealed,
)
from core.targets.binary import BinaryTarget
from core.targets.metrics import macro_f1, rmse
from core.targets.types import Predictions

CONFIG = StandardEvaluation(resamples=40, resamples_single=20, minimum_group=40)


class Decider:
    """A target that decides by the highest probability."""

    def __init__(self, kind: str, classes: tuple[str, ...]) -> None:
        self.kind, self.classes = kind, classes

    def labels(self, scores, thresholds=None):
        """Decide."""
        if self.kind == "multilabel":
            return (scores >= np.array([(thresholds or {}).get(c, 0.5) for c in self.classes])).astype(int)
        return scores[:, 0] if self.kind == "regression" else scores.argmax(axis=1)

    def metrics(self):
        """Judge."""
        return {"rmse": rmse} if self.kind == "regression" else {"macro_f1": macro_f1}


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
    target = BinaryTarget("y", classes) if kind == "binary" else Decider(kind, classes)
    validation, test = rows(kind, classes, 0), rows(kind, classes, 1)
    evaluation = evaluate(validation, test, target, CONFIG)
    other = compare(evaluation, BaselineResult("boosting", validation, test, {}), target, CONFIG)
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
            history=[{"step": s, "loss": 1 / (1 + s), "validation_auroc": 0.5 + s / 100} for s in range(10)]
        ),
        baseline=BaselineSection(**plain(other.json())),
        **plain(evaluation.json()),
    )


def whole(simulated: bool = True) -> Record:
    """Record every concern, sealed."""
    made = record(simulated=simulated)
    made.run = RunSection(
        domain="healthcare",
        task="records",
        purpose="To show | the tool [works]_.",
        seed=7,
        finished="2026-01-02T03:04:05+00:00",
        config={
            "optimizer": {"option": "adamw", "rate": 1e-3},
            "training": {"option": "standard", "epochs": 3},
        },
    )
    made.model = ModelSection(backbone="tabular", adapter="full", parameters=1234, trainable=1200)
    made.training = TrainingSection(
        epochs=3.0, steps=12, seconds=0.25, precision="fp32", reason="all steps were taken"
    )
    made.environment = EnvironmentSection(python="3.11.7", cpu="a processor", threads=1)
    made.data.roles = {"target": ["y"], "numeric": [f"x_{k}" for k in range(12)], "sensitive": ["sex"]}
    made.files = {"model.safetensors": "0" * 64}
    area = {"value": 0.512, "low": 0.47, "high": 0.55}
    attack = {"attack": "loss", "members": 600, "others": 200, "reference_models": 0, "auc": area}
    made.privacy = {
        "epsilon": 2.98765,
        "delta": 1.2e-5,
        "unit": "patient",
        "headline": "ε = 2.99",
        "detail": "",
        "attack": attack,
    }
    made.fairness = {
        "headline": "1 difference found",
        "detail": "Widest: accuracy 0.70 for sex f, 0.81 for m.",
        "method": "each group against all others",
        "notions": {"accuracy": "equal accuracy"},
        "suppressed": {"sex": ["few"]},
        "minimum": 40,
        "comparisons": [
            {
                "attribute": "sex",
                "group": "f",
                "against": "m",
                "notion": "accuracy",
                "rate": 0.70123,
                "others": 0.81234,
                "difference": -0.11111,
                "low": -0.2,
                "high": -0.02,
                "found": True,
            }
        ],
    }
    phase = {"seconds": 0.25, "processor_seconds": 0.2, "joules": 40.0, "components": {"processor": 40.0}}
    source = {"component": "processor", "method": "12 W a thread", "measured": False, "band": 0.5}
    made.energy = {
        "headline": "16.4 mWh",
        "detail": "Modelled, give or take 50 %.",
        "joules": 59.112257,
        "low": 29.5,
        "high": 88.6,
        "measured_share": 0.0,
        "phases": {"train": phase},
        "sources": [{**source, "joules": 57.0}],
        "per_prediction": {"joules": 2.8e-4, "rows": 400, "low": 1e-4, "high": 4e-4},
        "carbon": {
            "grams": 0.0079,
            "grams_per_kwh": 481.0,
            "region": "World",
            "year": 2023,
            "source": "a table",
            "pue": 1.1,
        },
        "forecast": None,
        "budget_wh": None,
    }
    made.performance = {
        "headline": "1.9 ms an answer",
        "detail": "Fast.",
        "latency_ms": {"p50": 1.91, "p99": 3.2, "batch": 1},
        "peak_memory_bytes": 734003200,
        "parameters": 1234,
        "device": "cpu",
    }
    return sealed(Record.model_validate(plain(made)))
