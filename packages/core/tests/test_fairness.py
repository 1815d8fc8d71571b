"""The audit finds what is planted, stays quiet where nothing is, and counts as fairlearn and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, equalized_odds_difference, selection_rate, true_positive_rate

from core.config import build
from core.config.section import Estimate
from core.evaluation.intervals import resampled_weights
from core.fairness.audit import audit
from core.fairness.config import AuditConfig, NoFairnessConfig
from core.fairness.run_comparison import compare_runs, row_mismatch
from core.fairness.section import Comparison
from core.report.sentences import fairness as sentences
from core.targets.types import Array, Predictions


def weights(p: Predictions, resamples: int = 300, seed: int = 0) -> Iterator[Array]:
    return resampled_weights(len(p), p.units, resamples, seed)


def width_of(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def binary(rows: int, seed: int, gap: float) -> Predictions:
    """Positives of group B are missed more often by ``gap``; nothing else differs."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["A", "B", "C"], rows, p=[0.5, 0.4, 0.1])
    age = rng.choice(["young", "old"], rows)
    truth = rng.integers(0, 2, rows)
    right = np.where(truth == 1, 0.8 - gap * (group == "B"), 0.8)
    called = np.where(rng.random(rows) < right, truth, 1 - truth)
    chance = np.where(called == 1, 0.8, 0.2)
    scores = np.column_stack([1 - chance, chance])
    groups = {"race": group.astype(np.str_), "age": age.astype(np.str_)}
    return Predictions(scores, called, truth, ("no", "yes"), "binary", groups, None, np.arange(rows))


def found(p: Predictions, seed: int = 0) -> list[Comparison]:
    section = audit(p, weights(p, seed=seed), 0.95, 50, "row")
    return [line for line in section.comparisons if line.found]


def test_a_planted_difference_is_found_with_its_size() -> None:
    p = binary(4000, 0, 0.3)
    section = audit(p, weights(p), 0.95, 50, "row")
    line = next(x for x in section.comparisons if (x.group, x.metric) == ("B", "true positive rate"))
    assert line.found
    assert line.difference.low < -0.3 < line.difference.high
    assert "found" in sentences.headline(section)
    assert "B" in sentences.detail(section)


def test_without_a_difference_false_alarms_stay_at_the_stated_level() -> None:
    """At 95 % over all comparisons of a run, 40 runs have 2 alarms on average; 7 or more have a chance below 0.5 %."""
    alarms = sum(bool(found(binary(1500, 100 + n, 0.0), seed=n)) for n in range(40))
    assert alarms <= 6


def test_rates_are_counted_as_by_hand_and_gaps_as_fairlearn_does() -> None:
    p = binary(2000, 3, 0.2)
    section = audit(p, weights(p), 0.95, 10, "row")
    rates = section.by_group["race"]
    b = p.groups["race"] == "B"
    assert rates["true positive rate"].groups["B"] == pytest.approx(p.labels[b & (p.targets == 1)].mean())
    assert rates["false positive rate"].groups["B"] == pytest.approx(p.labels[b & (p.targets == 0)].mean())
    odds = max(rates[n].largest_difference for n in ("true positive rate", "false positive rate"))
    theirs = equalized_odds_difference(p.targets, p.labels, sensitive_features=p.groups["race"])
    assert odds == pytest.approx(theirs)
    line = next(x for x in section.comparisons if (x.group, x.metric) == ("B", "selection rate"))
    assert line.difference.value == pytest.approx(p.labels[b].mean() - p.labels[~b].mean())


def test_pairs_of_attributes_are_compared_and_small_groups_are_named() -> None:
    p = binary(900, 1, 0.0)
    p.groups["race"][:5] = "D"
    section = audit(p, weights(p), 0.95, 60, "row")
    assert section.suppressed["race"] == ["D"]
    assert any(x.attribute == "race × age" for x in section.comparisons)
    assert all(x.group != "D" for x in section.comparisons)
    assert "D" not in section.by_group["race"]["accuracy"].groups
    without = audit(p, weights(p), 0.95, 60, "row", intersections=False)
    assert all(" × " not in x.attribute for x in without.comparisons)


def test_two_groups_are_compared_once() -> None:
    p = binary(900, 1, 0.0)
    lines = audit(replace(p, groups={"age": p.groups["age"]}), weights(p), 0.95, 60, "row").comparisons
    assert {(x.group, x.against) for x in lines} == {("old", "young")}
    assert len(lines) == len(p.type.fairness_metrics(p))


def test_whole_units_are_resampled() -> None:
    """Ten equal rows a unit: intervals must be about as wide as those of one row a unit."""
    p = binary(1500, 5, 0.0)
    ten = p.take(np.repeat(np.arange(1500), 10))
    units = np.repeat(np.arange(1500), 10).astype(np.str_)
    single = audit(p, weights(p), 0.95, 60, "row").comparisons
    cloned = replace(ten, units=units)
    many = audit(cloned, weights(cloned), 0.95, 60, "unit").comparisons
    width = {(x.group, x.metric, x.attribute): width_of(x.difference) for x in single}
    for x in many:
        assert width_of(x.difference) == pytest.approx(width[x.group, x.metric, x.attribute], rel=0.4)


def of_kind(kind: str, rows: int = 900) -> Predictions:
    """Predictions of any kind, served worse to f; small images and short texts."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["f", "m"], rows, p=[0.4, 0.6]).astype(np.str_)
    f = sex == "f"
    truth, classes = rng.integers(0, 3, rows), ("a", "b", "c")
    labels = np.where(rng.random(rows) < np.where(f, 0.45, 0.8), truth, rng.integers(0, 3, rows))
    scores = rng.dirichlet(np.ones(3), rows)
    slots: tuple[str, ...] = ()
    if kind == "binary":
        truth, labels, scores, classes = truth % 2, labels % 2, scores[:, :2], ("no", "yes")
    if kind == "regression":
        truth = truth * 1.5
        labels = truth + rng.normal(np.where(f, 0.6, 0.0), 0.4)
        scores = labels[:, None]
    if kind == "multilabel":
        truth = rng.integers(0, 2, (rows, 3))
        flipped = rng.random((rows, 3)) < np.where(f, 0.4, 0.1)[:, None]
        labels = np.where(flipped, 1 - truth, truth)
    if kind == "intent_slots":
        words = np.where(rng.random((rows, 4)) < 0.5, 1, 0)  # slots of one word: B of the only slot, or O
        given = np.where(rng.random((rows, 4)) < np.where(f, 0.3, 0.05)[:, None], 1 - words, words)
        truth, labels = np.column_stack([truth, words]), np.column_stack([labels, given])
        scores = np.column_stack([scores, np.full(rows, 0.5), given])
        slots = ("thing",)
    if kind == "segmentation":
        rows = 150
        sex, f = sex[:rows], f[:rows]
        truth = rng.integers(0, 3, (rows, 8, 8)).astype(np.uint8)
        hit = rng.random((rows, 8, 8)) < np.where(f, 0.7, 0.9)[:, None, None]
        other = rng.integers(0, 3, (rows, 8, 8))
        labels, scores = np.where(hit, truth, other).astype(np.uint8), scores[:rows]
    return Predictions(scores, labels, truth, classes, kind, {"sex": sex}, None, np.arange(rows), slots=slots)


def by_hand(p: Predictions, side: np.ndarray) -> dict[str, float]:
    """One or two rates of each kind, counted another way."""
    truth, labels = p.targets[side], p.labels[side]
    if p.kind == "segmentation":
        return {
            "recall of b": float((labels[truth == 1] == 1).mean()),
            "pixel accuracy": float((labels == truth).mean()),
        }
    if p.kind == "intent_slots":
        hits = (labels[:, 1:] == 1) & (truth[:, 1:] == 1)
        return {
            "intent accuracy": float((labels[:, 0] == truth[:, 0]).mean()),
            "exact match": float((labels == truth).all(1).mean()),
            "slot recall": float(hits.sum() / (truth[:, 1:] == 1).sum()),
        }
    if p.kind == "multilabel":
        return {
            "true positive rate of labels": float(labels[truth == 1].mean()),
            "false positive rate of labels": float(labels[truth == 0].mean()),
            "labels per row": float(labels.sum(1).mean()),
        }
    if p.kind == "regression":
        return {"mean error": float((labels - truth).mean()), "mean prediction": float(labels.mean())}
    common = {"accuracy": float((labels == truth).mean())}
    if p.kind == "binary":
        return common | {
            "false positive rate": float(labels[truth == 0].mean()),
            "selection rate": float(labels.mean()),
        }
    common |= {
        "recall of c": float((labels[truth == 2] == 2).mean()),
        "false positive rate of a": float((labels[truth != 0] == 0).mean()),
    }
    if p.kind == "ordinal":
        common |= {
            "mean error in steps": float((labels - truth).mean()),
            "mean predicted step": float(labels.mean()),
        }
    return common


KINDS = ("binary", "multiclass", "ordinal", "regression", "multilabel", "intent_slots", "segmentation")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_audited_by_its_metrics(kind: str) -> None:
    p = of_kind(kind)
    section = audit(p, weights(p), 0.95, 50, "row")
    assert {x.metric for x in section.comparisons} == {metric.name for metric in p.type.fairness_metrics(p)}
    for group in ("f", "m"):
        for name, rate in by_hand(p, p.groups["sex"] == group).items():
            assert section.by_group["sex"][name].groups[group] == pytest.approx(rate), name
    assert any(x.found for x in section.comparisons), "what is planted is found in every kind"
    worst = section.worst_off["sex"]
    assert worst.group == "f"
    assert worst.rate == section.by_group["sex"][worst.metric].groups["f"]


@pytest.mark.parametrize("kind", KINDS)
def test_equalized_odds_are_the_wider_of_both_gaps(kind: str) -> None:
    p = of_kind(kind)
    section = audit(p, weights(p), 0.95, 50, "row")
    if kind in ("regression", "intent_slots"):  # no rate of false positives
        assert section.equalized_odds == []
        return
    (odds,) = section.equalized_odds
    parts = {n.name for n in p.type.fairness_metrics(p) if n.odds}
    lines = [x for x in section.comparisons if x.metric in parts]
    assert odds.value == pytest.approx(max(abs(x.difference.value) for x in lines))
    assert 0 <= odds.low <= odds.value <= odds.high
    assert odds.found == (odds.low > 0)
    if kind == "binary":
        theirs = equalized_odds_difference(p.targets, p.labels, sensitive_features=p.groups["sex"])
        assert odds.value == pytest.approx(theirs)


def test_ratios_are_fairlearn_s_and_have_intervals() -> None:
    p = of_kind("binary")
    section = audit(p, weights(p, 1000), 0.95, 50, "row")
    lines = {x.metric: x for x in section.comparisons}
    selected = lines["selection rate"]
    frame = MetricFrame(
        metrics={"s": selection_rate, "tpr": true_positive_rate},
        y_true=p.targets, y_pred=p.labels, sensitive_features=p.groups["sex"],
    )  # fmt: skip
    assert selected.ratio.value == pytest.approx(frame.by_group["s"]["f"] / frame.by_group["s"]["m"])
    for name, theirs in (("selection rate", "s"), ("true positive rate", "tpr")):
        own = section.by_group["sex"][name]
        assert own.largest_difference == pytest.approx(frame.difference()[theirs])
        assert own.smallest_ratio == pytest.approx(frame.ratio()[theirs])
    for line in lines.values():
        if line.metric == "calibration gap":  # a difference already: its ratio means nothing
            assert line.ratio is None
        else:
            assert line.ratio.low < line.ratio.value < line.ratio.high
            assert (line.ratio.value < 1) == (line.difference.value < 0)


def test_single_classes_are_left_out_where_there_are_many() -> None:
    p = of_kind("multiclass")
    many = replace(p, classes=tuple(f"c{k}" for k in range(40)))
    assert {n.name for n in many.type.fairness_metrics(many)} == {"accuracy", "calibration gap"}


def test_a_small_group_without_a_mistake_is_no_alarm() -> None:
    """None of 25 is wrong where 8 % are: no resample shows a mistake, and the bare bootstrap would be certain."""
    p = binary(2500, 0, 0.0)
    truth = np.ones(2500, np.int64)
    group = np.where(np.arange(2500) < 25, "few", "many").astype(np.str_)
    labels = np.where((np.arange(2500) % 12 == 0) & (group == "many"), 0, 1)
    p = replace(p, targets=truth, labels=labels, groups={"g": group})
    section = audit(p, weights(p), 0.95, 20, "row")
    line = next(x for x in section.comparisons if x.metric == "true positive rate")
    assert line.rate == 1.0 > line.others
    assert not line.found


def test_few_units_make_wide_intervals_and_too_few_none() -> None:
    p = binary(600, 4, 0.0)
    p = replace(p, groups={"age": p.groups["age"]})
    old = p.groups["age"] == "old"
    for units, expected in ((4, 0), (6, len(p.type.fairness_metrics(p)))):
        names = np.where(old, np.arange(600) % units, 100 + np.arange(600)).astype(np.str_)
        some = replace(p, units=names)
        lines = audit(some, weights(some), 0.95, 50, "unit").comparisons
        assert len(lines) == expected
    wide = lines[0]
    free = next(x for x in audit(p, weights(p), 0.95, 50, "row").comparisons if x.metric == wide.metric)
    assert width_of(wide.difference) > width_of(free.difference)


def narrowed(p: Predictions, seed: int = 7) -> Predictions:
    """The same rows with decisions that miss nobody of group B more often."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(len(p)) < 0.8, p.targets, 1 - p.targets)
    return replace(p, labels=labels)


def test_gaps_beside_a_baseline_are_paired_and_found() -> None:
    there = binary(3000, 0, 0.3)
    here = narrowed(there)
    lines = compare_runs(here, there, lambda: weights(here), 0.95, 50)
    line = next(x for x in lines if (x.group, x.metric) == ("B", "true positive rate"))
    ours, theirs = (
        next(
            x for x in audit(p, weights(p), 0.95, 50, "row").comparisons
            if (x.group, x.metric) == ("B", "true positive rate")
        )
        for p in (here, there)
    )  # fmt: skip
    assert line.difference_here == pytest.approx(ours.difference.value)
    assert line.difference_there == pytest.approx(theirs.difference.value)
    assert line.change.value == pytest.approx(ours.difference.value - theirs.difference.value)
    assert line.change.low < 0.3 < line.change.high
    assert line.found
    assert not line.wider


def test_a_run_beside_itself_changes_nothing_and_a_nearly_equal_one_is_no_alarm() -> None:
    p = binary(2000, 1, 0.2)
    assert compare_runs(p, p, lambda: weights(p), 0.95, 50) == []
    labels = p.labels.copy()
    labels[::100] = 1 - labels[::100]
    lines = compare_runs(replace(p, labels=labels), p, lambda: weights(p), 0.95, 50)
    assert lines
    assert not any(x.found for x in lines)
    assert max(width_of(x.change) for x in lines if x.attribute == "age") < 0.1, "paired, so narrow"


def test_other_rows_are_told_apart() -> None:
    p = binary(100, 0, 0.0)
    assert row_mismatch(p, replace(p, labels=1 - p.labels)) == ""
    assert row_mismatch(p, p.take(np.arange(50))) == "other test rows"
    assert "labels" in row_mismatch(p, replace(p, targets=1 - p.targets))
    assert "attributes" in row_mismatch(p, replace(p, groups={"race": p.groups["race"]}))
    assert "groups" in row_mismatch(p, replace(p, groups={**p.groups, "race": p.groups["age"]}))
    assert "target" in row_mismatch(p, replace(p, classes=("a", "b")))


def test_nobody_named_is_no_audit_and_settings_are_checked() -> None:
    p = replace(binary(100, 0, 0.0), groups={})
    assert build(AuditConfig()).audit(p, weights(p), 50, "row") is None
    assert build(NoFairnessConfig()).audit(binary(100, 0, 0.0), weights(p), 50, "row") is None
    with pytest.raises(ValueError, match=r"fairness\.confidence=1\.5"):
        AuditConfig(confidence=1.5)


def test_all_groups_too_small_says_so() -> None:
    p = binary(60, 0, 0.0)
    section = audit(p, weights(p), 0.95, 500, "row")
    assert section.comparisons == []
    assert sentences.headline(section) == "Groups too small to compare"
