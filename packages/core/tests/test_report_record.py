"""The record is read as it was written; what was altered, is of another version or doesn't fit is refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from core.atomic_io import write_atomically
from core.data.readers.files import sha256
from core.evaluation.section import DecisionCurveSection, MetricEstimate
from core.report.predictions import read_predictions, read_table, write_predictions
from core.report.record import (
    DataSection,
    ModelSection,
    Record,
    RunSection,
    plain,
    read_record,
    write_record,
)
from core.report.run import SEALED, Run
from core.report.schema import record_schema
from core.targets.types import Predictions
from core.training.section import HistoryPoint, TrainingSection


def record(**more: object) -> Record:
    """Make the smallest record."""
    return Record(
        run=RunSection(domain="healthcare", task="records"),
        data=DataSection(source="simulated", simulated=True),
        model=ModelSection(backbone="tabular"),
        **more,
    )


def predictions(kind: str) -> Predictions:
    """Make a few rows of a kind."""
    rng = np.random.default_rng(0)
    groups = {"sex": np.array(["f", "m", "f", "m"])}
    units, index = np.array(["p1", "p1", "p2", "p3"]), np.array([7, 3, 9, 1])
    if kind == "regression":
        values = rng.normal(size=4)
        return Predictions(values[:, None], values, rng.normal(size=4), (), kind, groups, units, index)
    if kind == "multilabel":
        scores = rng.random((4, 3))
        truth = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]])
        return Predictions(
            scores, (scores > 0.5).astype(int), truth, ("a", "b", "c"), kind, groups, None, index
        )
    scores = rng.dirichlet(np.ones(3), 4)
    return Predictions(
        scores, scores.argmax(1), np.array([0, 2, 1, 0]), ("a", "b", "c"), kind, groups, units, index
    )


def folder_of_a_run(path: Path) -> Path:
    """Write a whole run folder."""
    write_predictions(
        {"validation": predictions("multiclass"), "test": predictions("multiclass")}, path / SEALED[2]
    )
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "encoder.json").write_text("{}")
    figures = {"accuracy": MetricEstimate(value=0.5, low=0.2, high=0.8)}
    write_record(record(metrics=figures, files={name: sha256(path / name) for name in SEALED}), path)
    return path


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    made = record(
        metrics={"auroc": MetricEstimate(value=0.7, low=0.6, high=0.8, resamples=1000)},
        training=TrainingSection(
            steps=3, history=[HistoryPoint(step=1, loss=0.5, validation={"auroc": 0.6})]
        ),
    )
    write_record(made, tmp_path)
    again = read_record(tmp_path)
    assert again.model_dump(exclude={"seal"}) == made.model_dump(exclude={"seal"})
    stored = json.loads((tmp_path / "record.json").read_text())
    assert stored["schema_version"] == 2
    assert stored["metrics"]["auroc"] == {
        "value": 0.7,
        "low": 0.6,
        "high": 0.8,
        "resamples": 1000,
        "undefined": None,
    }
    assert stored["data"]["simulated"] is True
    assert stored["privacy"] is None


def test_a_key_that_no_section_declares_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"training\.speed"):
        Record.model_validate({**plain(record()), "training": {"speed": 3}})


def test_nan_and_infinity_become_null(tmp_path: Path) -> None:
    curve = DecisionCurveSection(thresholds=[0.1], model=[0.2], low=[0.1], high=[0.3], all=[0.1], none=[0.0])
    made = record(
        metrics={"auroc": MetricEstimate(value=float("nan"), high=float("inf"))}, decision_curve=curve
    )
    write_record(made, tmp_path)
    text = (tmp_path / "record.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["metrics"]["auroc"]["value"] is None
    assert read_record(tmp_path).metrics["auroc"].value is None
    assert read_record(tmp_path).decision_curve == curve
    mixed = {"x": np.array([1.0, np.nan]), "y": float("inf"), "n": np.int64(3), "flag": np.bool_(True)}
    assert plain(mixed) == {"x": [1.0, None], "y": None, "n": 3, "flag": True}


def test_plain_knows_dataclasses_and_refuses_what_has_no_json() -> None:
    @dataclass
    class Pair:
        a: int
        b: tuple[float, float]

    assert plain(Pair(1, (0.5, float("nan")))) == {"a": 1, "b": [0.5, None]}
    with pytest.raises(TypeError, match="a object has no place in a record"):
        plain({"x": object()})


def test_an_altered_record_is_noticed(tmp_path: Path) -> None:
    write_record(record(metrics={"auroc": MetricEstimate(value=0.7)}), tmp_path)
    path = tmp_path / "record.json"
    path.write_text(path.read_text().replace("0.7", "0.9"))
    with pytest.raises(ValueError, match=r"record\.json: altered .*restore the original"):
        read_record(tmp_path)


def test_another_schema_version_is_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"schema_version": 99}')
    with pytest.raises(ValueError, match="schema_version is 99, this plinth-core reads 2 and 1"):
        read_record(tmp_path)


def test_a_value_that_does_not_fit_is_named(tmp_path: Path) -> None:
    import core.report.record as module

    content = plain(record())
    content["metrics"] = {"auroc": {"value": "high"}}
    del content["run"]["domain"]
    content["seal"] = module._seal(content)
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"run\.domain: field required; metrics\.auroc\.value: .*'high'"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "not found"), ("{", "not readable as JSON"), ("[]", "holds a list")]
)
def test_what_is_no_record_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_record(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.atomic_io.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_opens(tmp_path: Path) -> None:
    run = Run(folder_of_a_run(tmp_path))
    assert run.metrics["accuracy"].value == 0.5
    assert run.record.run.domain == "healthcare"
    assert len(run.predictions()) == 4
    assert set(run.table().part) == {"validation", "test"}
    assert run.path == tmp_path


@pytest.mark.parametrize("name", SEALED)
def test_an_altered_file_is_named(tmp_path: Path, name: str) -> None:
    folder_of_a_run(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=rf"{name}: altered .*restore the original"):
        Run(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{name}: missing"):
        Run(tmp_path)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        Run(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_predictions_are_read_as_written(tmp_path: Path, kind: str) -> None:
    written = predictions("multiclass" if kind == "binary" else kind)
    if kind == "binary":
        written = Predictions(
            written.scores[:, :2],
            np.array([0, 1, 1, 0]),
            np.array([1, 1, 0, 0]),
            ("no", "yes"),
            kind,
            written.groups,
        )
        written.index = np.arange(4)
    path = tmp_path / "predictions.parquet"
    write_predictions({"validation": written.take(np.array([0, 1])), "test": written}, path)
    read = read_predictions(path, "test")
    assert (read.kind, read.classes) == (written.kind, written.classes)
    for name in ("scores", "labels", "targets", "index"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert (read.groups["sex"] == written.groups["sex"]).all()
    assert (read.units is None) == (written.units is None)
    assert read.units is None or (read.units == written.units).all()
    assert len(read_predictions(path, "validation")) == 2
    with pytest.raises(ValueError, match="no part 'train'; there are test, validation"):
        read_predictions(path, "train")


def test_columns_say_what_they_are(tmp_path: Path) -> None:
    write_predictions({"test": predictions("multilabel")}, tmp_path / "p.parquet")
    table = read_table(tmp_path / "p.parquet")
    assert list(table) == [
        "row",
        "part",
        "unit",
        "truth",
        "label",
        "score:a",
        "score:b",
        "score:c",
        "group:sex",
    ]
    assert [list(names) for names in table.truth] == [[], ["a", "b"], ["c"], ["a", "b", "c"]]


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    path = Path(__file__).parents[3] / "docs" / "reference" / "record.schema.json"
    told = f"write it again: python -m core.report.schema {path}"
    assert path.read_text(encoding="utf-8") == record_schema(), told
    schema = json.loads(record_schema())
    assert set(schema["properties"]) == set(Record.model_fields)
