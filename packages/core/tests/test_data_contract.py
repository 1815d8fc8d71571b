"""Properties of the contract: a row is read the same alone, in any order, in any kind of file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.coercion import to_categories, to_numbers
from core.data.contract import DataContract
from core.data.readers.table import read_table
from core.data.types import ColumnRoles, Dataset

NAMES = st.sampled_from(["1E5", "007", "A12", "NO", "a;b", 'say "so"', "two\nlines", "ünï", "x,y", "12"])
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(10**11), 10**11).map(lambda n: n / 1000)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), NAMES),
    ),
    min_size=1,
    max_size=8,
)
ROLES = ColumnRoles(target=("y",), numeric=("x",), categorical=("flag", "name"))
TRAINING = pd.DataFrame(
    {"x": [1.5, 2.0], "flag": [True, False], "name": ["A12", "1E5"], "y": [0, 1]}, index=[1, 2]
)


def cells(contract: DataContract, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    read = contract.apply(frame)
    numbers = [repr(v) for v in to_numbers(read["x"], "x")]
    return list(zip(numbers, to_categories(read["flag"]), to_categories(read["name"]), strict=True))


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_a_row_is_the_same_in_every_file_and_alone(rows: list[tuple[Any, Any, Any]]) -> None:
    contract = DataContract.fit(Dataset(TRAINING, ROLES, "t"))
    contract = DataContract.restore(contract.state(), ROLES)
    frame = pd.DataFrame(rows, columns=["x", "flag", "name"], dtype=object)
    expected = cells(contract, frame)
    assert [cells(contract, frame.iloc[[i]])[0] for i in range(len(frame))] == expected
    assert cells(contract, frame[::-1][["name", "x", "flag"]]) == expected[::-1]
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("csv", "tsv", "jsonl", "parquet"):
            path = Path(folder, f"t.{ending}")
            if ending == "jsonl":
                frame.to_json(path, orient="records", lines=True, double_precision=15, force_ascii=False)
            elif ending == "parquet":
                frame.astype({"x": float}).to_parquet(path)
            else:
                frame.to_csv(path, sep="\t" if ending == "tsv" else ",", index=False)
            read = read_table(path, reader=contract.reader, typed=False).frame
            assert cells(contract, read) == expected, ending
