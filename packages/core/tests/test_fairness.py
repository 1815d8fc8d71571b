"""The audit finds what is planted, stays quiet where nothing is, and counts as fairlearn and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import equalized_odds_difference

from core.evaluation.intervals import resampled_weights
from core.fairness.audit import audit
from core.fairness.config import AuditOption, NoAudit
from core.fairness.notions import notions
from core.targets.types import Array, Predictions


def weights(p: Predictions, resamples: int = 300, seed: int = 0) -> Iterator[Array]:
    return resampled_weights(len(p), p.units, resamples, seed)


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


def found(p: Predictions, seed: int = 0) -> list[dict[str, object]]:
    section = audit(p, weights(p, seed=seed), 0.95, 50, "row")
    return [line for line in section["comparisons"] if line["found"]]


def test_a_planted_difference_is_found_with_its_size() -> None:
    p = binary(4000, 0, 0.3)
    section = audit(p, weights(p), 0.95, 50, "row")
    line = next(x for x in section["comparisons"] if (x["group"], x["notion"]) == ("B", "true positive rate"))
    assert line["found"]
    assert line["low"] < -0.3 < line["high"]
    assert "found" in section["headline"]
    assert "B" in section["detail"]


def test_without_a_difference_false_alarms_stay_at_the_stated_level() -> None:
    """At 95 % over all comparisons of a run, 40 runs have 2 alarms on average; 7 or more have a chance below 0.5 %."""
    alarms = sum(bool(found(binary(1500, 100 + n, 0.0), seed=n)) for n in range(40))
    assert alarms <= 6


def test_rates_are_counted_as_by_hand_and_gaps_as_fairlearn_does() -> None:
    p = binary(2000, 3, 0.2)
    section = audit(p, weights(p), 0.95, 10, "row")
    rates = section["by_group"]["race"]
    b = p.groups["race"] == "B"
    assert rates["true positive rate"]["B"] == pytest.approx(p.labels[b & (p.targets == 1)].mean())
    assert rates["false positive rate"]["B"] == pytest.approx(p.labels[b & (p.targets == 0)].mean())
    odds = max(rates[n]["widest difference"] for n in ("true positive rate", "false positive rate"))
    theirs = equalized_odds_difference(p.targets, p.labels, sensitive_features=p.groups["race"])
    assert odds == pytest.approx(theirs)
    line = next(x for x in section["comparisons"] if (x["group"], x["notion"]) == ("B", "selection rate"))
    assert line["difference"] == pytest.approx(p.labels[b].mean() - p.labels[~b].mean())


def test_pairs_of_attributes_are_compared_and_small_groups_are_named() -> None:
    p = binary(900, 1, 0.0)
    p.groups["race"][:5] = "D"
    section = audit(p, weights(p), 0.95, 60, "row")
    assert section["suppressed"]["race"] == ["D"]
    assert any(x["attribute"] == "race × age" for x in section["comparisons"])
    assert all(x["group"] != "D" for x in section["comparisons"])
    assert "D" not in section["by_group"]["race"]["accuracy"]
    without = audit(p, weights(p), 0.95, 60, "row", intersections=False)
    assert all(" × " not in x["attribute"] for x in without["comparisons"])


def test_two_groups_are_compared_once() -> None:
    p = binary(900, 1, 0.0)
    lines = audit(replace(p, groups={"age": p.groups["age"]}), weights(p), 0.95, 60, "row")["comparisons"]
    assert {(x["group"], x["against"]) for x in lines} == {("old", "young")}
    assert len(lines) == len(notions(p))


def test_whole_units_are_resampled() -> None:
    """Ten equal rows a unit: intervals must be about as wide as those of one row a unit."""
    p = binary(1500, 5, 0.0)
    ten = p.take(np.repeat(np.arange(1500), 10))
    units = np.repeat(np.arange(1500), 10).astype(np.str_)
    single = audit(p, weights(p), 0.95, 60, "row")["comparisons"]
    cloned = replace(ten, units=units)
    many = audit(cloned, weights(cloned), 0.95, 60, "unit")["comparisons"]
    width = {(x["group"], x["notion"], x["attribute"]): x["high"] - x["low"] for x in single}
    for x in many:
        assert x["high"] - x["low"] == pytest.approx(width[x["group"], x["notion"], x["attribute"]], rel=0.4)


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "regression", "multilabel"])
def test_every_kind_has_its_notions(kind: str) -> None:
    rng = np.random.default_rng(0)
    n = 600
    truth, labels = rng.integers(0, 3, n), rng.integers(0, 3, n)
    scores = rng.dirichlet(np.ones(3), n)
    if kind == "regression":
        truth, labels, scores = truth * 1.5, labels * 1.5, labels[:, None] * 1.5
    if kind == "multilabel":
        truth, labels = rng.integers(0, 2, (n, 3)), rng.integers(0, 2, (n, 3))
    sex = rng.choice(["f", "m"], n).astype(np.str_)
    p = Predictions(scores, labels, truth, ("a", "b", "c"), kind, {"sex": sex}, None, np.arange(n))
    section = audit(p, weights(p), 0.95, 50, "row")
    assert {x["notion"] for x in section["comparisons"]} == {notion.name for notion in notions(p)}
    expected = {
        "multiclass": ("accuracy", (labels == truth)[sex == "f"].mean() if kind == "multiclass" else None),
        "ordinal": ("mean error in steps", (labels - truth)[sex == "f"].mean()),
        "regression": ("mean error", (labels - truth)[sex == "f"].mean()),
        "multilabel": ("labels found", (labels * truth)[sex == "f"].sum() / truth[sex == "f"].sum()),
    }[kind]
    assert section["by_group"]["sex"][expected[0]]["f"] == pytest.approx(expected[1])


def test_nobody_named_is_no_audit_and_settings_are_checked() -> None:
    p = replace(binary(100, 0, 0.0), groups={})
    assert AuditOption().judge(p, weights(p), 50, "row") is None
    assert NoAudit().judge(binary(100, 0, 0.0), weights(p), 50, "row") is None
    with pytest.raises(ValueError, match=r"fairness\.confidence=1\.5"):
        AuditOption(confidence=1.5).check()


def test_all_groups_too_small_says_so() -> None:
    p = binary(60, 0, 0.0)
    section = audit(p, weights(p), 0.95, 500, "row")
    assert section["comparisons"] == []
    assert section["headline"] == "Groups too small to compare"
