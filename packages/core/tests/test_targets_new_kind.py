"""A new kind of target is one file: this one, which nothing else knows, is trained, evaluated, explained and served."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_poisson_deviance
from torch.nn import functional

from core.config import RunConfig, TargetConfig, build, field, register
from core.config.registry import OPTIONS
from core.data.types import ColumnRoles, Dataset
from core.domain import Domain, Task
from core.oversight.declaration import Oversight
from core.report.predictions import read_predictions
from core.run.pipeline import train
from core.serving.load import load
from core.targets import restore
from core.targets.bootstrap_metrics import means
from core.targets.labels import single_column
from core.targets.metrics import LOWER_IS_BETTER, monitored
from core.targets.regression import RegressionTarget
from core.targets.types import target_type

if TYPE_CHECKING:
    from core.targets.types import Array, Metric, MetricSettings, Predictions, Statistic


# ---- the new kind: counts of events, with a Poisson likelihood


@register("target", "count", builds=f"{__name__}:CountTarget.fit")
class CountOption(TargetConfig):
    """How many events happen: a Poisson regression."""

    floor: float = field(1e-3, help="least predicted mean")


@dataclass
class CountTarget(RegressionTarget):
    """A count; the network's output is the logarithm of its mean."""

    kind: ClassVar[str] = "count"
    lower_is_better: ClassVar[tuple[str, ...]] = ("poisson_deviance",)

    floor: float = 1e-3

    @classmethod
    def fit(cls, config: CountOption, frame: pd.DataFrame, roles: ColumnRoles) -> CountTarget:
        """Fit to training rows, raising ValueError for what are no counts."""
        column = single_column(frame, roles, "count")
        counts = frame[column].dropna()
        if (counts < 0).any() or (counts % 1 != 0).any():
            raise ValueError(f"target column {column!r}: a count is a whole number, 0 or above")
        told = f"Column {column!r} holds counts up to {counts.max():g}."
        return cls(column, log=True, explanation=told, floor=config.floor)

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute each example's Poisson loss (B,)."""
        return functional.poisson_nll_loss(outputs.float().squeeze(-1), targets, reduction="none")

    def scores(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predicted means (B, 1)."""
        return outputs.float().exp().clamp_min(self.floor)

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics."""
        return {"poisson_deviance": poisson_deviance, **super().metrics()}

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return the weighted metrics."""
        return [means({"poisson_deviance": row_deviances}), *super().statistics(classes, settings)]


def row_deviances(p: Predictions) -> Array:
    """Compute each row's Poisson deviance."""
    mean, count = p.scores[:, 0], np.asarray(p.targets, np.float64)
    ratio = np.where(count > 0, count, 1.0) / mean
    return 2 * (np.where(count > 0, count * np.log(ratio), 0.0) - count + mean)


def poisson_deviance(p: Predictions) -> float:
    """Compute the mean Poisson deviance."""
    return float(row_deviances(p).mean()) if len(p) else float("nan")


# ---- a task to run it in


def visits(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"severity": rng.normal(size=rows), "age": rng.normal(50, 9, rows)})
    frame["sex"] = rng.choice(["f", "m"], rows)
    frame["visits"] = rng.poisson(np.exp(2.0 + 0.8 * frame.severity)).astype(float)
    return frame


@register("task", "visits_for_tests")
class Visits(Task):
    """Visits to a clinic."""

    name: ClassVar[str] = "visits_for_tests"
    purpose: ClassVar[str] = "To plan rooms."
    oversight: ClassVar[Oversight] = Oversight(
        "Planning.", ("patients",), ("Nothing else.",), ("Always.",), "the head"
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        roles = ColumnRoles(target=("visits",), numeric=("severity", "age"), sensitive=("sex",))
        return Dataset(
            visits(rows, seed), roles, "simulated visits", simulated=True, ground_truth={"signal": "severity"}
        )


ROOMS = (
    "data",
    "backbones",
    "targets",
    "training",
    "privacy",
    "evaluation",
    "fairness",
    "explanation",
    "oversight",
    "energy",
)


def config() -> RunConfig:
    for room in ROOMS:
        importlib.import_module(f"core.{room}.config")  # registers its options
    chosen: dict[str, tuple[str, dict[str, Any]]] = {
        "task": ("visits_for_tests", {}),
        "data": ("simulated", {"rows": 500}),
        "encoder": ("columns", {}),
        "target": ("count", {}),
        "backbone": ("tabular", {"hidden_size": 16, "num_layers": 1}),
        "adapter": ("full", {}),
        "augmentation": ("none", {}),
        "optimizer": ("adamw", {"lr": 0.01}),
        "schedule": ("cosine", {}),
        "training": ("standard", {"epochs": 6, "progress": "none", "monitor": "poisson_deviance"}),
        "privacy": ("none", {}),
        "evaluation": ("standard", {"resamples": 50, "resamples_slow": 20, "min_group_rows": 30}),
        "baseline": ("auto", {}),
        "fairness": ("audit", {}),
        "explanation": ("standard", {"rows": 30}),
        "oversight": ("standard", {}),
        "energy": ("measured", {}),
    }
    return RunConfig(
        seed=1, **{group: OPTIONS[group, name](**keys) for group, (name, keys) in chosen.items()}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train(config(), tmp_path_factory.mktemp("runs") / "count", Domain("counting", "Counts", ()))


def test_it_is_trained_and_evaluated_with_its_own_metric(run: Any) -> None:
    record = run.record
    assert next(iter(record.metrics)) == "poisson_deviance"
    test = run.predictions("test")
    found = record.metrics["poisson_deviance"]
    assert found.value == pytest.approx(mean_poisson_deviance(test.targets, test.scores[:, 0]))
    assert found.low < found.value < found.high
    assert found.value < 0.75 * mean_poisson_deviance(test.targets, np.full(len(test), test.targets.mean()))
    assert not record.intervals.without_weighted_form
    assert record.baseline.name == "boosting"
    assert record.baseline.difference["poisson_deviance"].low is not None
    assert set(record.groups["sex"].groups) == {"f", "m"}


def test_every_concern_is_measured(run: Any) -> None:
    record = run.record
    assert record.uncertainty.coverage.value == pytest.approx(0.9, abs=0.1)
    assert "mean absolute error" in record.fairness.metrics
    assert record.explanation.importance[0].name == "severity"
    assert (run.path / "report.html").read_text().count("Poisson deviance") > 0


def test_it_is_served_as_it_was_evaluated(run: Any) -> None:
    loaded = load(run.path)
    frame = visits(20, 9)
    served = loaded.predict(frame.drop(columns="visits"))
    assert {"prediction", "decision", "confidence", "low", "high"} <= set(served)
    assert ((served["low"] <= served["prediction"]) & (served["prediction"] <= served["high"])).all()
    kept = read_predictions(run.path / "predictions.parquet", "test")
    assert kept.type is CountTarget is target_type("count")


def test_its_state_comes_back_and_what_is_no_count_is_refused() -> None:
    frame, roles = visits(40, 2), ColumnRoles(target=("visits",))
    target = build(CountOption(floor=0.1), frame, roles)
    assert restore(target.state()) == target
    with pytest.raises(ValueError, match="'visits': a count is a whole number"):
        build(CountOption(), frame.assign(visits=-1.0), roles)
    assert "poisson_deviance" in LOWER_IS_BETTER
    assert monitored(target, "auto") == "poisson_deviance"
