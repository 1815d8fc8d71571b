"""A cell means the same alone and among others, and however it is stored."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.coercion import MISSING, is_missing, to_categories, to_numbers, to_texts
from core.data.times import read_times, settle_order, to_times

NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
)
CELLS = st.one_of(NUMBERS, st.booleans(), st.text(max_size=8), st.none(), st.sampled_from(MISSING))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


def column(cells: list[object]) -> pd.Series:  # type: ignore[type-arg]
    return pd.Series(cells, dtype=object, index=range(1, len(cells) + 1))


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_a_number_is_the_same_as_text(numbers: list[float]) -> None:
    read = to_numbers(column(list(numbers)), "x")
    np.testing.assert_array_equal(read, np.array(numbers, dtype=np.float64))
    np.testing.assert_array_equal(to_numbers(column([f" {number!r}" for number in numbers]), "x"), read)
    np.testing.assert_array_equal(to_numbers(pd.Series(numbers, dtype=np.float64), "x"), read)


@given(st.lists(st.one_of(NUMBERS, st.none(), st.sampled_from(MISSING)), min_size=1, max_size=8))
def test_a_number_does_not_depend_on_other_rows(cells: list[object]) -> None:
    values = column(cells)
    together = to_numbers(values, "x")
    alone = [to_numbers(values.iloc[[i]], "x")[0] for i in range(len(values))]
    np.testing.assert_array_equal(together, alone)
    assert not (is_missing(values) & ~np.isnan(together)).any()


@given(st.lists(CELLS, min_size=1, max_size=10))
def test_a_category_does_not_depend_on_other_rows(cells: list[object]) -> None:
    values = column(cells)
    together = to_categories(values).tolist()
    assert together == [to_categories(values.iloc[[i]])[0] for i in range(len(values))]
    assert to_categories(values[::-1]).tolist() == together[::-1]


@given(st.integers(-(10**9), 10**9))
def test_a_whole_number_has_one_category_however_it_is_stored(number: int) -> None:
    stored = column([number, float(number), str(number), f"{number}.0", f" {number}.00 "])
    assert set(to_categories(stored)) == {str(number)}
    assert to_categories(pd.Series([number], dtype=np.int64)).tolist() == [str(number)]
    assert to_categories(pd.Series([number, np.nan], dtype=np.float64)).tolist() == [str(number), None]


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_boolean_is_the_same_as_text_and_in_a_typed_column(flags: list[bool]) -> None:
    expected = [str(flag) for flag in flags]
    assert to_categories(column(list(flags))).tolist() == expected
    assert to_categories(pd.Series(flags, dtype=bool)).tolist() == expected
    assert to_categories(column(expected)).tolist() == expected
    assert to_numbers(pd.Series(flags, dtype=bool), "x").tolist() == [float(flag) for flag in flags]


def test_true_and_one_are_two_categories_in_any_order() -> None:
    assert to_categories(column([1, True, 0, False])).tolist() == ["1", "True", "0", "False"]
    assert to_categories(column([True, 1, False, 0])).tolist() == ["True", "1", "False", "0"]


@given(st.lists(st.one_of(MOMENTS, st.none()), min_size=1, max_size=6))
def test_a_time_is_the_same_as_text_and_does_not_depend_on_other_rows(moments: list[datetime | None]) -> None:
    typed = pd.Series(pd.to_datetime(pd.Series(moments, dtype="datetime64[us]")))
    days = to_times(typed, "when")
    text = column([None if m is None else m.isoformat() for m in moments])
    if any(moment is not None for moment in moments):
        np.testing.assert_array_equal(to_times(text, "when"), days)
    for i, moment in enumerate(moments):
        if moment is not None:
            assert to_times(text.iloc[[i]], "when")[0] == days[i]
            assert days[i] == pytest.approx(
                (moment - datetime(1970, 1, 1)).total_seconds() / 86_400, rel=1e-12
            )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_numbers_are_times_as_they_are(numbers: list[float]) -> None:
    assert to_times(pd.Series(numbers), "when").tolist() == numbers
    assert to_times(column([repr(number) for number in numbers]), "when").tolist() == numbers


@given(st.lists(st.one_of(st.text(max_size=12), st.none()), min_size=1, max_size=6))
def test_a_text_is_kept_as_it_is_written(texts: list[str | None]) -> None:
    expected = ["" if text is None or not text.strip() else text for text in texts]
    assert to_texts(column(list(texts))) == expected


def test_one_order_of_dates_is_told_by_all_rows() -> None:
    dates = column(["03/04/2024 09:00", "20/04/2024 9:30 PM", None])
    assert settle_order(dates, "when") == "dmy"
    read = read_times(dates, "when", "dmy")
    assert [str(v) for v in read[:2]] == ["2024-04-03 09:00:00", "2024-04-20 21:30:00"]
    assert read_times(dates.iloc[:1], "when", "dmy").iloc[0] == read.iloc[0], "a row alone is the same"
    assert settle_order(column(["04/20/2024", "04/03/2024"]), "when") == "mdy"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["03.04.2024", "05.04.2024", "11.04.2024"], "data.date_order=dmy"),
        (["03/04/24", "05/04/24"], "data.date_order=dmy"),
        (["20/04/2024", "04/20/2024"], "mixes orders of dates.*row 1.*row 2"),
        (["08:15", "09:30"], "time of day without a date"),
        (["2024-04-03", "soon"], "'soon' in row 2"),
        (["2024-04-03", "9999-12-31"], "9999-12-31 in row 2.*data.missing"),
    ],
)
def test_what_dates_do_not_tell_is_asked(cells: list[object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_times(column(cells), "when")


def test_compact_dates_are_dates_where_a_column_is_named_as_the_time() -> None:
    numbers = pd.Series([20240131, 20240201])
    assert settle_order(numbers, "when") == "compact"
    assert np.diff(to_times(read_times(numbers, "when", "compact"), "when")).tolist() == [1.0]
    assert settle_order(pd.Series([20240131, 20249999]), "when") == "number"
