"""A user's own table, texts and image folders become datasets; what was not said is inferred and told."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.config import build
from core.data.config import (
    ColumnsEncoderConfig,
    ImageEncoding,
    ImageFolderData,
    ImagesData,
    SignalEncoding,
    SimulatedData,
    TableData,
    TextData,
    TextEncoding,
)
from core.data.roles import infer_roles
from core.data.splits import split
from core.data.types import ColumnRoles, Dataset

NOTE = "patient seen today with mild chest pain number {}"


def _frame(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient_id": np.arange(1000, 1000 + rows),
            "visit": [f"v{i}" for i in range(rows)],
            "admitted": pd.date_range("2026-01-01", periods=rows).astype(str),
            "age": rng.integers(20, 90, rows),
            "sex": rng.choice(["F", "M"], rows),
            "lab": rng.normal(size=rows).round(3),
            "ward": rng.choice(["A", "B", "C"], rows),
            "smoker": rng.random(rows) < 0.3,
            "note": [NOTE.format(i) for i in range(rows)],
            "same": 1,
            "nothing": None,
            "ill": rng.choice(["yes", "no"], rows),
        }
    )


def _table(tmp_path: Path, frame: pd.DataFrame | None = None, **settings: object) -> TableData:
    settings = {"target": ["ill"]} | settings
    path = tmp_path / "own.csv"
    (_frame() if frame is None else frame).to_csv(path, index=False)
    settings = {"path": str(path)} | settings
    return TableData(**settings)


def test_roles_of_columns_are_inferred_and_reported(tmp_path: Path) -> None:
    dataset = build(_table(tmp_path, sensitive=["sex", "age"]), None, 0)
    assert dataset.roles.numeric == ("lab",)
    assert dataset.roles.categorical == ("ward", "smoker")
    assert dataset.roles.text == ("note",)
    assert dataset.roles.sensitive == ("sex", "age"), "a sensitive column is no input unless listed as one"
    told = " ".join(dataset.notes)
    for part in (
        "patient_id (a different number",
        "visit (a different value",
        "admitted (dates",
        "same (one value",
    ):
        assert part in told
    assert "nothing (no value)" in told
    assert not dataset.simulated
    assert len(dataset.files["own.csv"]) == 64


def test_a_sensitive_column_listed_as_input_is_both(tmp_path: Path) -> None:
    roles = build(_table(tmp_path, sensitive=["age"], numeric=["age"], infer_roles=False), None, 0).roles
    assert roles.inputs() == ("age",)
    assert roles.sensitive == ("age",)


def test_images_and_signals_are_told_by_their_values() -> None:
    frame = pd.DataFrame({"a": [b"x", b"y"], "s": [np.zeros(3), np.ones(3)], "y": [0, 1]})
    roles, _ = infer_roles(frame, ColumnRoles(target=("y",)))
    assert (roles.image, roles.signal) == ("a", "s")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": []}, r"data\.target=\[\]: give the column"),
        ({"target": ["il"]}, r"data\.target: no column 'il' \(meant 'ill'"),
        ({"target": ["il"], "sensitive": ["sx"]}, r"data\.target: .*data\.sensitive: no column 'sx'"),
        (
            {"numeric": ["ward"]},
            r"column 'ward' holds numbers but '[ABC]' \(\d+ times\), '[ABC]' \(\d+ times\), .* in rows 1, 2",
        ),
        ({"split": "patient"}, r"data\.split='patient': one of auto, column"),
        ({"split": "time"}, r"data\.time=None"),
        ({"split": "unit"}, r"data\.unit=None"),
        ({"split": "column"}, r"data\.split_column=None"),
        ({"test_fraction": 1.5}, r"data\.test_fraction=1\.5: it must be a fraction"),
        ({"test_fraction": 0.5, "validation_fraction": 0.5}, "nothing is left to train on"),
        ({"gap": -1.0}, r"data\.gap=-1\.0"),
        ({"infer_roles": False}, "no column is left as an input"),
        ({"path": "/nowhere/t.csv"}, r"data\.path='/nowhere/t\.csv' was not found"),
    ],
)
def test_wrong_settings_are_reported_with_their_key(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(_table(tmp_path, **settings), None, 0)


@pytest.mark.parametrize("key", ["split", "test_fraction", "gap"])
def test_settings_are_validated_before_any_data_is_read(key: str) -> None:
    wrong = {"split": "patient", "test_fraction": 2.0, "gap": -1.0}[key]
    with pytest.raises(ValueError, match=rf"data\.{key}="):
        TableData(path="/nowhere.csv", target="y", **{key: wrong})


def test_unlabeled_rows_are_left_out_only_when_asked(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[[3, 7], "ill"] = None
    assert len(build(_table(tmp_path, frame), None, 0).frame) == 60
    dataset = build(_table(tmp_path, frame, drop_unlabeled=True), None, 0)
    assert len(dataset.frame) == 58
    assert "Left out 2 rows without a target: rows 4, 8." in dataset.notes


def test_texts_from_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    _frame().rename(columns={"note": "text"}).to_json(path, orient="records", lines=True)
    roles = build(TextData(path=str(path), target=["ill"]), None, 0).roles  # type: ignore[arg-type,call-arg]
    assert roles.inputs() == ("text",)


def test_the_simulation_is_called_with_rows_and_seed() -> None:
    class Task:
        def simulate(self, rows: int, seed: int) -> Dataset:
            return Dataset(
                pd.DataFrame({"x": range(rows), "y": seed}),
                ColumnRoles(("y",), ("x",)),
                "made",
                simulated=True,
            )

    dataset = build(SimulatedData(rows=200), Task(), 7)
    assert (len(dataset.frame), dataset.frame["y"].iloc[0], dataset.simulated) == (200, 7, True)
    with pytest.raises(ValueError, match=r"data\.rows=5"):
        SimulatedData(rows=5)


def _folder(root: Path, parts: tuple[str, ...] = ("",), count: int = 6) -> Path:
    for part in parts:
        for label, shade in (("mole", 40), ("spot", 200)):
            folder = root / part / label
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (9, 7), (shade, i, len(part))).save(folder / f"{part}{label}{i}.png")
    return root


def test_a_folder_per_class(tmp_path: Path) -> None:
    dataset = build(ImageFolderData(path=str(_folder(tmp_path))), None, 0)
    assert dataset.frame["label"].value_counts().to_dict() == {"mole": 6, "spot": 6}
    assert dataset.roles == ColumnRoles(target=("label",), image="image")
    assert {k: len(v) for k, v in split(dataset).items()} == {"train": 8, "validation": 2, "test": 2}


def test_folders_that_give_the_split(tmp_path: Path) -> None:
    root = _folder(tmp_path, ("train", "val", "test"))
    dataset = build(ImageFolderData(path=str(root)), None, 0)
    rows = split(dataset)
    for part, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        assert dataset.frame["file"].iloc[rows[part]].str.startswith(folder).all()


def test_metadata_joins_by_path_name_or_stem(tmp_path: Path) -> None:
    root = _folder(tmp_path / "images")
    stems = [f"mole{i}" for i in range(6)] + [f"spot{i}" for i in range(5)] + ["lost"]
    for ending in ("", ".png"):
        table = pd.DataFrame(
            {"file": [s + ending for s in stems], "dx": ["m"] * 6 + ["s"] * 6, "sex": ["F", "M"] * 6}
        )
        table.to_csv(tmp_path / "meta.csv", index=False)
        config = ImageFolderData(
            path=str(root), metadata=str(tmp_path / "meta.csv"), target="dx", sensitive=["sex"]
        )  # type: ignore[call-arg]
        dataset = build(config, None, 0)
        assert dataset.roles.target == ("dx",)
        assert len(dataset.frame) == 11
        assert all(Path(p).stem in stems for p in dataset.frame["image"])
        assert dataset.frame.set_index("file").loc["spot/spot1.png", "sex"] == "M"
        told = " ".join(dataset.notes)
        assert "names 1 images that are not in the folder" in told
        assert "Left out 1 images" in told


def test_folders_that_are_none_are_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images below this folder"):
        build(ImageFolderData(path=str(tmp_path / "empty")), None, 0)
    Image.new("RGB", (4, 4)).save(tmp_path / "loose.png")
    with pytest.raises(ValueError, match=r"loose\.png is not in a class folder"):
        build(ImageFolderData(path=str(tmp_path)), None, 0)
    with pytest.raises(ValueError, match="is a file"):
        build(ImageFolderData(path=str(tmp_path / "loose.png")), None, 0)


def test_images_in_parquet_may_be_paths_beside_it(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    files = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    pd.DataFrame({"image": files, "ill": [f[:4] for f in files]}).to_parquet(tmp_path / "t.parquet")
    dataset = build(ImagesData(path=str(tmp_path / "t.parquet"), target=["ill"]), None, 0)
    assert all(Path(p).is_file() for p in dataset.frame["image"])


def test_options_are_read_without_heavy_imports() -> None:
    code = (
        "import sys, core.data.config, core.data.encoder_config, core.data.augmentation_config;"
        "import core.data.types, core.data.sources;"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'PIL', 'pyarrow', 'tokenizers'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("numeric", "minmax"),
        ("text.truncation", "head"),
        ("image.resize_mode", "squash"),
        ("image.channels", 4),
        ("image.width", 4),
        ("signal.fit", "crop"),
        ("bins", 1),
        ("text.tfidf_char_ngrams", 1),
        ("text.vocab_size", 3),
    ],
)
def test_encoder_settings_are_validated_by_key(key: str, value: object) -> None:
    nested = {
        "text": TextEncoding,
        "image": ImageEncoding,
        "signal": SignalEncoding,
        "": ColumnsEncoderConfig,
    }
    group, _, name = key.rpartition(".")
    with pytest.raises(ValueError, match=re.escape(f"encoder.{key}={value!r}")):
        nested[group](**{name: value})


def test_every_option_composes_with_hydra() -> None:
    from hydra import compose, initialize
    from omegaconf import OmegaConf

    with initialize(version_base="1.3", config_path=None):
        for choice in ("simulated", "table", "text", "images", "image_folder"):
            config = compose(overrides=[f"+data={choice}"])
            assert OmegaConf.to_object(config.data) is not None
        config = compose(overrides=["+data=table", "data.target=[ill]", "+data.bin_edges.bmi=[18.5,25]"])
        made = OmegaConf.to_object(config.data)
        assert isinstance(made, TableData)
        assert made.bin_edges == {"bmi": [18.5, 25.0]}
        for group in ("encoder=columns", "augmentation=none", "augmentation=image", "augmentation=signal"):
            compose(overrides=[f"+{group}"])


def test_a_slip_of_text_among_measurements_is_an_error_not_a_category(tmp_path: Path) -> None:
    frame = _frame().astype({"lab": object})
    frame.loc[4, "lab"] = "high"
    with pytest.raises(ValueError, match="column 'lab' holds numbers but 'high' in row 5: correct them"):
        build(_table(tmp_path, frame), None, 0)
    told = build(_table(tmp_path, frame, missing=["high"]), None, 0)
    assert told.roles.numeric == ("age", "lab")
    codes = _frame().assign(ward=["1", "2", "U"] * 20)
    assert "ward" in build(_table(tmp_path, codes), None, 0).roles.categorical
