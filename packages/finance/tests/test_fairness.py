"""Whole runs on simulated clients: the planted bias is found, each mitigation at least halves it, and it is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import core
import finance
from core.report.run import Run
from core.report.sentences import fairness as sentences

QUICK = (
    "task=credit",
    "training.epochs=4",
    "evaluation.studies=false",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "explanation=none",
    "oversight=none",
    "energy=none",
    "training.progress=none",
)


def run(folder: Path, *overrides: str) -> Run:
    found: Run = finance.train(*QUICK, *overrides, folder=folder)
    return found


@pytest.fixture(scope="module")
def unfair(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("runs") / "audit", "data.rows=6000")


def gap(found: Run, rate: str = "false positive rate") -> float:
    assert found.record.fairness is not None
    rates = found.record.fairness.by_group["arrival"][rate].groups
    newcomer, settled = rates["newcomer"], rates["settled"]
    assert newcomer is not None
    assert settled is not None
    return newcomer - settled


@pytest.mark.slow
def test_the_planted_bias_is_found_and_is_the_truth(unfair: Run) -> None:
    bias = unfair.record.data.ground_truth["bias"]
    flagged = {(x.attribute, x.group, x.metric) for x in unfair.record.fairness.comparisons if x.found}
    assert (bias["attribute"], bias["against"], "false positive rate") in flagged
    assert gap(unfair) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["threshold", "penalty", "decorrelate"])
def test_a_mitigation_at_least_halves_it_and_reports_its_cost(tmp_path: Path, unfair: Run, how: str) -> None:
    stronger = ("fairness.weight=60",) if how == "penalty" else ()  # its 172 steps are few
    beside = (f"fairness={how}", f"fairness.reference_run={unfair.path}")
    mended = run(tmp_path / how, "data.rows=6000", *beside, *stronger)
    section = mended.record.fairness
    assert section is not None
    assert section.mitigation is not None
    assert section.mitigation.option == how
    assert section.mitigation.attributes == ["arrival"]
    assert abs(gap(mended)) < gap(unfair) / 2
    (line,) = [
        x
        for x in section.reference_run.comparisons
        if (x.attribute, x.group, x.metric) == ("arrival", "newcomer", "false positive rate")
    ]
    assert line.difference_there == pytest.approx(gap(unfair))
    assert line.difference_here == pytest.approx(gap(mended))
    assert line.found
    assert not line.wider
    cost, decisions = section.reference_run.utility_costs
    assert cost.metric == "auroc"
    assert cost.value == pytest.approx(mended.metrics["auroc"].value - unfair.metrics["auroc"].value)
    assert cost.low > -0.05
    assert decisions.metric == "balanced_accuracy"
    assert decisions.high > -0.05
    assert "Against the reference run" in sentences.detail(section)


SMALL = ("data.rows=1200", "training.epochs=2", "fairness.intersections=false")


@pytest.fixture(scope="module")
def by_thresholds(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("runs") / "threshold", *SMALL, "fairness=threshold")


def rows(found: Run) -> pd.DataFrame:
    from finance.simulate.clients import simulate

    return simulate(1200, 5, 1.0).frame.drop(columns=["default", "true_risk"])


def test_served_rows_are_decided_by_their_group_s_threshold(by_thresholds: Run) -> None:
    loaded, frame = core.load(by_thresholds.path), rows(by_thresholds)
    table = loaded.predict(frame)
    own = by_thresholds.record.thresholds.by_group.values
    assert own["newcomer"]["yes"] != own["settled"]["yes"]
    bar = np.array([own[group]["yes"] for group in frame["arrival"]])
    assert (table["prediction"] == np.where(table["score:yes"] >= bar, "yes", "no")).all()
    with pytest.raises(ValueError, match=r"column 'arrival': not in the table; .*fairness=threshold"):
        loaded.predict(frame.drop(columns="arrival"))


def test_kept_predictions_follow_the_same_thresholds(by_thresholds: Run) -> None:
    own = by_thresholds.record.thresholds.by_group.values
    test = by_thresholds.predictions()
    bar = np.array([own[group]["yes"] for group in test.groups["arrival"]])
    assert np.array_equal(test.labels, (test.scores[:, 1] >= bar).astype(int))


def test_decorrelated_inputs_come_back_with_the_run(tmp_path: Path) -> None:
    made = run(tmp_path / "run", *SMALL, "fairness=decorrelate")
    loaded, frame = core.load(made.path), rows(made)
    assert np.isfinite(loaded.predict(frame)["score:yes"]).all()
    with pytest.raises(ValueError, match=r"column 'arrival': not in the table; .*fairness=decorrelate"):
        loaded.predict(frame.drop(columns="arrival"))


def test_a_baseline_of_other_rows_is_refused(tmp_path: Path, by_thresholds: Run) -> None:
    with pytest.raises(
        ValueError, match=r"fairness\.reference_run=.*evaluated on other test rows; train it with the same"
    ):
        run(tmp_path / "other", *SMALL, "seed=1", f"fairness.reference_run={by_thresholds.path}")


def test_privacy_cost_by_group_is_told_and_given_weights_are_allowed(
    tmp_path: Path, by_thresholds: Run
) -> None:
    private = run(
        tmp_path / "private",
        *SMALL,
        "privacy=dp",
        "fairness=reweight",
        "+fairness.weights.newcomer=2.0",
        f"fairness.reference_run={by_thresholds.path}",
    )
    section = private.record.fairness
    assert section.reference_run.epsilon_here == pytest.approx(private.record.privacy.epsilon)
    assert section.reference_run.epsilon_there is None
    assert "Privacy cost by group" in sentences.detail(section)
    assert section.mitigation.settings["weights"] == {"newcomer": 2.0}


def test_what_counts_training_rows_is_refused_before_data_are_read(tmp_path: Path) -> None:
    for how in ("reweight", "dro", "penalty", "decorrelate"):
        with pytest.raises(ValueError, match=rf"fairness='{how}'"):
            run(tmp_path / how, "privacy=dp", f"fairness={how}", "data.rows=100")
        assert not (tmp_path / how).exists()
