"""Files as people have them: read as their owner meant them, or refused in one sentence with the cure."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.config import build
from core.data.config import TableData
from core.data.contract import DataContract
from core.data.readers.settings import ReaderSettings
from core.data.readers.table import read_table
from core.data.types import Dataset

MESSY = next(
    (p / "shared/messy" for p in Path(__file__).resolve().parents if (p / "shared/messy").is_dir()), None
)
shared = pytest.mark.skipif(MESSY is None, reason="shared/messy is not beside this checkout")


def messy(name: str) -> Path:
    assert MESSY is not None
    path = MESSY / name
    assert path.is_file()
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def table(path: Path, target: str = "outcome", **keys: object) -> Dataset:
    return build(TableData(path=str(path), target=target, **keys), None, 0)


@shared
@pytest.mark.parametrize(("name", "line"), [("stray.csv", 52), ("cutq.csv", 241), ("quotes.tsv", 5)])
def test_a_quotation_mark_that_never_closes_is_named_by_its_line(name: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"quotation mark that opens in line {line} .*data.quote=none"):
        read_table(messy(name))


@shared
def test_quotation_marks_may_be_text() -> None:
    assert len(read_table(messy("quotes.tsv"), reader=ReaderSettings(quote="none")).frame) == 300


def test_a_stray_mark_in_a_small_file_is_not_one_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opens in line 2 "):
        read_table(write(tmp_path / "t.csv", 'a,b\n1,"x\n2,z\n3,w\n'))
    fine = read_table(write(tmp_path / "f.csv", 'a,b\n5" pipe,x\n"say ""so""\nthen",y\n')).frame
    assert fine["a"].tolist() == ['5" pipe', 'say "so"\nthen']


@shared
def test_numbers_of_half_of_europe_are_the_clean_files() -> None:
    clean, german = read_table(messy("base.csv")).frame, read_table(messy("german.csv")).frame
    np.testing.assert_array_equal(german["lab"], clean["lab"])
    comma, point = read_table(messy("t_comma3.csv")).frame, read_table(messy("t_clean.csv")).frame
    np.testing.assert_allclose(comma["temperature"], point["temperature"], atol=0.06)
    money = read_table(messy("currency.csv")).frame
    assert money["amount"].tolist()[:2] == [2160.21, 3439.34]
    assert money["amount2"].tolist()[:2] == [-2160.21, 3439.34]
    assert money["pct"].tolist()[:2] == [60.0, 39.0]


@shared
def test_marks_that_may_part_thousands_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"column 'cost' .*data\.decimal"):
        read_table(messy("german_thousands.csv"))
    told = read_table(messy("german_thousands.csv"), reader=ReaderSettings(decimal=".", thousands="none"))
    assert told.frame["cost"][1] == 3.16


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a;b\n999;x\n1.234;x\n12.500;y\n", "a"),
        ("a,b\n999,x\n1.234,x\n12.500,y\n", "a"),
        ('a,b\n"999",x\n"1,234",x\n', "a"),
        ("a;b\n1.234;x\n2.345;y\n", "a"),
    ],
)
def test_ambiguous_numbers_are_refused_and_read_when_told(tmp_path: Path, text: str, column: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(ValueError, match=rf"column '{column}'.*data\.decimal"):
        read_table(path)
    point = "." if '"1,' in text else ","
    read = read_table(path, reader=ReaderSettings(decimal=point)).frame["a"]
    assert 1234 in read.to_list()


def test_another_column_tells_the_marks_of_an_ambiguous_one(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "t.csv", "a;b\n999;4,5\n1.234;2,25\n")).frame
    assert frame["a"].tolist() == [999.0, 1234.0]
    assert frame["b"].tolist() == [4.5, 2.25]


@shared
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("labs.csv", "'>8.00' \\(23 times\\).*'<1.50' \\(15 times\\).*'hemolyzed' \\(5 times\\)"),
        ("t_un8.csv", "'temperature' holds numbers but 'unavailable' \\(124 times\\)"),
    ],
)
def test_odd_texts_among_numbers_are_counted(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        table(messy(name))


@pytest.mark.parametrize("share", [0.01, 0.03, 0.08, 0.3, 0.45])
def test_odd_texts_are_the_same_error_at_any_share(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(21, 2, 400).round(1).astype(object)
    values[rng.random(400) < share] = "unavailable"
    frame = pd.DataFrame({"t": values, "outcome": rng.integers(0, 2, 400)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r"'t' holds numbers but 'unavailable'.*data.missing"):
        table(tmp_path / "t.csv")
    assert table(tmp_path / "t.csv", missing=["unavailable"]).roles.numeric == ("t",)


@shared
def test_typed_files_keep_every_digit_and_no_index() -> None:
    ids = read_table(messy("types.parquet")).frame["pid"]
    assert ids.dropna().map(type).eq(str).all()
    assert ids.nunique() > 190
    assert not [c for c in read_table(messy("indexleak.parquet")).frame if "index" in c]
    with pytest.raises(ValueError, match="column 'addr' is an object of city"):
        read_table(messy("struct.parquet"))


def test_whole_numbers_of_json_with_gaps_are_exact(tmp_path: Path) -> None:
    text = '{"id": 123456789012345678, "n": 3}\n{"id": null, "n": null}\n{"id": 123456789012345679, "n": 5}\n'
    frame = read_table(write(tmp_path / "t.jsonl", text)).frame
    assert frame["id"].tolist() == ["123456789012345678", None, "123456789012345679"]
    np.testing.assert_array_equal(frame["n"].to_numpy(), [3, np.nan, 5])


@shared
def test_namibia_and_a_class_may_be_called_na() -> None:
    kept = table(messy("namibia.csv"), missing=[])
    assert "NA" in set(kept.frame["country"])
    assert set(table(messy("target_na.csv"), missing=[]).frame["outcome"]) == {"EU", "NA"}


def test_default_markers_do_not_hold_in_typed_files(tmp_path: Path) -> None:
    frame = pd.DataFrame({"country": ["NA", "ZA", "?"], "x": [1.0, -99.0, 2.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").frame["country"].tolist() == ["NA", "ZA", "?"]
    told = read_table(tmp_path / "t.parquet", missing=["?", "-99"]).frame
    assert told["country"].tolist() == ["NA", "ZA", None]
    np.testing.assert_array_equal(told["x"].to_numpy(), [1, np.nan, 2])


@shared
def test_encodings_are_the_users_or_refused() -> None:
    assert "пол" in read_table(messy("cp1251.csv"), encoding="cp1251").frame
    assert "性別" in read_table(messy("sjis.csv"), encoding="cp932").frame
    with pytest.raises(ValueError, match=r"not UTF-8 .* data\.encoding"):
        read_table(messy("sjis.csv"))


def test_utf_16_without_a_mark_and_a_damaged_byte(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        read = read_table(write(tmp_path / "t.csv", "name,n\nJosé,1\nAnna,2\n".encode(encoding))).frame
        assert read["name"].tolist() == ["José", "Anna"]
    text = "name,n\n" + "".join(f"Zoë{i},{i}\n" for i in range(20))
    with pytest.raises(ValueError, match=r"line 3 holds a byte that is not UTF-8"):
        read_table(write(tmp_path / "b.csv", text.encode().replace("Zoë1,".encode(), b"Zo\xeb1,")))


@shared
def test_what_programs_put_around_a_table_is_read_or_cured() -> None:
    clean = read_table(messy("base.csv")).frame
    for name in ("sep.csv", "trailing.csv", "mac.zip"):
        pd.testing.assert_frame_equal(read_table(messy(name)).frame, clean)
    with pytest.raises(ValueError, match=r"begin in line 4 \(set data.skip_rows=3\)"):
        read_table(messy("preamble.csv"))
    told = read_table(messy("preamble.csv"), reader=ReaderSettings(skip_rows=3)).frame
    assert list(told) == list(clean)


def test_comments_blank_lines_and_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "\n\n# made in 2024\n1,a\n# more\n2,b\n")
    read = read_table(path, reader=ReaderSettings(comment="#", header="none"))
    assert read.frame["column_1"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="is plain text: take the ending away"):
        read_table(write(tmp_path / "t.csv.gz", "a,b\n1,2\n"))
    assert read_table(write(tmp_path / "z.csv.gz", gzip.compress(b"a,b\n1,2\n"))).frame.shape == (1, 2)


def test_very_wide_and_very_long(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(12_000))
    wide = read_table(write(tmp_path / "w.csv", names + "\n" + ",".join(["1"] * 12_000) + "\n")).frame
    assert wide.shape == (1, 12_000)
    long = read_table(write(tmp_path / "l.csv", 'a,b\n"' + "word, " * 50_000 + '",1\n')).frame
    assert len(long["a"][1]) == 300_000


def test_codes_with_an_e_stay_text(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "t.csv", "code,x\n1E5,1e+05\n2E3,2.5e-3\n")).frame
    assert frame["code"].tolist() == ["1E5", "2E3"]
    assert frame["x"].tolist() == [100000.0, 0.0025]


def test_a_boolean_is_the_same_with_and_without_a_gap(tmp_path: Path) -> None:
    full = table(write(tmp_path / "a.csv", "f,x,outcome\ntrue,1.5,0\nfalse,2.5,1\n" * 1))
    gap = table(write(tmp_path / "b.csv", "f,x,outcome\ntrue,1.5,0\nFalse,2.5,1\n,3.5,1\n"))
    assert gap.frame["f"].tolist() == [True, False, None]
    for dataset in (full, gap):
        contract = DataContract.fit(dataset)
        read = contract.apply(pd.DataFrame({"f": ["true", True, "FALSE", False, np.bool_(True), None]}))
        assert read["f"].tolist() == [True, True, False, False, True, None]


def test_the_zip_of_two_tables_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(ValueError, match="2 files inside"):
        read_table(tmp_path / "t.zip")
