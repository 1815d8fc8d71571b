"""The whole evaluation: nothing of test decides anything, groups, pairs, JSON, saved runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from core.evaluation.config import Boosting, Logistic, StandardEvaluation
from core.evaluation.evaluate import compare, evaluate, evaluate_again
from core.evaluation.section import CalibrationSection, ThresholdsSection
from core.report.record import plain
from core.targets.binary import BinaryTarget
from core.targets.metrics import accuracy
from core.targets.multiclass import MulticlassTarget
from core.targets.types import FittedBaseline, Predictions

TARGET = BinaryTarget("y", ("no", "yes"))
CONFIG = StandardEvaluation(resamples=60, resamples_slow=40, min_group_rows=30)


def part(n: int, seed: int, noise: float = 1.0) -> Predictions:
    """Make overconfident scores, a sensitive attribute with a small group, and two rows a patient."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-(1.5 * x - 1)))).astype(np.int64)
    chance = 1 / (1 + np.exp(-(3 * (x + noise * rng.normal(size=n)) - 2)))
    sex = rng.choice(["female", "male"], n).astype(np.str_)
    race = np.where(np.arange(n) < 8, "few", "many").astype(np.str_)
    units = (np.arange(n) // 2).astype(np.str_)
    scores = np.column_stack([1 - chance, chance])
    groups = {"sex": sex, "race": race}
    return Predictions(
        scores, TARGET.labels(scores), truth, TARGET.classes, "binary", groups, units, np.arange(n)
    )


def test_no_choice_depends_on_test() -> None:
    """Turning the test truth round changes metrics, and neither thresholds nor recalibration."""
    validation, test = part(600, 0), part(400, 1)
    honest = evaluate(validation, test, TARGET, CONFIG)
    turned = evaluate(validation, replace(test, targets=1 - test.targets), TARGET, CONFIG)
    for key in ("values", "cuts", "prevalence", "cost_threshold"):
        assert getattr(honest.thresholds, key) == getattr(turned.thresholds, key)
    assert honest.calibration.recalibration == turned.calibration.recalibration
    assert honest.metrics["auroc"].value == pytest.approx(1 - turned.metrics["auroc"].value)


def test_labels_and_scores_are_the_decided_ones() -> None:
    e = evaluate(part(600, 0), part(400, 1), TARGET, CONFIG)
    cut = e.decisions["yes"]
    test = e.parts["test"]
    assert (test.labels == (test.scores[:, 1] >= cut)).all()
    assert e.calibration.recalibration.method == "platt"
    assert e.metrics["brier"].value < np.mean((part(400, 1).scores[:, 1] - part(400, 1).targets) ** 2)
    assert e.thresholds.points["youden"].test.sensitivity == pytest.approx(e.metrics["sensitivity"].value)
    spec = e.thresholds.points["specificity"]
    assert spec.validation.specificity >= 0.9
    assert spec.test.sensitivity == pytest.approx(e.metrics["sensitivity_at_90_specificity"].value)


def test_every_metric_has_an_interval_that_holds_it_and_is_json() -> None:
    e = evaluate(part(600, 0), part(400, 1), TARGET, CONFIG, {"own": lambda p: accuracy(p) / 2})
    for name, estimate in e.metrics.items():
        if name != "ece":  # resampling only ever adds to a distance: its interval lies above it
            assert estimate.low <= estimate.value <= estimate.high, name
    assert e.intervals.without_weighted_form == ["own"]
    assert e.metrics["own"].resamples == 40
    assert e.intervals.resampled == "units"
    json.dumps(plain(e.sections()), allow_nan=False)
    assert next(iter(e.metrics)) == next(iter(TARGET.metrics()))
    monitored = evaluate(part(600, 0), part(400, 1), TARGET, CONFIG, monitor="brier")
    assert next(iter(monitored.metrics)) == "brier"


def test_a_tasks_own_metric_goes_before_a_default_one_of_its_name() -> None:
    e = evaluate(part(600, 0), part(400, 1), TARGET, CONFIG, {"ppv": lambda p: 0.25})
    assert e.metrics["ppv"].value == 0.25
    assert e.intervals.without_weighted_form == ["ppv"]


def test_groups_and_pairs_are_shown_and_small_ones_suppressed() -> None:
    e = evaluate(part(600, 0), part(400, 1), TARGET, CONFIG)
    assert set(e.groups) == {"sex", "race", "sex × race"}
    assert e.groups["race"].suppressed == ["few"]
    female = e.parts["test"].take(e.parts["test"].groups["sex"] == "female")
    shown = e.groups["sex"].groups["female"]
    assert shown.rows == len(female)
    assert shown.metrics["accuracy"].value == pytest.approx(accuracy(female))
    assert shown.metrics.keys() == e.metrics.keys()


def test_a_saved_run_judges_new_data_as_it_decided() -> None:
    validation, test = part(600, 0), part(400, 1)
    e = evaluate(validation, test, TARGET, CONFIG)
    stored = json.loads(json.dumps(plain({"calibration": e.calibration, "thresholds": e.thresholds})))
    again = evaluate_again(
        test,
        TARGET,
        CONFIG,
        CalibrationSection.model_validate(stored["calibration"]),
        ThresholdsSection.model_validate(stored["thresholds"]),
    )
    assert again.metrics == e.metrics
    assert again.validation_metrics == {}


def test_a_model_against_itself_differs_by_nothing() -> None:
    validation, test = part(600, 0), part(400, 1)
    e = evaluate(validation, test, TARGET, CONFIG, seed=5)
    twin = compare(e, FittedBaseline("boosting", validation, test, {}), TARGET, CONFIG, seed=5)
    assert all(d.value == d.low == d.high == 0 for d in twin.section.difference.values())


def test_pairing_narrows_the_difference() -> None:
    """Two models that err on the same rows: the paired interval is far narrower than the two apart."""
    validation, test = part(600, 0, noise=0.0), part(400, 1, noise=0.0)
    rng = np.random.default_rng(2)

    def shaken(p: Predictions) -> Predictions:
        odds = np.log(p.scores[:, 1] / p.scores[:, 0]) + 0.2 * rng.normal(size=len(p))
        chance = 1 / (1 + np.exp(-odds))
        return replace(p, scores=np.column_stack([1 - chance, chance]))

    e = evaluate(validation, test, TARGET, CONFIG)
    other = compare(e, FittedBaseline("x", shaken(validation), shaken(test), {}), TARGET, CONFIG)
    apart = other.section.difference["auroc"].high - other.section.difference["auroc"].low
    assert apart < 0.5 * (e.metrics["auroc"].high - e.metrics["auroc"].low)
    expected = e.metrics["auroc"].value - other.evaluation.metrics["auroc"].value
    assert other.section.difference["auroc"].value == pytest.approx(expected)


def test_several_classes() -> None:
    target = MulticlassTarget("y", ("a", "b", "c"), (1.0, 1.0, 1.0), ())
    rng = np.random.default_rng(3)

    def some(n: int) -> Predictions:
        truth = rng.integers(3, size=n)
        z = np.eye(3)[truth] + rng.normal(size=(n, 3))
        scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return Predictions(scores, scores.argmax(axis=1), truth, target.classes, "multiclass")

    e = evaluate(some(300), some(300), target, CONFIG)
    assert e.thresholds.values == {}
    assert e.intervals.resampled == "rows"
    assert sum(map(sum, e.curves.confusion.counts)) == 300
    assert set(e.curves.roc) == {"a", "b", "c"}
    assert e.metrics["auroc_a"].low < e.metrics["auroc_a"].value


def test_an_empty_part_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="validation set has no rows"):
        evaluate(part(10, 0).take(np.zeros(10, bool)), part(10, 1), TARGET, CONFIG)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("confidence", 95.0),
        ("threshold_rule", "best"),
        ("resamples", 3),
        ("cost_false_negative", 0.0),
        ("decision_thresholds", [0.0]),
        ("recalibration", "isotonic"),
        ("prevalence", 1.5),
    ],
)
def test_wrong_settings_name_key_and_value(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"evaluation.{key}="):
        StandardEvaluation(**{key: value})


def test_wrong_baseline_settings_name_key_and_value() -> None:
    with pytest.raises(ValueError, match=r"baseline\.C_grid=\[\]"):
        Logistic(C_grid=[])
    with pytest.raises(ValueError, match=r"baseline\.max_rows=5"):
        Boosting(max_rows=5)


def test_options_import_nothing_heavy() -> None:
    code = (
        "import sys, core.evaluation.config, core.report; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
