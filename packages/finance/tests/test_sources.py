"""The sources on the real files and on own tables: splits, label delays, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from real_data import ROOT, needs_data

import finance
from core.config import build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.splits import split
from core.data.times import to_times
from core.data.types import Dataset
from finance.fraud import Fraud
from finance.sources import taiwan
from finance.sources.transactions import Transactions

DATA = ROOT / "finance"


def read(*overrides: str) -> Dataset:
    config: Any = finance.train.configure(*overrides)
    dataset: Dataset = build(config.data, config.task, config.seed)
    return dataset


def days_of(frame: pd.DataFrame) -> Any:
    return (frame["TX_DATETIME"] - pd.Timestamp("2018-04-01")).dt.days


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published rows of 60 customers, with all columns as published."""
    table = pd.read_parquet(DATA / "fdh_simulated_transactions/transactions.parquet")
    path = tmp_path_factory.mktemp("fdh") / "transactions.parquet"
    table[table["CUSTOMER_ID"] < 60].to_parquet(path, index=False)
    return path


@needs_data
def test_handbook_parts_are_its_protocols(few: Path) -> None:
    dataset = read("experiment=fdh_week", f"data.path={few}")
    rows = split(dataset)
    check_dataset(dataset)
    check_splits(dataset, rows)
    frame = dataset.frame
    day = {name: days_of(frame.iloc[r]) for name, r in rows.items()}
    assert (day["train"].min(), day["train"].max()) == (115, 119)
    assert (day["validation"].min(), day["validation"].max()) == (120, 121)
    assert (day["test"].min(), day["test"].max()) == (129, 135)
    assert "TX_FRAUD_SCENARIO" not in frame
    assert dataset.roles.unit == "CUSTOMER_ID"
    # the handbook's own words, done slowly: cards known by a day's morning are not in that day
    whole = frame.assign(day=days_of(frame))
    expected = []
    for today in range(129, 136):
        known = whole[(whole["day"] >= 115) & (whole["day"] < today - 7) & (whole["TX_FRAUD"] == 1)][
            "CUSTOMER_ID"
        ]
        expected += list(whole[(whole["day"] == today) & ~whole["CUSTOMER_ID"].isin(known)].index)
    assert sorted(expected) == sorted(frame.index[rows["test"]])
    assert len(expected) < int(whole["day"].between(129, 135).sum())


@needs_data
def test_handbook_months_keep_all_cards(few: Path) -> None:
    dataset = read("experiment=fdh_months", f"data.path={few}")
    rows = split(dataset)
    day = {name: days_of(dataset.frame.iloc[r]) for name, r in rows.items()}
    assert (day["train"].min(), day["train"].max()) == (0, 114)
    assert (day["test"].min(), day["test"].max()) == (153, 182)
    assert len(rows["test"]) == int((days_of(dataset.frame) >= 153).sum())


@needs_data
def test_handbook_without_terminals_has_none_of_their_windows(few: Path) -> None:
    dataset = read("experiment=fdh_dp", f"data.path={few}")
    assert not [c for c in dataset.roles.inputs() if c.startswith("terminal")]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.test_from=2018-08-05", "data.test_from"),
        ("data.validation_days=9", "data.validation_days"),
        ("data.train_to=summer", "data.train_to"),
        ("data.test_to=2018-08-01", "data.test_to"),
        ("data.windows=[0]", "data.windows"),
    ],
)
def test_days_that_can_not_be_are_named(override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read("experiment=fdh_week", override)


@needs_data
def test_taiwan_counts_are_the_published_ones() -> None:
    dataset = read("experiment=taiwan")
    frame = dataset.frame
    assert len(frame) == 30_000
    assert (frame["default"] == "yes").sum() == 6_636
    assert set(dataset.roles.sensitive) == {"SEX", "EDUCATION", "MARRIAGE", "AGE"}
    assert not set(dataset.roles.sensitive) & set(dataset.roles.inputs())
    assert {"SEX", "AGE"} <= set(read("experiment=taiwan", "data.use_sensitive=true").roles.inputs())
    assert set(frame["EDUCATION"]) == {1, 2, 3, 4}
    rows = split(dataset)
    check_dataset(dataset)
    check_splits(dataset, rows)


def test_taiwan_shares_by_hand() -> None:
    row = {"SEX": 1, "EDUCATION": 0, "MARRIAGE": 0, "AGE": 30, "LIMIT_BAL": 1000, "y": 1}
    row |= {f"PAY_{m}": v for m, v in zip((0, 2, 3, 4, 5, 6), (2, 1, 0, -1, -2, 0), strict=True)}
    row |= {f"BILL_AMT{m}": 100 * m for m in range(1, 7)} | {f"PAY_AMT{m}": 50 for m in range(1, 7)}
    made = taiwan.build_features(pd.DataFrame([row]), "y").iloc[0]
    assert made["EDUCATION"] == 4
    assert made["MARRIAGE"] == 3
    assert made["use_3"] == pytest.approx(0.3)
    assert made["paid_share_1"] == pytest.approx(50 / 200)
    assert made["late_sum"] == 3
    assert made["months_late"] == 2
    assert made["late_weighted"] == pytest.approx(2 + 1 / 2)
    assert made["room"] == 900
    assert made["default"] == "yes"


def own(rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    day = np.sort(rng.uniform(0, 120, rows))
    return pd.DataFrame(
        {
            "no": [f"n{n}" for n in range(rows)],
            "account": rng.integers(0, 20, rows),
            "seconds": (day * 86_400).round(),
            "sum": rng.gamma(2, 20, rows).round(2),
            "shop": rng.integers(0, 15, rows),
            "kind": rng.choice(["a", "b"], rows),
            "bad": rng.choice([0, 1], rows, p=(0.85, 0.15)),
        }
    )


OWN = (
    "experiment=own_transactions", "data.card=account", "data.time=seconds", "data.amount=sum", "data.label=bad",
    "data.terminal=shop", "data.id=no", "data.categorical=kind", "data.time_units_per_day=86400",
)  # fmt: skip


def test_own_transactions_keep_the_delay_between_parts(tmp_path: Path) -> None:
    frame = own()
    frame.loc[:9, "bad"] = None
    frame.to_csv(tmp_path / "own.csv", index=False)
    dataset = read(*OWN, f"data.path={tmp_path / 'own.csv'}")
    assert len(dataset.frame) == 590
    rows = split(dataset)
    check_dataset(dataset)
    check_splits(dataset, rows)
    time = {name: dataset.frame["seconds"].iloc[r] / 86_400 for name, r in rows.items()}
    assert time["validation"].min() - time["train"].max() >= 7
    assert time["test"].min() - time["validation"].max() >= 7
    assert set(dataset.roles.inputs()) >= {"sum", "kind", "card_ratio", "terminal_risk_30d"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("data.card=nobody",), "nobody"),
        (("data.time_units_per_day=0",), "data.time_units_per_day"),
        (("data.test_fraction=1.5",), "data.test_fraction"),
        (("data.label=kind",), "'kind' has '[ab]'"),
    ],
)
def test_own_transactions_name_mistakes(overrides: tuple[str, ...], said: str, tmp_path: Path) -> None:
    own(200).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(ValueError, match=said):
        read(*OWN, f"data.path={tmp_path / 'own.csv'}", *overrides)


def test_privacy_refuses_windows_made_of_other_customers_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"privacy='dp'.*other customers.*task\.terminal_features=false"):
        finance.train("privacy=dp", "data.rows=400", folder=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    simulated = Fraud().simulate(400, 0)
    alone = Fraud(terminal_features=False).simulate(400, 0)
    assert simulated.cross_unit_inputs
    assert not alone.cross_unit_inputs
    lost = set(simulated.roles.numeric) - set(alone.roles.numeric)
    assert lost == {name for name in simulated.roles.numeric if name.startswith("terminal")}
    assert lost


def test_one_order_of_dates_for_the_whole_file(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-20", periods=300, freq="6h")
    frame = pd.DataFrame(
        {
            "card": np.arange(300) % 7,
            "time": days.strftime("%d/%m/%Y %H:%M"),
            "amount": np.linspace(1, 50, 300),
            "fraud": (np.arange(300) % 11 == 0).astype(int),
        }
    )
    frame.to_csv(tmp_path / "fx.csv", index=False)
    dataset = build(Transactions(path=str(tmp_path / "fx.csv")), None, 0)
    assert np.diff(to_times(dataset.frame["time"], "time")) == pytest.approx(0.25)
    assert dataset.date_orders == {"time": "dmy"}
    frame.iloc[45:60].to_csv(tmp_path / "few.csv", index=False)  # 31 January to 3 February: told by the 31st
    assert build(Transactions(path=str(tmp_path / "few.csv")), None, 0).date_orders == {"time": "dmy"}
    frame.iloc[50:60].to_csv(tmp_path / "early.csv", index=False)
    with pytest.raises(ValueError, match=r"data\.date_order"):
        build(Transactions(path=str(tmp_path / "early.csv")), None, 0)
    frame.assign(time=days.astype("int64") // 10**6).to_csv(tmp_path / "epoch.csv", index=False)
    with pytest.raises(ValueError, match=r"data\.time_units_per_day"):
        build(Transactions(path=str(tmp_path / "epoch.csv")), None, 0)
