"""Window features equal a plain count by hand, and use nothing of the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from finance.schema import TransactionSchema
from finance.windows import parse_labels, to_milliseconds, window_features

SCHEMA = TransactionSchema(card="card", time="time", amount="amount", label="fraud", terminal="terminal")


def payments(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, 60 * 86_400, rows))
    seconds[10:14] = seconds[10]  # one moment for several rows
    return pd.DataFrame(
        {
            "card": [f"c{n}" for n in rng.integers(0, 6, rows)],
            "terminal": [f"k{n}" for n in rng.integers(0, 5, rows)],
            "time": pd.Timestamp("2025-03-01") + pd.to_timedelta(seconds, unit="s"),
            "amount": rng.gamma(2.0, 20.0, rows).round(2),
            "fraud": (rng.random(rows) < 0.2).astype(int),
        }
    )


def by_hand(frame: pd.DataFrame, row: int, delay: float = 7.0) -> dict[str, float]:
    """Count with plain loops what one row may know."""
    now = frame.iloc[row]
    day = pd.Timedelta(days=1)
    card = frame[(frame["card"] == now["card"]) & (frame["time"] < now["time"])]
    there = frame[(frame["terminal"] == now["terminal"]) & (frame["time"] < now["time"] - delay * day)]
    said: dict[str, float] = {}
    for w in (1, 7, 30):
        recent = card[card["time"] >= now["time"] - w * day]
        said[f"card_count_{w}d"] = len(recent)
        said[f"card_mean_{w}d"] = (recent["amount"].sum() + now["amount"]) / (len(recent) + 1)
        known = there[there["time"] >= now["time"] - (w + delay) * day]
        said[f"terminal_count_{w}d"] = len(known)
        said[f"terminal_risk_{w}d"] = known["fraud"].mean() if len(known) else 0.0
    month = card[card["time"] >= now["time"] - 30 * day]["amount"]
    said["card_ratio"] = np.log1p(now["amount"] / month.mean()) if len(month) else np.nan
    spread = (now["amount"] - month.mean()) / month.std(ddof=0) if len(month) >= 3 else np.nan
    said["card_spread"] = float(np.clip(spread, -30, 30))
    past = card[
        (card["time"] < now["time"] - delay * day) & (card["time"] >= now["time"] - (30 + delay) * day)
    ]
    said["card_frauds"] = past["fraud"].sum()
    known = there[there["time"] >= now["time"] - (30 + delay) * day]
    frauds = known[known["fraud"] == 1]
    latest = frauds["time"].max() if len(frauds) else None
    since = np.nan if latest is None else (now["time"] - latest) / day - delay
    said["terminal_since_fraud"] = since
    said["terminal_last"] = (
        known.sort_values("time", kind="stable")["fraud"].tail(3).mean() if len(known) else np.nan
    )
    said["night"] = float((now["time"] - now["time"].normalize()) / pd.Timedelta(hours=1) <= 6)
    said["weekend"] = float(now["time"].dayofweek >= 5)
    return said


def test_equal_to_counts_by_hand() -> None:
    frame = payments()
    made = window_features(frame, SCHEMA)
    assert tuple(made.columns) == SCHEMA.features()
    for row in range(0, len(frame), 7):
        for name, value in by_hand(frame, row).items():
            np.testing.assert_allclose(
                made[name].iloc[row], value, rtol=1e-6, atol=1e-6, err_msg=f"{name}, row {row}"
            )


def test_order_of_rows_is_no_matter() -> None:
    frame = payments()
    mixed = frame.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        window_features(mixed, SCHEMA).sort_index(), window_features(frame, SCHEMA), rtol=1e-9
    )


@pytest.mark.parametrize("row", [150, 250, 390])
def test_no_row_knows_its_future_nor_a_label_before_its_time(row: int) -> None:
    frame = payments()
    now = frame["time"].iloc[row]
    changed = frame.copy()
    later = (frame["time"] >= now) & (frame.index != row)
    changed.loc[later, "amount"] = 9_999.0
    changed.loc[later, ["card", "terminal"]] = frame.loc[row, ["card", "terminal"]].to_numpy()
    unknown = frame["time"] >= now - pd.Timedelta(days=7)
    changed.loc[unknown, "fraud"] = 1 - changed.loc[unknown, "fraud"]
    np.testing.assert_allclose(
        window_features(changed, SCHEMA).iloc[row].to_numpy(float),
        window_features(frame, SCHEMA).iloc[row].to_numpy(float),
        rtol=1e-9,
    )
    # and the test can fail: what was known does move them
    known = changed.copy()
    known.loc[known["time"] < now - pd.Timedelta(days=7), "fraud"] = 1
    assert not np.allclose(
        window_features(known, SCHEMA).iloc[row].fillna(-1).to_numpy(float),
        window_features(frame, SCHEMA).iloc[row].fillna(-1).to_numpy(float),
    )


def test_rows_with_their_past_beside_them_equal_rows_of_the_whole() -> None:
    frame = payments()
    rows, past = frame.iloc[300:], frame.iloc[:300]
    pd.testing.assert_frame_equal(
        window_features(rows, SCHEMA, past), window_features(frame, SCHEMA).iloc[300:], rtol=0, atol=0
    )


def test_a_huge_amount_of_one_card_leaves_the_others_alone() -> None:
    frame = payments()
    huge = frame.copy()
    huge.loc[frame.index[frame["card"] == "c0"][3], "amount"] = 1e200
    others = (frame["card"] != "c0").to_numpy()
    pd.testing.assert_frame_equal(
        window_features(huge, SCHEMA)[others], window_features(frame, SCHEMA)[others], rtol=1e-12
    )


def test_times_as_numbers_are_times() -> None:
    frame = payments()
    seconds = frame.assign(time=(frame["time"] - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1))
    numbered = TransactionSchema(**{**SCHEMA.__dict__, "time_units_per_day": 86_400.0})
    pd.testing.assert_frame_equal(
        window_features(seconds, numbered), window_features(frame, SCHEMA), rtol=1e-9
    )


def test_a_card_or_terminal_that_is_not_named_has_no_past() -> None:
    frame = payments().assign(card=None)
    assert (window_features(frame, SCHEMA)["card_count_30d"] == 0).all()


def test_what_can_not_be_read_is_named() -> None:
    frame = payments(20)
    with pytest.raises(ValueError, match="'fraud' has '2' in row 3"):
        parse_labels(frame["fraud"].where(frame.index != 3, 2), "fraud")
    with pytest.raises(ValueError, match="'time' is empty in row 5"):
        to_milliseconds(frame["time"].where(frame.index != 5), "time", 1.0)
    with pytest.raises(ValueError, match="'amount' is empty in row 4"):
        window_features(frame.assign(amount=frame["amount"].where(frame.index != 4)), SCHEMA)
    assert np.isnan(parse_labels(pd.Series(["yes", "no", None]), "fraud")[2])
