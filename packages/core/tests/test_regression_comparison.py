"""The gate's verdicts, its baseline on disk, and what it writes for people and for CI."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from core.regression.comparison import Comparison, compare_task, corrected
from core.regression.config import common_margins
from core.regression.measurement import VALUES, Check, Measurement, rounded, with_rounded_scores
from core.regression.output import junit, markdown, table
from core.regression.store import Baseline, changes, merged, read_baseline, read_if_any, write_baseline
from core.targets.types import Predictions

MARGINS = common_margins()


def predictions(seed: int = 0, rows: int = 300) -> Predictions:
    rng = np.random.default_rng(seed)
    positive = rng.uniform(size=rows)
    return Predictions(
        np.column_stack([1 - positive, positive]),
        (positive > 0.5).astype(np.int64),
        (rng.uniform(size=rows) < positive).astype(np.int64),
        ("no", "yes"),
        groups={"sex": rng.choice(["f", "m"], rows)},
        units=np.array([f"u{n // 2}" for n in range(rows)]),
        index=np.arange(rows) * 3,
    )


def measured(seed: int = 0, **values: float) -> Measurement:
    kept = with_rounded_scores(predictions(seed))
    rows = {"covered": np.ones(300), "set_size": np.full(300, 1.5), "to_human": np.zeros(300)}
    named = {name.replace("_", " "): value for name, value in values.items()}
    return Measurement(seed, named, kept, rows)


def verdicts(before: list[Measurement], now: list[Measurement], margins=MARGINS) -> dict[str, str]:
    found = corrected(compare_task("finance", "credit", before, now, margins), 0.01)
    return {c.quantity: c.verdict for c in found}


def test_a_repeated_run_is_the_same() -> None:
    found = verdicts([measured(epsilon=3.0)], [measured(epsilon=3.0)])
    assert set(found.values()) == {"same"}
    assert len(found) > 15


@pytest.mark.parametrize(
    ("name", "before", "now", "verdict"),
    [
        ("epsilon", 3.0, 3.2, "regression"),
        ("epsilon", 3.0, 2.5, "better"),
        ("noise multiplier", 1.2, 1.1, "regression"),
        ("noise multiplier", 1.2, 1.3, "better"),
        ("clip norm", 1.0, 1.5, "regression"),
        ("clip norm", 1.0, 0.5, "regression"),
        ("training steps", 100.0, 99.0, "regression"),
        ("parameters", 30483.0, 30484.0, "regression"),
        ("parameters", 30483.0, 20000.0, "better"),
        ("bytes of the weights", 100_000.0, 100_500.0, "worse within margin"),
        ("bytes of the weights", 100_000.0, 120_000.0, "regression"),
        ("training step over a bare loop", 1.0, 1.2, "regression"),
        ("training step over a bare loop", 1.0, 1.08, "worse within margin"),
        ("training step over a bare loop", 1.0, 0.95, "noise"),
        ("rows in two sets", 0.0, 1.0, "regression"),
        ("units in two sets", 80.0, 80.0, "same"),
        ("inputs in two sets", 0.0, 3.0, "regression"),
        ("epsilon", 3.0, math.nan, "regression"),
    ],
)
def test_values_have_a_direction_and_a_tolerance(name: str, before: float, now: float, verdict: str) -> None:
    old, new = measured(), measured()
    old.values[name], new.values[name] = rounded(before), now
    assert verdicts([old], [new])[name] == verdict


def test_rounding_is_no_change() -> None:
    old, new = measured(), measured()
    old.values["epsilon"], new.values["epsilon"] = rounded(2.99871234), 2.99871234
    assert verdicts([old], [new])["epsilon"] == "same"


def test_the_worst_seed_speaks_for_a_value() -> None:
    old = [measured(seed, parameters=10.0) for seed in (0, 1)]
    new = [measured(0, parameters=10.0), measured(1, parameters=12.0)]
    found = [c for c in compare_task("finance", "credit", old, new, MARGINS) if c.quantity == "parameters"]
    assert [(c.now, c.verdict) for c in found] == [(12.0, "regression")]


def test_what_is_missing_fails() -> None:
    old, new = measured(epsilon=3.0), measured()
    found = [c for c in compare_task("d", "t", [old], [new], MARGINS) if c.quantity == "epsilon"]
    assert found[0].failed
    assert "no longer measured" in found[0].reason
    assert verdicts([], [new])["baseline of seed 0"] == "regression"
    failed = Measurement(0, failure="the run failed: ValueError: no column")
    assert verdicts([old], [failed]) == {"run of seed 0": "regression"}
    other = measured()
    other.predictions = with_rounded_scores(predictions(seed=5))
    assert verdicts([old], [other])["test rows of seed 0"] == "regression"
    assert "auroc" not in verdicts([old], [other])


def test_checks_need_no_baseline() -> None:
    new = measured()
    new.checks = [
        Check("contribution", 1.5, 1.0001, False, "a row adds too much"),
        Check("p of the noise", 0.4, 1e-6, True, "the noise is off"),
        Check("bar of auroc", 0.7, 0.78, True, "below the bar"),
        Check("difference", math.nan, 1e-3, False, "other scores"),
    ]
    found = {c.quantity: c for c in compare_task("d", "t", [measured()], [new], MARGINS) if c.before is None}
    assert {name: c.failed for name, c in found.items()} == {
        "contribution, seed 0": True,
        "p of the noise, seed 0": False,
        "bar of auroc, seed 0": True,
        "difference, seed 0": True,
    }
    assert "a row adds too much (seed 0: 1.5, bound 1)" in found["contribution, seed 0"].reason


def comparison(**changes) -> Comparison:
    made = Comparison("finance", "credit", "auroc", 0.85, 0.82, 0.03, 0.01, 0.004, 1e-9, level=1e-4)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "regression"),
        ({"drop": 0.008}, "worse within margin"),
        ({"p": 1e-3}, "noise"),
        ({"drop": -0.03, "p": 1.0}, "better"),
        ({"drop": -0.03, "p": 1.0, "standard_error": 0.02}, "noise"),
        ({"drop": -0.03, "p": 1e-9}, "better"),
        ({"drop": 0.0, "p": 1.0}, "same"),
        ({"drop": math.nan}, "regression"),
    ],
)
def test_a_regression_is_beyond_chance_and_beyond_its_margin(changes: dict, verdict: str) -> None:
    assert comparison(**changes).verdict == verdict


def test_every_value_has_a_margin() -> None:
    assert set(VALUES) <= set(MARGINS)
    assert all(margin >= 0 for margin in MARGINS.values())


def baseline(**tasks: list[Measurement]) -> Baseline:
    return Baseline("first", {"torch": "2.11"}, tasks)


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = baseline(
        credit=[measured(0, epsilon=2.998712), measured(1)], help=[Measurement(0, {"parameters": 3.0})]
    )
    path = write_baseline(tmp_path, written)
    found = read_baseline(tmp_path)
    assert (found.reason, found.versions) == ("first", {"torch": "2.11"})
    assert found.tasks["credit"][0].values == {"epsilon": 2.999}
    assert [run.seed for run in found.tasks["credit"]] == [0, 1]
    for old, new in zip(written.tasks["credit"], found.tasks["credit"], strict=True):
        assert set(verdicts([new], [old]).values()) == {"same"}
        assert set(new.rows) == {"covered", "set_size", "to_human"}
    content = json.loads(path.read_text())
    assert path.read_text() == json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    before = path.read_bytes(), (tmp_path / "predictions/credit-0.parquet").read_bytes()
    write_baseline(tmp_path, found)
    assert before == (path.read_bytes(), (tmp_path / "predictions/credit-0.parquet").read_bytes())


def test_a_baseline_that_is_not_what_it_was_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no baseline yet; write one with --renew"):
        read_baseline(tmp_path)
    path = write_baseline(tmp_path, baseline(credit=[measured(0), measured(1)]))
    kept = tmp_path / "predictions/credit-1.parquet"
    content = kept.read_bytes()
    kept.write_bytes((tmp_path / "predictions/credit-0.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"credit-1\.parquet: missing, or another file"):
        read_baseline(tmp_path)
    kept.unlink()
    with pytest.raises(ValueError, match=r"credit-1\.parquet: missing"):
        read_baseline(tmp_path)
    kept.write_bytes(content)
    read_baseline(tmp_path)
    for text in ("{", "[]", '{"reason": "x", "versions": {}, "tasks": {"a": 3}}', '{"tasks": {}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"baseline\.json: not a baseline of the gate"):
            read_baseline(tmp_path)
        assert read_if_any(tmp_path) is None


def test_what_a_renewal_changes_is_told(tmp_path: Path) -> None:
    before = baseline(credit=[measured(0, epsilon=3.0), measured(1)], old=[measured(0)])
    after = baseline(credit=[measured(0, epsilon=2.5)], fraud=[measured(0)])
    moved = after.tasks["credit"][0].predictions
    assert moved is not None
    moved.scores[:7] += 0.01
    assert changes(before, after) == [
        "credit, seed 0: epsilon 3 -> 2.5",
        "credit, seed 0: predictions of 7 of 300 test rows",
        "credit, seed 1: left out",
        "fraud, seed 0: new",
        "old: left out",
    ]
    assert changes(after, after) == []
    both = merged(before, after, ["credit", "fraud", "taiwan"])
    assert set(both.tasks) == {"credit", "fraud"}
    assert set(merged(before, after, ["credit", "fraud", "old"]).tasks) == {"credit", "fraud", "old"}
    write_baseline(tmp_path, before)
    write_baseline(tmp_path, after)
    left = {path.name for path in (tmp_path / "predictions").iterdir()}
    assert left == {"credit-0.parquet", "fraud-0.parquet"}


MANY = [
    comparison(),
    comparison(quantity="accuracy of education_level university or higher and something", drop=0.008),
    comparison(
        quantity="parameters", p=None, standard_error=None, before=30483.0, now=30500.0, relative=True
    ),
    comparison(
        task="fraud", quantity="run of seed 0", drop=math.nan, p=None, reason="the run failed: " + "x " * 80
    ),
    comparison(quantity="brier", drop=0.0, p=1.0),
    comparison(quantity="ece", drop=-0.05, p=1.0),
]


def test_the_table_fits_a_terminal_and_begins_with_the_worst() -> None:
    shown = table(MANY)
    lines = shown.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].startswith("regression")
    assert "0.85 -> 0.82, drop +0.030 (+0.022 to +0.038), margin 0.01" in shown
    assert "brier" not in shown
    assert "brier" in table(MANY, everything=True)
    assert lines[-1] == "3 regressions in 6 comparisons (1 worse within margin, 1 same, 1 better)"
    assert table([comparison(drop=0.0)]) == "no regression in 1 comparison (1 same)"


def test_junit_has_a_case_for_each_comparison() -> None:
    root = ElementTree.fromstring(junit(MANY, 12.3))
    assert (root.get("tests"), root.get("failures")) == ("6", "3")
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == 6
    failed = cases["finance.fraud", "run of seed 0"].find("failure")
    assert failed is not None
    assert "the run failed" in str(failed.text)
    assert cases["finance.credit", "brier"].find("failure") is None


def test_markdown_lists_what_changed() -> None:
    text = markdown(MANY, ["finance taiwan: PLINTH_DATA has no finance/taiwan_credit_default"])
    assert text.startswith("## Gate: 3 regressions in 6 comparisons")
    assert "| **regression** | finance credit | auroc | 0.85 | 0.82 |" in text
    assert "- finance/fraud/run of seed 0: the run failed" in text
    assert "left out: finance taiwan" in text
    assert "brier" not in text
