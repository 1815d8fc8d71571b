"""Credit on a table of one's own: no protected input unasked, and no outcome taken the wrong way round."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import finance
from core.config import build
from core.data.types import ColumnRoles, Dataset
from finance.credit import Credit
from finance.protected_inputs import is_protected


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table in the manner of the German credit data: 1 = good, 2 = bad."""
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "amount": rng.normal(3000, 900, n).round(2),
            "age": rng.integers(19, 70, n),
            "Personal status & sex": rng.choice(["male single", "female"], n),
            "foreign_worker": rng.choice(["yes", "no"], n),
            "mortgage": rng.choice(["yes", "no"], n),
            "outcome": rng.choice([1, 2], n, p=[0.7, 0.3]),
        }
    )
    frame.to_csv(tmp_path / "credit.csv", index=False)
    return tmp_path / "credit.csv"


def admitted(table: Path, *more: str) -> Dataset:
    config = finance.train.configure(
        "task=credit", "data=table", f"data.path={table}", "data.target=outcome", *more
    )
    return config.task.admit(build(config.data, config.task, 0), config.target)


def test_a_protected_attribute_is_no_input_and_that_is_said_with_the_key(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = admitted(table, "+target.positive='2'")
    assert set(dataset.roles.inputs()) == {"amount", "mortgage"}
    for told in (
        "age",
        "Personal status & sex",
        "foreign_worker",
        "data.sensitive=",
        "task.protected_inputs=",
    ):
        assert told in dataset.notes[-1]
        assert told in caplog.text


def test_what_is_asked_for_stays(table: Path) -> None:
    asked = admitted(
        table, "+target.positive='2'", "task.protected_inputs=[age]", "data.sensitive=[foreign_worker]"
    )
    assert set(asked.roles.inputs()) == {"amount", "mortgage", "age"}
    assert asked.roles.sensitive == ("foreign_worker",)
    with pytest.raises(ValueError, match="'agee' is no column"):
        admitted(table, "+target.positive='2'", "task.protected_inputs=[agee]")


def test_which_outcome_is_the_default_is_asked(table: Path) -> None:
    with pytest.raises(
        ValueError, match=r"which of '1' and '2' is the default\? Say it with target.positive"
    ):
        admitted(table)


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ([0, 1], False),
        (["no", "YES"], False),
        ([True, False], False),
        ([0.0, 1.0, None], False),
        (["paid", "default"], False),
        (["A", "B"], True),
        ([1, 2], True),
        (["good", "bad"], True),
        ([0, 2], True),
        ([1, 2, 3], False),
    ],
)
def test_only_an_outcome_that_says_so_itself_is_taken(values: list[object], asked: bool) -> None:
    frame = pd.DataFrame({"x": 1.0, "y": pd.Series(values * 3, dtype=object)})
    dataset = Dataset(frame, ColumnRoles(target=("y",), numeric=("x",)), "own")
    config = finance.train.configure("task=credit")
    task = Credit()
    if asked:
        with pytest.raises(ValueError, match="which of"):
            task.admit(dataset, config.target)
    else:
        assert task.admit(dataset, config.target) is dataset


def test_the_simulated_clients_are_admitted_as_they_are() -> None:
    config = finance.train.configure("task=credit", "data.rows=200")
    dataset = build(config.data, config.task, 0)
    assert config.task.admit(dataset, config.target) is dataset


def test_names_of_protected_attributes() -> None:
    for name in ("AGE", "ageGroup", "applicant_sex", "Nationality", "marital-status", "is foreign"):
        assert is_protected(name), name
    for name in ("mortgage", "wages", "usage", "essex_branch", "stage", "percentage", "amount"):
        assert not is_protected(name), name
