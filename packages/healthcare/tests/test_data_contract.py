"""A run reads later files as it read its own: a row's prediction depends on that row alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.config import build
from core.data.config import TableData
from core.data.readers.settings import ReaderSettings
from core.report.run import Run
from core.serving.load import LoadedRun, load
from core.serving.verbs import predict
from core.testing import SMALL, application
from healthcare import DOMAIN


def ward(rows: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    smoker = rng.choice(["true", "false"], rows).astype(object)
    lab = rng.normal(4, 1, rows).round(2)
    ill = (rng.random(rows) < np.where(smoker == "true", 0.8, 0.2)).astype(int)
    smoker[5] = ""
    lab[::9] = -99
    return pd.DataFrame(
        {
            "smoker": smoker,
            "code": rng.choice(["1E5", "2E3", "A12"], rows),
            "sex": rng.choice(["муж", "жен"], rows),
            "lab": [f"{v:.2f}".replace(".", ",") if v > 0 else "-99" for v in lab],
            "ill": ill,
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contract")
    ward().to_csv(folder / "ward.csv", sep=";", index=False, encoding="cp1251")
    train = application(DOMAIN, "train")
    train(
        "data=table",
        f"data.path={folder / 'ward.csv'}",
        "data.target=ill",
        "data.encoding=cp1251",
        "data.missing=['-99']",
        "data.sensitive=[sex]",
        "data.categorical=[sex]",
        "data.decimal=','",
        *(key for key in SMALL if "epochs" not in key),
        "training.epochs=3",
        "explanation=none",
        folder=folder / "run",
    )
    return folder


def scores(folder: Path, frame: pd.DataFrame, name: str, **how: object) -> Sequence[float]:
    frame.to_csv(folder / name, sep=";", index=False, encoding="cp1251")
    said = predict(str(folder / "run"), str(folder / name), str(folder / "said.csv"), "cpu", 64, **how)
    return said["score:1"].to_numpy()


def test_the_contract_is_sealed(trained: Path, tmp_path: Path) -> None:
    kept = json.loads((trained / "run/contract.json").read_text())
    assert kept["reader"]["encoding"] == "cp1251"
    assert kept["reader"]["missing"] == ["-99"]
    assert "contract.json" in Run(trained / "run").record.files
    (tmp_path / "run").mkdir()
    for file in (trained / "run").iterdir():
        if file.is_file():
            (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run/contract.json").write_text("{}")
    with pytest.raises(ValueError, match=r"contract\.json: altered"):
        load(tmp_path / "run")


def test_rows_mean_the_same_alone_and_in_any_file(trained: Path) -> None:
    new = ward().drop(columns="ill").head(24)
    together = scores(trained, new, "new.csv")
    assert np.ptp(together) > 0.01
    shuffled = scores(trained, new[::-1][["lab", "code", "sex", "smoker"]], "back.csv")
    np.testing.assert_allclose(shuffled[::-1], together, atol=1e-6)
    codes = new[new["code"] == "1E5"]
    np.testing.assert_allclose(scores(trained, codes, "codes.csv"), together[new["code"] == "1E5"], atol=1e-6)
    full = new.drop(index=5)
    np.testing.assert_allclose(scores(trained, full, "full.csv"), np.delete(together, 5), atol=1e-6)
    spelled = new.assign(smoker=new["smoker"].str.upper())
    np.testing.assert_allclose(scores(trained, spelled, "upper.csv"), together, atol=1e-6)


def native(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return rows as a program would send them."""
    flags = {"true": True, "false": False, "": None}
    return [
        row | {"smoker": flags[row["smoker"]], "lab": float(row["lab"].replace(",", "."))}
        for row in frame.to_dict("records")
    ]


def test_json_and_frames_mean_what_files_mean(trained: Path) -> None:
    new = ward().drop(columns="ill").head(24)
    together = scores(trained, new, "new.csv")
    loaded: LoadedRun = load(trained / "run")
    frame = pd.DataFrame(native(new))
    np.testing.assert_allclose(loaded.predict(frame)["score:1"], together, atol=1e-6)
    alone = [loaded.predict(frame.iloc[[i]])["score:1"].iloc[0] for i in range(len(frame))]
    np.testing.assert_allclose(alone, together, atol=1e-6)
    texts = frame.assign(smoker=new["smoker"].to_numpy())
    np.testing.assert_allclose(loaded.predict(texts)["score:1"], together, atol=1e-6)


def test_a_file_that_is_written_otherwise_is_read_when_told(trained: Path) -> None:
    new = ward().drop(columns="ill").head(24)
    together = scores(trained, new, "new.csv")
    new.assign(lab=new["lab"].str.replace(",", ".")).to_csv(trained / "utf8.csv", index=False)
    run, output = str(trained / "run"), str(trained / "said.csv")
    told = ReaderSettings(encoding="utf-8", decimal=".")
    said = predict(run, str(trained / "utf8.csv"), output, "cpu", 64, told)
    np.testing.assert_allclose(said["score:1"], together, atol=1e-6)
    with pytest.raises(ValueError, match="column 'lab' holds numbers but"):
        predict(run, str(trained / "utf8.csv"), output, "cpu", 64, ReaderSettings(encoding="utf-8"))


def test_what_training_had_not_is_counted(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ward().drop(columns="ill").head(20)
    scores(trained, new, "usual.csv")
    assert "training had not" not in capsys.readouterr().out
    strange = new.assign(code=["B99", *new["code"][1:]], lab=["812,5", *new["lab"][1:]])
    scores(trained, strange, "strange.csv")
    out = capsys.readouterr().out
    assert "1 of 20 rows have values that training had not" in out
    assert "code: 1 of 20 rows have a category that training did not keep ('B99')" in out
    assert "lab: 1 of 20 rows lie outside the training range" in out
    said = pd.read_csv(trained / "said.csv", keep_default_na=False)["unlike_training"]
    assert said[0] == "code=B99; lab=812.5"
    assert set(said[1:]) == {""}
    compared, _ = load(trained / "run").unlike_training(pd.DataFrame(native(new)).assign(lab=None))
    assert [c.missing for c in compared if c.column == "lab"] == [20]


def test_sensitive_columns_that_leave_the_inputs_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = ward().assign(lab=1.5, age=np.arange(240) % 60 + 20)
    frame.to_csv(tmp_path / "t.csv", index=False)
    keys = {"path": str(tmp_path / "t.csv"), "target": "ill", "sensitive": ["sex", "age"]}
    dataset = build(TableData(**keys), None, 0)
    assert "sex" not in dataset.roles.inputs()
    assert "To use them as inputs too: data.numeric=[age] data.categorical=[sex]" in caplog.text
    caplog.clear()
    kept = build(TableData(**keys, numeric=["age"], categorical=["sex"]), None, 0)
    assert {"sex", "age"} <= set(kept.roles.inputs())
    assert "Not used as inputs, since" not in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("data.path=export (1).csv", "'data.path=\"export (1).csv\"'"),
        ("data.path=ward=2.csv", "'data.path=\"ward=2.csv\"'"),
        ("data.path=a#b.csv", "'data.path=\"a#b.csv\"'"),
        ("data.path=nowhere.csv", "nowhere.csv"),
    ],
)
def test_file_names_that_must_be_quoted_are_shown_quoted(
    given: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["healthcare.train", "data=table", "data.target=y", given])
    with pytest.raises(SystemExit) as stopped:
        application(DOMAIN, "train").main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.rglob("*.csv")) == []
