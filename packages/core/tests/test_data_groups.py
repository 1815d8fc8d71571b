"""Sensitive attributes become groups that all parts share."""

import json

import numpy as np
import pandas as pd
import pytest

from core.data.groups import Groups, bin_labels
from core.data.types import ColumnRoles, Dataset


def _groups(frame: pd.DataFrame, **more: object) -> Groups:
    return Groups.fit(frame, Dataset(frame, ColumnRoles(sensitive=tuple(frame.columns)), "t", **more))  # type: ignore[arg-type]


def test_bands_name_what_they_hold() -> None:
    ages = np.array([0, 29, 30, 44, 59, 60, 75, 99, np.nan])
    expected = ["0-29", "0-29", "30-44", "30-44", "45-59", "60-74", "75+", "75+", "unknown"]
    assert bin_labels(ages, (30, 45, 60, 75)).tolist() == expected
    shares = bin_labels(np.array([18.4, 18.5, 24.9, 25.0]), (18.5, 25), whole=False)
    assert shares.tolist() == ["under 18.5", "18.5-25", "18.5-25", "25 and over"]


def test_ages_get_age_bands_other_numbers_quartiles_of_training_and_codes_names() -> None:
    train = pd.DataFrame({"age": np.arange(20, 100), "income": np.arange(80) * 1000.5, "sex": [0, 1] * 40})
    groups = _groups(train, group_names={"sex": {"0": "female", "1": "male"}})
    later = pd.DataFrame({"age": [25, np.nan], "income": [-5.0, 1e9], "sex": [1.0, np.nan]})
    names = groups.names(later)
    assert names["age"].tolist() == ["0-29", "unknown"]
    assert names["income"].tolist()[0].startswith("under ")
    assert names["income"].tolist()[1].endswith("and over")
    assert names["sex"].tolist() == ["male", "unknown"]
    for column, named in names.items():
        assert [groups.categories(column)[c] for c in groups.codes(names)[column]] == named.tolist()


def test_given_edges_rule_and_must_rise() -> None:
    frame = pd.DataFrame({"bmi": np.linspace(15, 40, 50)})
    groups = _groups(frame, group_edges={"bmi": [18.5, 30]})
    assert groups.categories("bmi") == ("under 18.5", "18.5-30", "30 and over", "unknown")
    with pytest.raises(ValueError, match="edges of 'bmi' should rise"):
        _groups(frame, group_edges={"bmi": [30, 18.5]})


def test_new_and_infrequent_values_are_other() -> None:
    frame = pd.DataFrame({"race": ["a"] * 10 + ["b"] * 5 + [f"r{i}" for i in range(40)]})
    groups = _groups(frame)
    assert len(groups.categories("race")) == 22
    assert groups.names(pd.DataFrame({"race": ["a", "new", None]}))["race"].tolist() == [
        "a",
        "other",
        "unknown",
    ]


def test_groups_survive_json() -> None:
    frame = pd.DataFrame({"age": np.arange(20, 100), "sex": [0, 1] * 40})
    groups = _groups(frame, group_names={"sex": {"0": "female", "1": "male"}})
    again = Groups.restore(json.loads(json.dumps(groups.state())))
    assert again.groupings == groups.groupings
