"""Nobody is in two parts, shares and labels are kept, and the row order does not matter."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.splits import SplitRows, split, stratify, subsample
from core.data.types import ColumnRoles, Dataset, SplitPlan


def _dataset(frame: pd.DataFrame, plan: SplitPlan, **roles: object) -> Dataset:
    roles = ColumnRoles(target=("y",), numeric=("x",)).with_(roles)
    return Dataset(frame, roles, "t", split=plan)


def _frame(rows: int, units: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "y": rng.choice(["a", "b", "c"], rows, p=[0.7, 0.2, 0.1]),
            "who": rng.integers(0, units, rows),
            "when": rng.integers(0, 50, rows),
        },
        index=pd.RangeIndex(1, rows + 1),
    )


def _shared(values: pd.Series, parts: SplitRows) -> set[object]:  # type: ignore[type-arg]
    """Find values that stand in more than one part."""
    counts = Counter(v for rows in parts.values() for v in set(values.iloc[rows]))
    return {value for value, parts_with_it in counts.items() if parts_with_it > 1}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 200), st.integers(6, 60), st.sampled_from([0.1, 0.2, 0.3]))
def test_a_unit_never_straddles_and_every_row_has_one_split(
    seed: int, rows: int, units: int, share: float
) -> None:
    frame = _frame(rows, units, seed)
    dataset = _dataset(
        frame, SplitPlan("unit", validation_fraction=share, test_fraction=share, seed=seed), unit="who"
    )
    try:
        parts = split(dataset)
    except ValueError:
        assert frame["who"].nunique() < 3 / share, "only few units may leave a part empty"
        return
    assert sorted(np.concatenate(list(parts.values()))) == list(range(rows))
    assert not _shared(frame["who"], parts)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_row_order_does_not_matter(seed: int, grouped: bool) -> None:
    frame = _frame(120, 40, seed)
    roles = {"unit": "who"} if grouped else {}
    plan = SplitPlan(seed=3)
    straight = split(_dataset(frame, plan, **roles))
    mixed = frame.sample(frac=1, random_state=seed)
    again = split(_dataset(mixed, plan, **roles))
    for part, rows in straight.items():
        assert set(frame.index[rows]) == set(mixed.index[again[part]])


def test_fractions_of_rows_and_classes_are_kept() -> None:
    frame = _frame(5000, 900)
    for roles in ({}, {"unit": "who"}):
        parts = split(_dataset(frame, SplitPlan(validation_fraction=0.2, test_fraction=0.1), **roles))
        for part, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
            assert len(parts[part]) / 5000 == pytest.approx(share, abs=0.005)
            own = frame["y"].iloc[parts[part]].value_counts(normalize=True)
            for label, rate in frame["y"].value_counts(normalize=True).items():
                assert own[label] == pytest.approx(rate, abs=0.005)


def test_a_class_of_three_reaches_every_split() -> None:
    frame = _frame(200, 200)
    frame["y"] = ["rare"] * 3 + ["often"] * 197
    for seed in range(5):
        parts = split(_dataset(frame, SplitPlan("stratified", seed=seed)))
        assert all((frame["y"].iloc[rows] == "rare").sum() == 1 for rows in parts.values())


@pytest.mark.parametrize("written", ["list", "text", "columns"])
def test_label_sets_keep_each_label_in_proportion(written: str) -> None:
    rng = np.random.default_rng(0)
    sets = [
        [name for name, p in (("a", 0.5), ("b", 0.1), ("c", 0.02)) if rng.random() < p] for _ in range(2000)
    ]
    frame = pd.DataFrame({"x": rng.normal(size=2000), "y": pd.Series(sets, dtype=object)})
    target: tuple[str, ...] = ("y",)
    if written == "text":
        frame["y"] = [";".join(s) for s in sets]
    elif written == "columns":
        target = ("a", "b", "c")
        for name in target:
            frame[name] = ["yes" if name in s else "no" for s in sets]
    parts = split(_dataset(frame, SplitPlan(), target=target))
    for name in "abc":
        whole = np.array([name in s for s in sets])
        assert whole[parts["test"]].sum() == pytest.approx(0.2 * whole.sum(), abs=2)


def test_seeds_differ_and_repeat() -> None:
    frame = _frame(300, 60)
    one, other = (split(_dataset(frame, SplitPlan(seed=s), unit="who"))["test"] for s in (0, 1))
    assert set(one) != set(other)
    np.testing.assert_array_equal(one, split(_dataset(frame, SplitPlan(seed=0), unit="who"))["test"])


def test_rows_with_equal_inputs_stay_together_where_no_unit_is_named() -> None:
    frame = _frame(400, 10)
    frame["x"] = np.repeat(np.arange(100.0), 4)
    parts = split(_dataset(frame, SplitPlan()))
    assert not _shared(frame["x"], parts)


def test_time_orders_the_splits_and_keeps_equal_moments_together() -> None:
    frame = _frame(1000, 300)
    parts = split(_dataset(frame, SplitPlan("time"), time="when"))
    moments = [frame["when"].iloc[parts[p]] for p in ("train", "validation", "test")]
    assert moments[0].max() < moments[1].min()
    assert moments[1].max() < moments[2].min()
    assert sum(len(m) for m in moments) == 1000
    assert len(parts["test"]) == pytest.approx(200, abs=25)


def test_a_gap_leaves_out_what_was_not_known_yet() -> None:
    frame = _frame(1000, 300)
    frame["when"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["when"], unit="D")
    parts = split(_dataset(frame, SplitPlan("time", gap=7), time="when"))
    train, validation, test = (frame["when"].iloc[parts[p]] for p in ("train", "validation", "test"))
    assert validation.min() - train.max() > pd.Timedelta(days=7)
    assert test.min() - validation.max() > pd.Timedelta(days=7)


def test_by_time_a_unit_stays_in_its_first_split_unless_allowed() -> None:
    frame = _frame(1000, 700)
    apart = split(_dataset(frame, SplitPlan("time"), time="when", unit="who"))
    assert not _shared(frame["who"], apart)
    again = split(_dataset(frame, SplitPlan("time", disjoint_entities=False), time="when", unit="who"))
    assert sum(map(len, again.values())) == 1000
    frame["who"] = 1
    with pytest.raises(ValueError, match=r"validation set is empty .* data\.disjoint_entities=false"):
        split(_dataset(frame, SplitPlan("time"), time="when", unit="who"))


def test_a_column_gives_the_split_and_validation_is_cut_by_unit_where_it_lacks() -> None:
    frame = _frame(300, 60)
    frame["part"] = np.where(frame["who"] < 40, "train", "Test")
    frame.loc[1, "part"] = None
    parts = split(_dataset(frame, SplitPlan("column", "part", validation_fraction=0.25), unit="who"))
    assert set(frame["who"].iloc[parts["test"]]) <= set(range(40, 60))
    assert not set(frame["who"].iloc[parts["train"]]) & set(frame["who"].iloc[parts["validation"]])
    inside = len(parts["train"]) + len(parts["validation"])
    assert len(parts["validation"]) / inside == pytest.approx(0.25, abs=0.05)
    assert 0 not in np.concatenate(list(parts.values())), "an empty value is in no part"
    frame["part"] = frame["part"].replace("Test", "hold-out")
    with pytest.raises(ValueError, match="column 'part' has 'hold-out'"):
        split(_dataset(frame, SplitPlan("column", "part"), unit="who"))


def test_an_empty_split_is_refused() -> None:
    frame = _frame(300, 60)
    frame["part"] = "train"
    with pytest.raises(ValueError, match="the test set is empty after the split by column"):
        split(_dataset(frame, SplitPlan("column", "part"), unit="who"))
    with pytest.raises(ValueError, match="set is empty"):
        split(_dataset(frame.head(2), SplitPlan()))


def test_few_large_units_are_allocated_close_to_the_fractions() -> None:
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(40), rng.integers(20, 60, 40))
    counts = np.eye(2)[(rng.random(len(units)) < 0.3).astype(int)]
    for seed in range(5):
        part = stratify(units, counts, (0.2, 0.2), seed)
        shares = np.bincount(part, minlength=3) / len(part)
        np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.04)
        assert counts[part == 2, 1].mean() == pytest.approx(counts[:, 1].mean(), abs=0.04)


def test_a_fraction_is_whole_units_with_labels_in_proportion() -> None:
    frame = _frame(4000, 700)
    dataset = _dataset(frame, SplitPlan(), unit="who")
    rows = split(dataset)["train"]
    some = subsample(dataset, rows, 0.1, 0)
    assert np.isin(some, rows).all()
    assert len(some) == pytest.approx(0.1 * len(rows), rel=0.05)
    units = frame["who"].iloc[some].unique()
    assert set(frame.index[rows][frame["who"].iloc[rows].isin(units)]) == set(frame.index[some])
    shares = frame["y"].iloc[some].value_counts(normalize=True)
    for label, rate in frame["y"].value_counts(normalize=True).items():
        assert shares[label] == pytest.approx(rate, abs=0.03)
    assert not np.array_equal(some, subsample(dataset, rows, 0.1, 1))
    assert subsample(dataset, rows, 1.0, 0) is rows
    alone = _dataset(frame.assign(who=1), SplitPlan(), unit="who")
    with pytest.raises(ValueError, match=r"training\.train_fraction=0\.1: no unit"):
        subsample(alone, rows, 0.1, 0)
