"""Studies of a whole run: the planted bias is found, and goes when it is not planted; reasons name what was planted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import finance
from core.config import build
from core.report.run import Run
from core.targets.types import Predictions
from finance.simulate.transactions import SCHEMA, simulate
from finance.studies.predictive_equality import predictive_equality


def held(flagged: np.ndarray, names: np.ndarray, truth: np.ndarray) -> Any:
    scores = np.column_stack([1.0 - flagged, flagged.astype(float)])
    part = Predictions(
        scores, flagged.astype(np.int64), truth, ("no", "yes"), groups={"sex": names.astype(np.str_)}
    )
    return SimpleNamespace(parts={"test": part}, seed=0, resamples=200, confidence=0.95, min_group_rows=20)


def test_predictive_equality_by_hand() -> None:
    names = np.repeat(["f", "m", "x"], [100, 100, 5])
    truth = np.zeros(205, np.int64)
    truth[:20] = 1  # of the women; flagged or not, they say nothing of false alarms
    flagged = np.zeros(205, bool)
    flagged[:30] = True  # 10 of 80 women who are negative
    flagged[100:105] = True  # 5 of 100 men
    found = predictive_equality(held(flagged, names, truth), 0.05)
    rows = found.tables["False positive rate by sex"]
    assert [(r["group"], r["negatives"]) for r in rows] == [("f", 80), ("m", 100)]
    np.testing.assert_allclose([r["false positive rate"] for r in rows], [0.125, 0.05])
    gap = found.metrics["fpr_difference_sex"]
    assert gap.value == pytest.approx(0.075)
    assert gap.low < 0.075 < gap.high
    assert [g.passed for g in found.gates] == [False]
    assert "x" in found.notes[0]


def test_the_planted_bias_is_in_the_data_and_not_without_it() -> None:
    def large(bias: float) -> dict[str, float]:
        frame = simulate(6000, 1, bias).frame
        genuine = frame[frame["true_risk"] < 0.01]
        return dict((genuine["card_ratio"] > np.log1p(2.5)).groupby(genuine["residence"]).mean())

    biased, fair = large(1.0), large(0.0)
    assert biased["rural"] > 2 * biased["urban"]
    assert fair["rural"] < 1.5 * fair["urban"]


def test_what_was_planted_raises_the_risk() -> None:
    frame = simulate(6000, 0, 1.0).frame
    known = frame[frame["terminal_last"].notna()]
    rate = (known["fraud"] == "yes").groupby(known["terminal_last"] > 0.5).mean()
    assert rate[True] > 5 * rate[False]
    assert set(SCHEMA.features()) <= set(frame.columns)
    assert len(frame) == 6000


def test_studies_of_a_run(fraud_run: Run) -> None:
    studies = fraud_run.record.studies
    assert set(studies) == {"alerts", "costs", "drift", "latency", "predictive_equality", "reason_codes"}
    figures = {
        f"{name}.{key}": f.value for name, study in studies.items() for key, f in study.metrics.items()
    }
    recall = figures["alerts.amount_weighted_recall"]
    assert recall is not None
    assert 0 < recall <= 1
    precision, best = figures["alerts.card_precision_at_100"], figures["alerts.max_card_precision_at_100"]
    assert precision is not None
    assert best is not None
    assert 0 < precision <= best
    cost = {
        row["rule"]: row["cost per 1,000 rows"]
        for row in studies["costs"].tables["Cost of each rule on test"]
    }
    assert cost["cost-optimal"] < cost["flag everything"]
    flagged = {row["rule"]: row["alert rate"] for row in studies["costs"].tables["Cost of each rule on test"]}
    assert (flagged["flag nothing"], flagged["flag everything"]) == (0.0, 1.0)
    for key in (
        "reason_codes.top_reason_stability",
        "reason_codes.reason_jaccard",
        "reason_codes.explained_fraction",
    ):
        value = figures[key]
        assert value is not None
        assert 0.8 <= value <= 1.0, key
    fast, slow = figures["latency.p50_ms"], figures["latency.p99_ms"]
    assert fast is not None
    assert slow is not None
    assert 0 < fast <= slow
    reasons = pd.read_csv(fraud_run.path / "studies/reasons.csv")
    assert (reasons.groupby("row")["rank"].max() <= 3).all()
    assert reasons["code"].str.startswith("R").all()


def test_reasons_of_frauds_name_what_was_planted(fraud_run: Run) -> None:
    """Where a terminal's known frauds are behind an alert, they are among its reasons far more often than elsewhere."""
    config: Any = finance.train.configure("data.rows=2000")
    frame = build(config.data, config.task, 0).frame
    reasons = pd.read_csv(fraud_run.path / "studies/reasons.csv")
    named = reasons.groupby("row")["code"].apply(set)
    tampered = frame.loc[named.index, "terminal_risk_7d"] > 0.5
    terminal = named.map(lambda codes: "R5" in codes)
    assert tampered.any()
    assert terminal[tampered].mean() > 0.7
    assert terminal[tampered].mean() > terminal[~tampered].mean()


@pytest.mark.slow
def test_the_planted_bias_against_newcomers_is_found_and_without_it_there_is_none(tmp_path: Path) -> None:
    quick = (
        "training.progress=none",
        "baseline=none",
        "evaluation.resamples=50",
        "evaluation.resamples_slow=20",
    )
    gaps = {}
    for bias in (1, 0):
        asked = ("task=credit", f"task.simulated_bias={bias}", "threads=1")
        predictive_equality = finance.train(*asked, *quick, folder=tmp_path / str(bias)).record.studies[
            "predictive_equality"
        ]
        gaps[bias] = predictive_equality.metrics["fpr_difference_arrival"].value
        gate = next(g for g in predictive_equality.gates if g.name.endswith("arrival"))
        assert gate.passed == (bias == 0)
    assert gaps[1] > 0.05 > gaps[0]
