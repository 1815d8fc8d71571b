"""Tables are read the same in every format and compression, and bad rows are named."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from core.data.readers.files import resolve_path, sha256
from core.data.readers.table import read_table

FRAME = pd.DataFrame(
    {
        "age": [63, 41, 77],
        "bmi": [21.5, np.nan, 30.25],
        "code": ["007", "010", "120"],
        "lab": ["None", "Norm", None],
        "note": ["short, with comma", 'a "quoted"\nsecond line', "ünïcode"],
    }
)


def _write(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return path


def _same(frame: pd.DataFrame) -> None:
    assert list(frame.index) == [1, 2, 3]
    assert frame["age"].tolist() == [63, 41, 77]
    np.testing.assert_array_equal(frame["bmi"].to_numpy(), FRAME["bmi"].to_numpy())
    assert frame["code"].tolist() == ["007", "010", "120"], "leading zeros are a code, not a number"
    assert frame["lab"].tolist() == ["None", "Norm", None], (
        "None is a value of clinical tables; an empty field is missing"
    )
    assert frame["note"].tolist() == FRAME["note"].tolist()


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("squeeze", ["", "gz", "xz", "zst", "bz2", "zip"])
def test_every_format_and_compression_gives_the_same_rows(tmp_path: Path, ending: str, squeeze: str) -> None:
    plain = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        FRAME.to_json(plain, orient="records", lines=True, force_ascii=False)
    elif ending == "parquet":
        FRAME.to_parquet(plain)
    else:
        FRAME.to_csv(plain, index=False, sep="\t" if ending == "tsv" else ",")
    data = plain.read_bytes()
    path = plain
    if squeeze:
        path = tmp_path / f"t.{ending}.{squeeze}"
        if squeeze == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(f"t.{ending}", data)
        else:
            pack = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstandard.compress}[
                squeeze
            ]
            path.write_bytes(pack(data))
    table = read_table(path)
    _same(table.frame)
    assert table.files == {path.name: sha256(path)}


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_delimiter_is_told_from_the_lines_and_said(tmp_path: Path, delimiter: str) -> None:
    text = "\n".join(
        delimiter.join(row)
        for row in (["a", "b", "c"], ["1", "x y, z" if delimiter != "," else "x", "3"], ["4", "y", "6"])
    )
    table = read_table(_write(tmp_path / "t.csv", text.encode()))
    assert list(table.frame.columns) == ["a", "b", "c"]
    assert table.frame["c"].tolist() == [3, 6]
    assert bool(table.notes) == (delimiter != ",")


def test_spaces_part_fields_only_where_every_line_agrees(tmp_path: Path) -> None:
    table = read_table(_write(tmp_path / "t.data", b"1 2  3\n4 5 6\n"), names=["a", "b", "c"])
    assert table.frame.to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    prose = read_table(_write(tmp_path / "p.csv", b"text\none two three\nfour five\n"))
    assert prose.frame["text"].tolist() == ["one two three", "four five"]


def test_other_encodings_are_read_and_said(tmp_path: Path) -> None:
    latin = read_table(_write(tmp_path / "l.csv", "name,n\nJosé,1\n".encode("cp1252")))
    assert latin.frame["name"].tolist() == ["José"]
    assert "Windows-1252" in latin.notes[0]
    marked = read_table(_write(tmp_path / "m.csv", "name,n\nJosé,1\n".encode("utf-8-sig")))
    assert list(marked.frame.columns) == ["name", "n"]
    wide = read_table(_write(tmp_path / "w.csv", "name,n\nJosé,1\n".encode("utf-16")))
    assert wide.frame["name"].tolist() == ["José"]
    with pytest.raises(ValueError, match="line 2 is not ascii"):
        read_table(tmp_path / "l.csv", encoding="ascii")
    with pytest.raises(ValueError, match="no such encoding"):
        read_table(tmp_path / "l.csv", encoding="utf-99")


def test_rows_of_a_wrong_width_are_named(tmp_path: Path) -> None:
    text = b'a,b,c\n1,2,3\n4,"5\nfive",6\n7,8\n9,10,11,12\n'
    with pytest.raises(
        ValueError, match=r"3 fields expected, but row 3 has 2 fields: '7,8'; row 4 has 4 fields"
    ):
        read_table(_write(tmp_path / "t.csv", text))


def test_missing_values_are_missing_and_numbers_stay_numbers(tmp_path: Path) -> None:
    text = b"x,y,z,flag\n1,?,NA,True\n , 2.5,-99,False\n3,,4,True\n"
    frame = read_table(_write(tmp_path / "t.csv", text), missing=["-99", "?", "NA"]).frame
    np.testing.assert_array_equal(frame["x"].to_numpy(), [1, np.nan, 3])
    np.testing.assert_array_equal(frame["y"].to_numpy(), [np.nan, 2.5, np.nan])
    np.testing.assert_array_equal(frame["z"].to_numpy(), [np.nan, np.nan, 4])
    assert frame["flag"].tolist() == [True, False, True]
    raw = read_table(tmp_path / "t.csv", typed=False).frame
    assert raw["z"].tolist() == [None, "-99", "4"]
    only = read_table(tmp_path / "t.csv", missing=["-99"]).frame
    assert only["z"].tolist() == ["NA", None, "4"], "given, they replace the defaults"
    assert (
        read_table(_write(tmp_path / "f.csv", b"x\n-99.0\n4\n"), missing=["-99"]).frame["x"].isna().sum() == 1
    )


def test_large_whole_numbers_keep_every_digit(tmp_path: Path) -> None:
    frame = read_table(_write(tmp_path / "t.csv", b"id,x\n9007199254740993,1\n9007199254740995,2\n")).frame
    assert [str(v) for v in frame["id"]] == ["9007199254740993", "9007199254740995"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"a,a\n1,2\n", "'a' more than once"),
        ("t.csv", b"a,,c\n1,2,3\n", "columns 2 have no name"),
        ("t.csv", b"a,b\n\x00\xff,1\n", "not a text file"),
        ("t.csv.gz", b"not gzip", "could not be decompressed"),
        ("t.csv.xz", lzma.compress(b"a,b\n1,2\n")[:20], "could not be decompressed"),
        ("t.csv.zst", b"not zstandard", "could not be decompressed"),
        ("t.jsonl", b'{"a": 1}\n{"a": }\n', "line 2 is not JSON"),
        ("t.jsonl", b'{"a": 1}\n[2]\n', "row 2 is not an object"),
        ("t.jsonl", b'{"a": {"b": 1}}\n', "row 1, field 'a' is an object"),
        ("t.json", b'[{"a": 1},\n{"a": }]', "line 2 is not JSON"),
        ("t.parquet", b"not parquet", "not readable as Parquet"),
        ("t.xlsx", b"PK", "unknown kind of table '.xlsx'"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(_write(tmp_path / name, text))


def test_jsonl_rows_may_lack_fields_and_hold_lists(tmp_path: Path) -> None:
    frame = read_table(_write(tmp_path / "t.jsonl", b'{"a": 1, "l": ["x", "y"]}\n\n{"l": ["x"]}\n')).frame
    np.testing.assert_array_equal(frame["a"].to_numpy(dtype=float), [1, np.nan])
    assert [list(v) for v in frame["l"]] == [["x", "y"], ["x"]]


def test_a_file_is_looked_up_under_plinth_data_and_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    file = _write(tmp_path / "set" / "rows.csv.gz", gzip.compress(b"a\n1\n"))
    monkeypatch.setenv("PLINTH_DATA", str(tmp_path))
    assert resolve_path("set/rows.csv") == file
    with pytest.raises(
        ValueError, match=r"data\.path='set/none\.csv' was not found: looked for .* and .*set/none\.csv"
    ):
        resolve_path("set/none.csv")
    monkeypatch.delenv("PLINTH_DATA")
    with pytest.raises(ValueError, match="PLINTH_DATA, which may name a folder of data sets, is not set"):
        resolve_path("set/rows.csv")
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        resolve_path("")
